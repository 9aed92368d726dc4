"""Every two seconds: what no source knows of is stopped, and what nothing needs is removed (HandlePodCleanups)."""

import asyncio
import time
from typing import TYPE_CHECKING

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import gc, objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.runtime_reader import RuntimeReader

if TYPE_CHECKING:
    from cka_kubelet.kubelet.pods.manager import PodManager

GC_PERIOD = 60.0


class Housekeeper:
    """Cleans up after pods; never before all sources have spoken, so a restarted kubelet stops nothing by mistake."""

    def __init__(self, manager: "PodManager", reader: RuntimeReader, collector: gc.Collector) -> None:
        self._m = manager
        self._reader = reader
        self._collector = collector
        self._last_gc = 0.0

    async def run(self) -> None:
        """One round."""
        m = self._m
        if not m.pleg.last_ok and not await self._runtime_answers():
            return
        if not (m.sources.ready() and m.pleg.ever_listed):
            return
        for uid, status in list(m.pleg.cache.items()):
            if uid not in m.expected() and await self._exists(status):
                m.stop_orphan(orphan(status))
        alive = m.expected() | set(m.pleg.cache)
        await self._collector.directories(alive)
        for elements in m.cgroups.orphans(alive):
            await asyncio.to_thread(m.cgroups.remove, elements)
        await self._mirrors()
        if time.monotonic() - self._last_gc > GC_PERIOD:
            self._last_gc = time.monotonic()
            for status in list(m.pleg.cache.values()):
                await self._collector.sandboxes(gc.old_sandboxes(status))
            self._collector.dead_links()

    async def _exists(self, status: rs.PodStatus) -> bool:
        """Whether the runtime still has it: the cache may be a moment older than its removal."""
        try:
            now = await self._m.pleg.refresh(status.uid, status.name, status.namespace, settle=True)
        except RpcError:
            return False
        return bool(now.sandboxes or now.containers)

    async def _runtime_answers(self) -> bool:
        try:
            await self._reader.everything()
        except RpcError as error:
            klog.error("kubelet_pods.go:1233", "Error listing containers", err=error)
            klog.error("kubelet.go:2786", "Failed cleaning pods", err=error)
            return False
        return True

    async def _mirrors(self) -> None:
        """Delete mirror pods whose static pod is gone."""
        m = self._m
        busy = m.sources.static_names() | {objects.full_name(w.pod) for w in m.workers.values()}
        for name, pod in list(m.sources.mirrors.items()):
            if name not in busy:
                await m.mirror_client.delete(pod)


def orphan(status: rs.PodStatus) -> objects.Pod:
    """A pod to stop, as far as the runtime's labels tell."""
    return {
        "metadata": {"name": status.name, "namespace": status.namespace, "uid": status.uid},
        "spec": {"containers": [], "terminationGracePeriodSeconds": 30},
    }
