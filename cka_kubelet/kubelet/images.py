"""The node's images: a cached list for the node's status, the image file system, and garbage collection."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet import observed, system
from cka_kubelet.kubelet.eviction import StatsError

_REFRESH = 30.0
_COLLECT = 300.0


class ImageManager:
    """Knows the runtime's images and removes unused ones above the high threshold (percent of the file system).

    `record(type, reason, message)` writes a node event; `minimum_age` in seconds.
    """

    def __init__(
        self,
        cri: CRIClient,
        runtime: CRIClient,
        clock: Clock,
        record: Callable[[str, str, str], None],
        *,
        high: int,
        low: int,
        minimum_age: float,
    ) -> None:
        self._cri = cri
        self._runtime = runtime
        self._clock = clock
        self._record = record
        self._high, self._low, self._minimum_age = high, low, minimum_age
        self._filesystem: system.Filesystem | None = None
        self._mountpoint = ""
        self._first_seen: dict[str, float] = {}
        self._last_used: dict[str, float] = {}
        self._failed_before = self._looked = False
        self.images: list[Any] = []

    async def refresh(self) -> None:
        """Every 30 s: the list of images for the node's status."""
        while True:
            try:
                self.images = list(await self._cri.list_images())
                self._note()
            except RpcError as error:
                klog.error("kuberuntime_image.go:117", "Failed to list images", err=error)
                klog.info("image_gc_manager.go:222", "Failed to update image list", err=str(error))
            await asyncio.sleep(_REFRESH)

    async def filesystem(self) -> system.Filesystem | None:
        """The file system that holds images; None when the runtime names none. Raises StatsError."""
        try:
            info = await self._cri.image_fs_info()
        except RpcError as error:
            raise StatsError(f"failed to get imageFs stats: {error}") from error
        for usage in info.image_filesystems:
            try:
                self._filesystem = system.filesystem(usage.fs_id.mountpoint)
            except OSError:
                continue
            self._mountpoint = usage.fs_id.mountpoint
            return self._filesystem
        return None

    def dedicated(self, root_dir: str) -> bool:
        """Whether images lie on another file system than `root_dir`."""
        return bool(self._mountpoint) and Path(self._mountpoint).stat().st_dev != Path(root_dir).stat().st_dev

    async def collect_forever(self) -> None:
        """Garbage-collect every 5 min. The first time, stats are not in yet, and that is an error upstream too."""
        while True:
            problem = await self._collect()
            if problem is None:
                self._failed_before = False
            elif self._failed_before:
                klog.error("kubelet.go:1739", "Image garbage collection failed multiple times in a row", err=problem)
                self._record("Warning", "ImageGCFailed", problem)
            else:
                klog.error(
                    "kubelet.go:1743",
                    "Image garbage collection failed once. Stats initialization may not have completed yet",
                    err=problem,
                )
                self._failed_before = True
            await asyncio.sleep(_COLLECT)

    async def _collect(self) -> str | None:
        filesystem = self._filesystem
        if filesystem is None or filesystem.capacity == 0:
            problem = "invalid capacity 0 on image filesystem"
            self._record("Warning", "InvalidDiskCapacity", problem)
            return problem
        try:
            await self._detect()
        except RpcError as error:
            return str(error)
        usage = 100 - int(filesystem.available * 100 / filesystem.capacity)
        if usage < self._high:
            return None
        amount = filesystem.capacity * (100 - self._low) // 100 - filesystem.available
        klog.info(
            "image_gc_manager.go:399",
            "Disk usage on image filesystem is over the high threshold, trying to free bytes down to the low threshold",
            usage=usage, highThreshold=self._high, amountToFree=amount, lowThreshold=self._low,
        )  # fmt: skip
        freed = await self.free(amount)
        if freed >= amount:
            return None
        problem = (
            f"Failed to garbage collect required amount of images. Attempted to free {amount} bytes, "
            f"but only found {freed} bytes eligible to free."
        )
        self._record("Warning", "FreeDiskSpaceFailed", problem)
        return problem

    def _note(self) -> None:
        """When images appeared; of those that are there at the start nobody knows, so they are old enough to go."""
        moment = self._clock.monotonic() if self._looked else -math.inf
        self._looked = True
        for image in self.images:
            self._first_seen.setdefault(image.id, moment)

    async def _detect(self) -> set[str]:
        """References in use; remembers when each image was first seen and last used."""
        now = self._clock.monotonic()
        self.images = list(await self._cri.list_images())
        containers = await self._runtime.list_containers()
        used = {container.image_ref for container in containers} | {container.image.image for container in containers}
        self._note()
        for image in self.images:
            if image.id in used or used & {*image.repo_tags, *image.repo_digests}:
                self._last_used[image.id] = now
        known = {image.id for image in self.images}
        for table in (self._first_seen, self._last_used):
            for gone in table.keys() - known:
                del table[gone]
        return used

    async def free(self, amount: int) -> int:
        """Remove unused images, least recently used first, until `amount` bytes are free; the bytes freed."""
        try:
            used = await self._detect()
        except RpcError:
            return 0
        now, freed = self._clock.monotonic(), 0
        order = sorted(self.images, key=lambda image: self._last_used.get(image.id, 0.0))
        for image in order:
            in_use = image.id in used or used & {*image.repo_tags, *image.repo_digests}
            if freed >= amount:
                break
            if in_use or image.pinned or now - self._first_seen[image.id] < self._minimum_age:
                continue
            klog.info("image_gc_manager.go:487", "Removing image to free bytes", imageID=image.id, size=image.size)
            try:
                await self._cri.remove_image(_spec(image.id))
            except RpcError:
                continue
            freed += image.size
            observed.images_collected.add("space")
        return freed


def _spec(image_id: str) -> Any:
    from cka_kubelet.cri import api_pb2 as pb

    return pb.ImageSpec(image=image_id)
