"""volumeMounts of a container: host paths below volumes, read-only modes (kubelet_pods.go makeMounts)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.pods import objects


class MountRefusedError(LookupError):
    """The container cannot have this mount; the text becomes its CreateContainerConfigError."""


def host_path(volume: str, inside: str, mount: str, container: str) -> str:
    """The path on the node of subPath `inside` of a volume, made if missing. Raises MountRefusedError.

    Symbolic links may not lead out of the volume. What is wrong with the node's files is for the log alone: the text
    must tell the pod's author nothing about them.
    """
    if inside.startswith("/"):
        raise MountRefusedError(f"error SubPath `{inside}` must not be an absolute path")
    if ".." in inside.split("/"):
        raise MountRefusedError(f"unable to provision SubPath `{inside}`: must not contain '..'")
    names = {"containerName": container, "volumeMountName": mount}
    where = f"volumeMount {q(mount)} of container {q(container)}"
    root = os.path.realpath(volume)
    path = Path(root, inside)
    try:
        if not path.exists():
            _make(Path(root), path)
    except OSError as error:
        text = "Failed to create subPath directory for volumeMount of the container"
        klog.error("kubelet_pods.go:349", text, err=error, **names)
        raise MountRefusedError(f"failed to create subPath directory for {where}") from None
    real = os.path.realpath(path)
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        problem = f"subpath {q(real)} not within volume path {q(root)}"
        klog.error(
            "kubelet_pods.go:356", "Failed to prepare subPath for volumeMount of the container", err=problem, **names
        )
        raise MountRefusedError(f"failed to prepare subPath for {where}")
    return real


def images(pod: objects.Pod, container: objects.Container) -> Iterator[tuple[str, objects.Container]]:
    """Names of the image volumes that a container mounts, each with what to pull, in the shape of a container."""
    mounted = {mount["name"] for mount in container.get("volumeMounts") or []}
    for volume in pod["spec"].get("volumes") or []:
        if "image" in volume and volume["name"] in mounted:
            source = volume["image"] or {}
            wanted = {"name": container["name"], "image": source.get("reference") or ""}
            yield volume["name"], {**wanted, "imagePullPolicy": source.get("pullPolicy")}


def _make(root: Path, path: Path) -> None:
    """Make `path` below `root`, every new directory with the volume's own permissions, set-gid and sticky included."""
    if not os.path.realpath(path).startswith(f"{root}/"):
        raise PermissionError(1, "operation not permitted", str(path))
    missing = [p for p in (path, *path.parents) if root in p.parents and not p.exists()]
    mode = stat.S_IMODE(root.stat().st_mode)
    for folder in reversed(missing):
        folder.mkdir()
        folder.chmod(mode)


def recursive_read_only(mount: dict[str, Any], *, supported: bool) -> bool:
    """Whether mounts below this one must be read-only too (KEP-3857). Raises MountRefusedError."""
    asked = mount.get("recursiveReadOnly") or "Disabled"
    if asked == "Disabled":
        return False
    volume = f"volume {q(mount['name'])} requested recursive read-only mode, but it is"
    if not mount.get("readOnly"):
        raise MountRefusedError(f"{volume} not read-only")
    propagation = mount.get("mountPropagation") or "None"
    if propagation != "None":
        raise MountRefusedError(f"{volume} not compatible with propagation {q(propagation)}")
    if asked == "Enabled" and not supported:
        raise MountRefusedError(f"{volume} not supported by the runtime")
    return supported
