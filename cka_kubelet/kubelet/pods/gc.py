"""Removing what dead pods leave: containers, sandboxes, logs, directories, cgroups."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.settings import Settings
from cka_kubelet.kubelet.volumes.teardown import TearDown

KEEP_DEAD = 1
"""Dead containers kept of each name (MaxPerPodContainer)."""


def superfluous(status: rs.PodStatus) -> list[rs.ContainerStatus]:
    """Dead containers beyond the newest of each name. Pure."""
    seen: dict[str, int] = {}
    result = []
    for container in status.containers:
        if container.state != rs.EXITED:
            continue
        seen[container.name] = seen.get(container.name, 0) + 1
        if seen[container.name] > KEEP_DEAD:
            result.append(container)
    return result


def old_sandboxes(status: rs.PodStatus) -> list[rs.Sandbox]:
    """Dead sandboxes that are not the newest and hold no container. Pure."""
    used = {c.sandbox_id for c in status.containers}
    return [s for s in status.sandboxes[1:] if not s.ready and s.id not in used]


class Collector:
    """Carries removals out."""

    def __init__(self, cri: CRIClient, settings: Settings, down: TearDown) -> None:
        self._cri = cri
        self._down = down
        self._settings = settings

    async def containers(self, status: rs.PodStatus, which: list[rs.ContainerStatus]) -> None:
        """Remove containers with their logs and links."""
        for container in which:
            try:
                await self._cri.remove_container(container.id)
            except RpcError as error:
                klog.error("kuberuntime_gc.go:150", "Failed to remove container", err=error, containerID=container.id)
                continue
            self._unlink_log(status, container)

    def _unlink_log(self, status: rs.PodStatus, container: rs.ContainerStatus) -> None:
        if container.log_path:
            log = Path(container.log_path)
            for file in [log, *log.parent.glob(f"{log.name}.*")]:
                with contextlib.suppress(OSError):
                    file.unlink()
        link = f"{status.name}_{status.namespace}_{container.name}-{container.id}.log"
        with contextlib.suppress(OSError):
            (Path(self._settings.container_links) / link).unlink()

    async def sandboxes(self, which: list[rs.Sandbox]) -> None:
        """Stop (again, which is harmless) and remove sandboxes."""
        for sandbox in which:
            try:
                await self._cri.stop_pod_sandbox(sandbox.id)
                await self._cri.remove_pod_sandbox(sandbox.id)
            except RpcError as error:
                klog.error("kuberuntime_gc.go:182", "Failed to remove sandbox", err=error, sandboxID=sandbox.id)

    async def whole_pod(self, status: rs.PodStatus) -> None:
        """Remove everything that the runtime and the disk have of a stopped pod."""
        await self.containers(status, list(status.containers))
        await self.sandboxes(list(status.sandboxes))
        log_dir = Path(self._settings.logs_root) / f"{status.namespace}_{status.name}_{status.uid}"
        await asyncio.to_thread(shutil.rmtree, log_dir, True)

    async def directories(self, alive: set[str]) -> None:
        """Remove /var/lib/kubelet/pods/UID of every pod that is not in `alive`, and log what cannot be removed."""
        found = self.orphaned_directories(alive)
        told = [await self._down.orphan(uid) for uid in found]
        observed.orphans_cleaned.set(len(found))
        observed.orphans_failed.set(sum(1 for texts in told if texts))
        errors = [text for texts in told for text in texts]
        if errors:
            text = "There were many similar errors. Turn up verbosity to see them."
            klog.error("kubelet_volumes.go:263", text, err=errors[0], numErrs=len(errors))
            for error in errors:
                klog.info("kubelet_volumes.go:265", "Orphan pod", v=5, err=error)

    def orphaned_directories(self, alive: set[str]) -> list[str]:
        """uids of pod directories that no pod in `alive` owns."""
        try:
            return [d.name for d in (Path(self._settings.root_dir) / "pods").iterdir() if d.name not in alive]
        except OSError:
            return []

    def dead_links(self) -> None:
        """Remove links in /var/log/containers that lead nowhere."""
        with contextlib.suppress(OSError):
            for link in Path(self._settings.container_links).iterdir():
                if link.is_symlink() and not link.exists():
                    link.unlink(missing_ok=True)
