"""Rotating container logs: each containerLogMonitorInterval, at containerLogMaxSize, keeping containerLogMaxFiles.

After pkg/kubelet/logs/container_log_manager.go.
"""

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
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.pods import runtime_status as rs


class LogRotator:
    """`statuses()` gives all pods' runtime statuses. `period` in seconds."""

    def __init__(
        self,
        cri: CRIClient,
        statuses: Callable[[], Iterable[rs.PodStatus]],
        max_size: int,
        max_files: int,
        period: float = 10.0,
    ) -> None:
        self._cri = cri
        self._statuses = statuses
        self._max_size = max_size
        self._max_files = max_files
        self._period = period

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            await asyncio.sleep(self._period)
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
            text = f"failed to rotate log {q(str(log))}: {error}"
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
        """Make room for one more rotated file, and compress those that are left: only the next one stays plain."""
        rotated = []
        for file in sorted(log.parent.glob(f"{log.name}.*")):
            half_done = file.suffix == ".tmp" or file.with_name(f"{file.name}.gz").exists()
            if half_done:  # a kubelet that was stopped in the middle left it
                file.unlink(missing_ok=True)
            else:
                rotated.append(file)
        excess = max(0, len(rotated) - (self._max_files - 2))
        for old in rotated[:excess]:
            old.unlink(missing_ok=True)
        for old in rotated[excess:]:
            if old.suffix != ".gz":
                _compress(old)


def _compress(file: Path) -> None:
    part = file.with_name(f"{file.name}.tmp")
    with contextlib.suppress(OSError):
        with file.open("rb") as source, gzip.open(part, "wb") as sink:
            shutil.copyfileobj(source, sink)
        part.rename(f"{file}.gz")
        file.unlink(missing_ok=True)
