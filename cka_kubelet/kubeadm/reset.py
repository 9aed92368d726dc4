"""`kubeadm reset`: take off what join put on. Source: cmd/kubeadm/app/cmd/phases/reset/cleanupnode.go."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

WARNING = "[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted."
KUBELET = Path("/var/lib/kubelet")
ETC = Path("/etc/kubernetes")
_FILES = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")
_LEFT = """
The reset process does not perform cleanup of CNI plugin configuration,
network filtering rules and kubeconfig files.

For information on how to perform this cleanup manually, please see:
    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/
"""


def reset(say: Callable[[str], None]) -> None:
    """Stop the kubelet, remove its pods, mounts and files. Safe to repeat."""
    say("[preflight] Running pre-flight checks")
    say("[reset] Stopping the kubelet service")
    subprocess.run(["systemctl", "stop", "kubelet"], check=False, capture_output=True)
    say(f'[reset] Unmounting mounted directories in "{KUBELET}"')
    for mount in mounts_below(KUBELET, Path("/proc/self/mounts").read_text()):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    subprocess.run(["crictl", "rmp", "--all", "--force"], check=False, capture_output=True)
    directories = [ETC / "manifests", KUBELET, ETC / "pki"]
    say(f"[reset] Deleting contents of directories: [{' '.join(map(str, directories))}]")
    for directory in directories:
        _empty(directory)
    files = [ETC / f"{name}.conf" for name in _FILES]
    say(f"[reset] Deleting files: [{' '.join(map(str, files))}]")
    for file in files:
        file.unlink(missing_ok=True)
    say(_LEFT)


def mounts_below(directory: Path, table: str) -> list[str]:
    """Mount points below a directory, deepest first, of a /proc/mounts text."""
    points = [line.split()[1].replace("\\040", " ") for line in table.splitlines() if line]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)


def _empty(directory: Path) -> None:
    for entry in directory.iterdir() if directory.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
