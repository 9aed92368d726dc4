"""What a lab needs of this machine: what is fine, what is missing, the exact command that mends it."""

import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cka_kubelet import paths
from cka_kubelet.errors import LabError
from cka_kubelet.providers import identity
from cka_kubelet.providers.engine import Engine, cgroup_mode, find_engine, silent_engine
from cka_kubelet.providers.identity import ClusterRecord
from cka_kubelet.providers.install import PACKAGES
from cka_kubelet.provision.spec import CONTROL_PLANES

DISK_GIB = 4.0
"""A base image, two node images, and what two running nodes write."""
MEMORY_GIB = 1.5

INOTIFY_INSTANCES = 30
MORE_INOTIFY = "sudo sysctl fs.inotify.max_user_instances=1024"
Status = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the report. `mend` is a command or an instruction, "" when nothing is to be done."""

    name: str
    status: Status
    found: str
    mend: str = ""


def examine() -> list[Finding]:
    """Every check, none of which changes anything."""
    engine = find_engine()
    checks: tuple[Callable[[], Finding], ...] = (
        lambda: engine_finding(engine, None if engine else silent_engine()),
        lambda: privilege(os.geteuid() == 0, engine, shutil.which("sudo") is not None),
        lambda: cgroups(cgroup_mode()),
        lambda: limits(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        lambda: disk(_free_gib(paths.data_dir())),
        lambda: memory(_available_gib()),
        lambda: inotify(_number("/proc/sys/fs/inotify/max_user_instances"), _inotify_in_use()),
        loopback,
        lambda: python(sys.version_info[:3]),
        keys,
        lambda: images(engine),
    )
    return [_guarded(check) for check in checks] + list(versions())


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except LabError as err:
        return Finding("check", "missing", err.message, err.hint)
    except OSError as err:
        return Finding("check", "warning", f"could not be read: {err}")


def engine_finding(engine: Engine | None, trouble: tuple[str, str] | None = None) -> Finding:
    """Podman or Docker that answers. `trouble`: why an installed one does not, and what mends it."""
    if engine is None:
        if trouble:
            return Finding("container engine", "missing", *trouble)
        command = f"sudo apt-get install --no-install-recommends {' '.join(PACKAGES)}"
        return Finding("container engine", "missing", "neither Podman nor Docker answers", command)
    version = engine.run("version", "--format", "{{.Client.Version}}", check=False).strip()
    through = " through sudo" if engine.prefix else ""
    return Finding("container engine", "ok", f"{engine.kind} {version} ({engine.binary}{through})")


def privilege(root: bool, engine: Engine | None, sudo: bool) -> Finding:
    """Privileged nodes need root, sudo, or a Docker socket this user may use."""
    if root:
        return Finding("privileges", "ok", "root")
    if engine is not None:
        return Finding("privileges", "ok", f"this user may use {engine.kind}")
    return Finding("privileges", "warning" if sudo else "missing", "not root", "Run as root, or with sudo.")


def cgroups(mode: str) -> Finding:
    """systemd 257 nodes boot on every layout; upstream's kubelet frowns on v1."""
    if mode == "v2":
        return Finding("cgroups", "ok", "v2")
    return Finding(
        "cgroups", "ok", f"{mode}: nodes boot in systemd's legacy mode and log a deprecation, as upstream does"
    )


def limits(nofile: int) -> Finding:
    """Open files: containerd and two kubelets need some thousands."""
    if nofile == resource.RLIM_INFINITY or nofile >= 8192:
        return Finding("open files", "ok", "unlimited" if nofile == resource.RLIM_INFINITY else str(nofile))
    return Finding("open files", "warning", f"hard limit {nofile}", "ulimit -Hn 20000 (as root), then start again")


def disk(free: float) -> Finding:
    """Room for images and nodes."""
    if free >= DISK_GIB:
        return Finding("disk", "ok", f"{free:.1f} GiB free")
    status: Status = "warning" if free >= DISK_GIB / 2 else "missing"
    return Finding(
        "disk", status, f"{free:.1f} GiB free, {DISK_GIB:g} wanted", "podman system prune, or free some space"
    )


def memory(available: float) -> Finding:
    """Two nodes take about 0.6 GiB."""
    if available >= MEMORY_GIB:
        return Finding("memory", "ok", f"{available:.1f} GiB available")
    return Finding(
        "memory", "warning", f"{available:.1f} GiB available, {MEMORY_GIB:g} wanted", "Close something large."
    )


def inotify(instances: int, used: int) -> Finding:
    """Every systemd, containerd and kubelet holds some inotify instances, which all of root's processes share.

    Without one left containerd starts, but without its CRI service.
    """
    found = f"{used} of {instances} instances in use"
    if instances - used >= INOTIFY_INSTANCES:
        return Finding("inotify", "ok", found)
    return Finding("inotify", "warning", f"{found}, two nodes take about {INOTIFY_INSTANCES}", MORE_INOTIFY)


def loopback() -> Finding:
    """SSH to the nodes goes through ports of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    return Finding("loopback ports", "ok", "127.0.0.1 has free ports")


def python(version: tuple[int, ...]) -> Finding:
    """3.11 or later."""
    return Finding("python", "ok", ".".join(map(str, version)))


def keys() -> Finding:
    """This installation's SSH key."""
    path = paths.data_dir() / "ssh" / "id_ed25519"
    if not path.exists():
        return Finding("ssh key", "ok", "made at the first lab")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("ssh key", "warning", f"{path} is readable by others ({mode:04o})", f"chmod 600 {path}")
    return Finding("ssh key", "ok", str(path))


def images(engine: Engine | None) -> Finding:
    """Whether the next lab is a warm start."""
    keys = [record.image_key for record in map(ClusterRecord.load, CONTROL_PLANES) if record]
    if engine is None or not keys:
        return Finding("node images", "ok", "none yet: the first lab builds them, about a minute")
    return Finding("node images", "ok", f"prepared ({', '.join(keys)}), installation {identity.installation_id()}")


def versions() -> Iterator[Finding]:
    """What a bug report should name."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    yield Finding("system", "ok", f"{system}, kernel {platform.release()}, {platform.machine()}")
    for name in ("textual", "paramiko"):
        yield Finding(name, "ok", importlib.metadata.version(name))


def _free_gib(path: Path) -> float:
    return shutil.disk_usage(path).free / 2**30


def _inotify_in_use() -> int:
    """By processes of this user, as far as they may be looked at."""
    used = 0
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            used += str(link.readlink()) == "anon_inode:inotify"
        except OSError:
            continue
    return used


def _available_gib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return 0.0


def _number(path: str) -> int:
    return int(Path(path).read_text())
