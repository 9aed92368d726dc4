"""Facts in, steps out. Pure: what is already right makes no step, so a second run makes none at all."""

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from cka_kubelet.provision import node_half, node_packages
from cka_kubelet.provision.facts import Facts, holds
from cka_kubelet.provision.files import IMAGES, NodeFile

COMPLETION = "/opt/cka-kubelet/kubectl-completion"
IMPORTED = "/var/lib/containerd/.images-imported"
_APT = "export DEBIAN_FRONTEND=noninteractive; apt-get -o Acquire::Languages=none update -qq"


@dataclass(frozen=True)
class Step:
    """One change: what a person is told, and the program that makes it. Running it twice does no harm."""

    says: str
    argv: tuple[str, ...]
    input: bytes = field(default=b"", repr=False)
    timeout: float = 60


def enabled_units(control_plane: bool) -> tuple[str, ...]:
    """Units that start at boot, in the order in which they are first started."""
    units = ("pod-routes", "containerd", "preload-images", "kubelet", "ssh")
    return ("kube-apiserver", *units) if control_plane else units


def paths_of(files: Sequence[NodeFile]) -> list[str]:
    """Every path whose state the plan wants to know."""
    marks = [f"{node_half.directory()}/.complete", IMAGES, IMPORTED, COMPLETION]
    return [*(file.path.rstrip("/") for file in files), *marks]


def install_steps(facts: Facts, files: Sequence[NodeFile]) -> list[Step]:
    """Packages, programs and files, in order."""
    missing = [name for name in node_packages.PROVISION if name not in facts.packages]
    changed = _changed(facts, files)
    steps = _packages(missing) + _node_half(facts) + _files(changed)
    if any("/systemd/system/" in file.path for file in changed):
        steps.append(Step("systemctl daemon-reload", ("systemctl", "daemon-reload")))
    if any(file.path.startswith("/etc/sysctl.d/") for file in changed):
        steps.append(Step("kernel modules and sysctls", ("sh", "-c", _KERNEL)))
    if COMPLETION not in facts.files:
        steps.append(Step("kubectl completion", ("sh", "-c", f"kubectl completion bash >{COMPLETION}")))
    return steps


def unit_steps(facts: Facts, files: Sequence[NodeFile], units: Sequence[str], server: str) -> list[Step]:
    """Units enabled, and (re)started where they do not run or run with old files; in the order of `units`."""
    off = [unit for unit in units if facts.units.get(unit) != "enabled"]
    steps = [Step(f"enable {', '.join(off)}", ("systemctl", "enable", "--quiet", *off))] if off else []
    stale = {unit for file in _changed(facts, files) for unit in file.restarts}
    for unit in units:
        if (unit in stale or unit not in facts.active) and not (unit == "preload-images" and IMPORTED in facts.files):
            if unit == "kubelet":  # else its first attempts fail and it waits longer and longer between the next
                steps.append(Step("wait for the API server", ("sh", "-c", _API_ANSWERS, "sh", server), timeout=60))
            steps.append(Step(f"start {unit}", ("systemctl", "restart", unit), timeout=90))
    return steps


_API_ANSWERS = 'until curl -fsk -m 2 "$1/readyz" >/dev/null; do sleep 0.1; done'


def _changed(facts: Facts, files: Sequence[NodeFile]) -> list[NodeFile]:
    return [file for file in files if not holds(facts, file, hashlib.sha256(file.data).hexdigest())]


_KERNEL = "modprobe -a overlay br_netfilter 2>/dev/null; sysctl --quiet --system >/dev/null 2>&1; true"


def _packages(missing: Sequence[str]) -> list[Step]:
    if not missing:
        return []
    script = f"{_APT} && apt-get install -y -qq --no-install-recommends {' '.join(missing)}"
    return [Step(f"packages: {' '.join(missing)}", ("sh", "-c", script), timeout=900)]


def _node_half(facts: Facts) -> list[Step]:
    directory = node_half.directory()
    if f"{directory}/.complete" in facts.files:
        return []
    script = (
        'rm -rf "$1" && mkdir -p "$1" && tar -C "$1" -xz --no-same-owner && '
        'python3 -OO -m compileall -q "$1" && touch "$1/.complete"'
    )
    step = Step("kubelet, crictl", ("sh", "-c", script, "sh", directory), node_half.archive(), timeout=120)
    return [step]


def _files(changed: Sequence[NodeFile]) -> list[Step]:
    if not changed:
        return []
    argv = ("tar", "-C", "/", "-x", "--no-same-owner")
    return [Step(f"{len(changed)} files", argv, _tar(changed))]


def _tar(files: Sequence[NodeFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            info = tarfile.TarInfo(file.path.strip("/"))
            info.mode = file.mode
            if file.link_to:
                info.type, info.linkname = tarfile.SYMTYPE, file.link_to
            elif file.path.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(file.data)
            tar.addfile(info, io.BytesIO(file.data))
    return buffer.getvalue()
