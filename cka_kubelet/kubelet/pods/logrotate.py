"""Rotating container logs: every 10 s, at containerLogMaxSize, keeping containerLogMaxFiles (pkg/kubelet/logs)."""

import asyncio
import contextlib
import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import runtime_status as rs

PERIOD = 10.0


class LogRotator:
    """`statuses()` gives all pods' runtime statuses."""

    def __init__(
        self, cri: CRIClient, statuses: Callable[[], Iterable[rs.PodStatus]], max_size: int, max_files: int
    ) -> None:
        self._cri = cri
        self._statuses = statuses
        self._max_size = max_size
        self._max_files = max_files

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            await asyncio.sleep(PERIOD)
            try:
                listed = await self._cri.list_containers(pb.ContainerFilter())
            except RpcError as error:
                text = f"failed to list containers: {error}"
                klog.error("container_log_manager.go:267", "Failed to rotate container logs", err=text)
                continue
            running = {c.id for c in listed if c.state == pb.CONTAINER_RUNNING}
            for status in list(self._statuses()):
                for container in status.running():
                    if container.id in running and container.log_path:
                        await self._rotate(container)

    async def _rotate(self, container: rs.ContainerStatus) -> None:
        log = Path(container.log_path)
        if not self._too_big(log):
            return
        await asyncio.to_thread(self._archive, log)
        rotated = log.with_name(f"{log.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        os.rename(log, rotated)  # noqa: PTH104  # one rename does not stall the loop
        try:
            await self._cri.reopen_container_log(container.id)
        except RpcError as error:
            os.rename(rotated, log)  # noqa: PTH104
            text = f"failed to rotate log {str(log)!r}: {error}"
            klog.error(
                "container_log_manager.go:360",
                "Failed to rotate log for container",
                err=text,
                containerID=container.id,
                path=str(log),
            )

    def _too_big(self, log: Path) -> bool:
        try:
            return log.stat().st_size >= self._max_size
        except OSError:
            return False

    def _archive(self, log: Path) -> None:
        """Compress all but the newest rotated file, and drop the oldest beyond the limit."""
        rotated = sorted(p for p in log.parent.glob(f"{log.name}.*") if not p.name.endswith(".tmp"))
        for old in rotated[: max(0, len(rotated) - (self._max_files - 2))]:
            old.unlink(missing_ok=True)
        for old in rotated[:-1]:
            if old.suffix != ".gz" and old.exists():
                target = old.with_name(f"{old.name}.gz")
                with contextlib.suppress(OSError), old.open("rb") as source, gzip.open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink)
                old.unlink(missing_ok=True)
