"""Taking volumes down, and what is left of pods that nobody knows (kubelet_volumes.go)."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import errno_text, path_error
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.volumes import mounts

_OWN = frozenset(f"kubernetes.io~{name}" for name in ("empty-dir", "configmap", "secret", "projected", "downward-api"))
"""Directories whose files belong to the pod and go with it. All others only show files of somebody else."""


class CSITearDown(Protocol):
    """Volumes of CSI drivers."""

    async def tear_down(self, folder: Path) -> None: ...


class TearDown:
    """Works on what is on the disk, so that it also serves pods that an earlier kubelet ran."""

    def __init__(self, root_dir: str, csi: Callable[[], CSITearDown]) -> None:
        self._csi = csi
        self._pods = Path(root_dir) / "pods"

    async def volumes(self, uid: str) -> None:
        """Unmount a stopped pod's volumes and remove the pod's own files. What cannot be unmounted stays."""
        for folder in _folders(self._pods / uid / "volumes"):
            if folder.parent.name == "kubernetes.io~csi":
                await self._driver(uid, folder)
            else:
                await asyncio.to_thread(_take_down, folder)

    async def _driver(self, uid: str, folder: Path) -> None:
        """Let the volume's driver take it away; an orphan's is tried again by the next housekeeping."""
        try:
            await self._csi().tear_down(folder)
        except (RpcError, LookupError, OSError, ValueError) as error:
            text = f"UnmountVolume.TearDown failed for volume {q(folder.name)} pod {q(uid)} (UID: {q(uid)})"
            why = f"kubernetes.io/csi: Unmounter.TearDownAt failed: {error}"
            klog.raw("E", "nestedpendingoperations.go:348", f"{text} : {why}")

    async def orphan(self, uid: str) -> list[str]:
        """Remove the directory of a pod that no source, worker or container knows. Its errors, in upstream's words."""
        await self.volumes(uid)
        return await asyncio.to_thread(self._remove, uid)

    def _remove(self, uid: str) -> list[str]:
        pod = self._pods / uid
        mounted = mounts.below(pod)
        if mounted:
            text = "Pod found, but volumes are still mounted on disk"
            klog.info("kubelet_getters.go:364", text, v=1, podUID=uid, paths=mounted)
            klog.info("kubelet_volumes.go:194", "Orphaned pod found, but volumes are not cleaned up", v=3, podUID=uid)
            return []
        errors = []
        for folder in _folders(pod / "volumes"):
            try:
                folder.rmdir()
                klog.info("kubelet_volumes.go:141", "Cleaned up orphaned volume from pod", podUID=uid, path=str(folder))
            except OSError as error:
                why = f"failed to rmdir() volume at path {folder}: {errno_text(error)}"
                errors.append(f"orphaned pod {q(uid)} found, but {why}")
        if not errors and (pod / "volumes").exists():
            errors += self._remove_empty(uid, pod / "volumes")
        if not errors:
            shutil.rmtree(pod, ignore_errors=True)
        return errors

    def _remove_empty(self, uid: str, volumes: Path) -> list[str]:
        """Remove directories only: a file that lies there may be data of a volume that once was mounted."""
        try:
            for folder, _, files in os.walk(volumes, topdown=False):
                if files:
                    raise NotADirectoryError(20, "not a directory", str(Path(folder, files[0])))
                Path(folder).rmdir()
        except OSError as error:
            why = path_error("remove", error.filename, error)
            text = "but error occurred when trying to remove the volumes dir"
            return [f"orphaned pod {q(uid)} found, {text}: {why}"]
        klog.info("kubelet_volumes.go:163", "Cleaned up orphaned pod volumes dir", podUID=uid, path=str(volumes))
        return []


def _folders(volumes: Path) -> list[Path]:
    """Every `volumes/PLUGIN/NAME` directory."""
    with contextlib.suppress(OSError):
        return [folder for plugin in volumes.iterdir() if plugin.is_dir() for folder in plugin.iterdir()]
    return []


def _take_down(folder: Path) -> None:
    own = folder.parent.name in _OWN
    mounts.unmount(folder, lazily=own)
    if mounts.below(folder):
        return
    if own:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # files that lie under a mount point are nobody's to delete
            folder.rmdir()
