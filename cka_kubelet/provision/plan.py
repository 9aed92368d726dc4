"""Facts in, steps out. Pure: what is already right makes no step, so a second run makes none at all."""

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from cka_kubelet.provision import node_half, node_packages
from cka_kubelet.provision.facts import Facts, holds
from cka_kubelet.provision.files import IMAGES, NodeFile, control_plane_images, imported
from cka_kubelet.provision.spec import ClusterSpec, NodeSpec

COMPLETION = "/opt/cka-kubelet/kubectl-completion"
ETCDUTL = "/usr/local/bin/etcdutl"
_APT = "export DEBIAN_FRONTEND=noninteractive; apt-get -o Acquire::Languages=none update -qq"


@dataclass(frozen=True)
class Step:
    """One change: what a person is told, and the program that makes it. Running it twice does no harm."""

    says: str
    argv: tuple[str, ...]
    input: bytes = field(default=b"", repr=False)
    timeout: float = 60


def enabled_units(cluster: ClusterSpec, node: NodeSpec) -> tuple[str, ...]:
    """Units that start at boot, in the order in which they are first started."""
    units = ("pod-routes", "containerd", "preload-images", "kubelet", "ssh")
    alone = node.role == "control-plane" and cluster.control_plane_runs == "unit"
    return ("kube-apiserver", *units) if alone else units


def paths_of(cluster: ClusterSpec, node: NodeSpec, files: Sequence[NodeFile]) -> list[str]:
    """Every path whose state the plan wants to know."""
    marks = [f"{node_half.directory()}/.complete", IMAGES, imported(cluster, node), COMPLETION, control_plane_images()]
    return [*(file.path.rstrip("/") for file in files), *marks]


def install_steps(cluster: ClusterSpec, node: NodeSpec, facts: Facts, files: Sequence[NodeFile]) -> list[Step]:
    """Packages, programs and files, in order."""
    more = node_packages.STATIC_CONTROL_PLANE if cluster.static_pods(node) else ()
    missing = [name for name in (*node_packages.PROVISION, *more) if name not in facts.packages]
    changed = _changed(facts, files)
    steps = _packages(missing) + _node_half(facts)
    if cluster.static_pods(node) and control_plane_images() not in facts.files:
        steps.append(_control_plane_images())
    steps += _files(changed)
    if any("/systemd/system/" in file.path for file in changed):
        steps.append(Step("systemctl daemon-reload", ("systemctl", "daemon-reload")))
    if any(file.path.startswith("/etc/sysctl.d/") for file in changed):
        steps.append(Step("kernel modules and sysctls", ("sh", "-c", _KERNEL)))
    if COMPLETION not in facts.files:
        steps.append(Step("kubectl completion", ("sh", "-c", f"kubectl completion bash >{COMPLETION}")))
    return steps


def unit_steps(cluster: ClusterSpec, node: NodeSpec, facts: Facts, files: Sequence[NodeFile]) -> list[Step]:
    """Units enabled, and (re)started where they do not run or run with old files; in the order of their first start."""
    units = enabled_units(cluster, node)
    off = [unit for unit in units if facts.units.get(unit) != "enabled"]
    steps = [Step(f"enable {', '.join(off)}", ("systemctl", "enable", "--quiet", *off))] if off else []
    stale = {unit for file in _changed(facts, files) for unit in file.restarts}
    for unit in units:
        if (unit in stale or unit not in facts.active) and not (
            unit == "preload-images" and imported(cluster, node) in facts.files
        ):
            if unit == "kubelet" and not cluster.static_pods(node):
                # else its first attempts fail and it waits longer and longer between the next
                argv = ("sh", "-c", _API_ANSWERS, "sh", cluster.server)
                steps.append(Step("wait for the API server", argv, timeout=120))
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


def _control_plane_images() -> Step:
    return Step("etcd and the control plane's images", ("sh", "-c", _BUILD, "sh", control_plane_images()), timeout=300)


_BUILD = f"""set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" && cd "$work"
{_APT}
apt-get download -qq etcd-server
dpkg-deb -x etcd-server_*.deb .
cp /usr/bin/etcdctl usr/bin/
install usr/bin/etcdutl {ETCDUTL}
PYTHONPATH=$(dirname "$1") python3 -sOO -m cka_kubelet.controlplane.images --etcd usr/bin --out "$1"
"""


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
