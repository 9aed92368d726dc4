"""What pods use: memory and writable layers by the runtime's figures, logs and emptyDirs by looking at the disk."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.evictionrank import ContainerUsage, Pod, Usage
from cka_kubelet.kubelet.pods import runtime_status as rs


def disk_usage(path: str) -> tuple[int, int]:
    """(bytes allocated, inodes) of a file tree; (0, 0) when it is not there. Hard links count once."""
    seen: set[tuple[int, int]] = set()
    size = 0
    waiting = [path]
    while waiting:
        with contextlib.suppress(OSError):
            found = os.lstat(waiting[-1])
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += found.st_blocks * 512
        here = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if (found.st_dev, found.st_ino) not in seen:
                        seen.add((found.st_dev, found.st_ino))
                        size += found.st_blocks * 512
    return size, len(seen)


class PodUsages:
    """Measures pods. `status(uid)` is a pod's runtime status."""

    def __init__(
        self, cri: CRIClient, root_dir: str, logs_root: str, status: Callable[[str], rs.PodStatus | None]
    ) -> None:
        self._cri = cri
        self._root = root_dir.rstrip("/")
        self._logs = logs_root.rstrip("/")
        self._status = status

    async def of(self, pods: Iterable[Pod]) -> dict[str, Usage]:
        """Usage by uid, of the pods that run; empty when the runtime does not answer."""
        try:
            answer = await self._cri.list_container_stats(pb.ContainerStatsFilter())
        except RpcError:
            return {}
        stats = {item.attributes.id: item for item in answer}
        return await asyncio.to_thread(self._measure, list(pods), stats)

    def _measure(self, pods: list[Pod], stats: dict[str, Any]) -> dict[str, Usage]:
        result = {}
        for pod in pods:
            status = self._status(pod["metadata"].get("uid", ""))
            if status is not None and status.running():
                result[status.uid] = self._pod(pod, status, stats)
        return result

    def _pod(self, pod: Pod, status: rs.PodStatus, stats: dict[str, Any]) -> Usage:
        volumes = {v["name"]: v["emptyDir"] for v in pod["spec"].get("volumes") or () if v.get("emptyDir") is not None}
        base = f"{self._root}/pods/{status.uid}/volumes/kubernetes.io~empty-dir"
        sizes = {name: disk_usage(f"{base}/{name}") for name in volumes}
        on_disk = [sizes[name] for name, source in volumes.items() if source.get("medium") != "Memory"]
        memory = disk = inodes = 0
        containers = []
        for container in status.running():
            item = stats.get(container.id)
            log, log_inodes = disk_usage(f"{self.log_directory(status)}/{container.name}")
            working = item.memory.working_set_bytes.value if item else 0
            layer = item.writable_layer.used_bytes.value if item else 0
            inodes += log_inodes + (item.writable_layer.inodes_used.value if item else 0)
            memory, disk = memory + working, disk + layer + log
            containers.append(ContainerUsage(container.name, working, layer + log))
        disk += sum(size for size, _ in on_disk)
        inodes += sum(count for _, count in on_disk)
        used = {name: size for name, (size, _) in sizes.items()}
        return Usage(memory, disk, inodes, len(containers), tuple(containers), used)

    def log_directory(self, status: rs.PodStatus) -> str:
        """Where the pod's containers log."""
        return f"{self._logs}/{status.namespace}_{status.name}_{status.uid}"
