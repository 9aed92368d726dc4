"""What is true on a node now, learned in one round trip."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cka_kubelet.errors import ProvisionError
from cka_kubelet.provision.files import HostTraits, NodeFile
from cka_kubelet.remote.shell import Shell


@dataclass(frozen=True)
class Facts:
    """`files`: path → (kind, mode, sha256 or link target), absent paths left out. `units`: name → UnitFileState."""

    traits: HostTraits
    os_id: str
    packages: frozenset[str]
    files: dict[str, tuple[str, int, str]]
    units: dict[str, str]
    active: frozenset[str]


# Runs on the node with the standard library alone; knows nothing of labs.
_PROGRAM = """
import hashlib, json, os, stat, subprocess, sys
ask = json.load(sys.stdin)
files = {}
for path in ask["paths"]:
    try:
        about = os.lstat(path)
    except OSError:
        continue
    mode = stat.S_IMODE(about.st_mode)
    if stat.S_ISLNK(about.st_mode):
        files[path] = ["link", 0, os.readlink(path)]
    elif stat.S_ISDIR(about.st_mode):
        files[path] = ["directory", mode, ""]
    elif stat.S_ISREG(about.st_mode):
        with open(path, "rb") as file:
            files[path] = ["file", mode, hashlib.sha256(file.read()).hexdigest()]
def out(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout
def text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
installed = [line.split() for line in out("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n").splitlines()]
units = {}
for name in ask["units"]:
    units[name] = out("systemctl", "is-enabled", name).strip()
release = dict(line.split("=", 1) for line in text("/etc/os-release").splitlines() if "=" in line)
effective = [line for line in text("/proc/self/status").splitlines() if line.startswith("CapEff")]
print(json.dumps({
    "files": files,
    "packages": [name for name, status in (line for line in installed if len(line) == 2) if status == "installed"],
    "units": units,
    "active": [name for name in ask["units"] if out("systemctl", "is-active", name).strip() == "active"],
    "os_id": release.get("ID", "").strip('"'),
    "machine_id": text("/etc/machine-id").strip(),
    "cgroup_v1": not os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
    "sys_resource": bool(int(effective[0].split()[1], 16) >> 24 & 1) if effective else True,
    "arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
}))
"""


def gather(shell: Shell, paths: Sequence[str], units: Sequence[str]) -> Facts:
    """The facts about these paths and units. Raises NodeError; ProvisionError when the node has no usable Python."""
    ask = json.dumps({"paths": list(paths), "units": list(units)}).encode()
    result = shell.run(["python3", "-c", _PROGRAM], input=ask, timeout=60, check=False)
    if not result.ok:
        said = result.stderr.decode("utf-8", "replace").strip()[-300:]
        raise ProvisionError(
            f"{shell.name}: its facts could not be read: {said}",
            "A node needs Debian 12 or later or Ubuntu 24.04 with systemd and python3 (apt-get install python3).",
        )
    return parse(result.text)


def parse(text: str) -> Facts:
    """The program's JSON as Facts. Raises ProvisionError when a node answers something else."""
    try:
        said: dict[str, Any] = json.loads(text)
        return Facts(
            traits=HostTraits(
                cgroup_v1=bool(said["cgroup_v1"]),
                may_lower_oom_score=bool(said["sys_resource"]),
                machine_id=str(said["machine_id"]),
                arch=str(said["arch"]),
            ),
            os_id=str(said["os_id"]),
            packages=frozenset(said["packages"]),
            files={path: (str(kind), int(mode), str(about)) for path, (kind, mode, about) in said["files"].items()},
            units=dict(said["units"]),
            active=frozenset(said["active"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ProvisionError(f"a node answered its facts with something unreadable ({err})") from None


def holds(facts: Facts, file: NodeFile, digest: str) -> bool:
    """Whether a file is on the node as wanted; `digest` is the sha256 of its data."""
    found = facts.files.get(file.path.rstrip("/") or "/")
    if file.link_to:
        return found is not None and found[0] == "link" and found[2] == file.link_to
    if file.path.endswith("/"):
        return found is not None and found[0] == "directory"
    return found == ("file", file.mode, digest)
