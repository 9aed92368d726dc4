"""Node-pressure eviction: watch the signals, hold the pressure conditions, reclaim, evict (pkg/kubelet/eviction)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog, quantity
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet import evictionrank, observed, system
from cka_kubelet.kubelet.evictionrank import Observation, Pod, Usage
from cka_kubelet.kubelet.reserved import SIGNALS, Threshold

_PERIOD = 10.0
_CLEANUP_PERIOD, _CLEANUP_TIMEOUT = 1.0, 30.0
_HARD_GRACE = 1
_CONDITIONS = {
    "memory": "MemoryPressure",
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
}


class StatsError(Exception):
    """The signals cannot be had; str() follows `failed to get summary stats`."""


def observe(root_dir: str, image_filesystem: system.Filesystem | None) -> dict[str, Observation]:
    """All signals of this machine. Raises OSError when `root_dir` is gone."""
    memory, node = system.memory(), system.filesystem(root_dir)
    most, running = system.processes()
    images = image_filesystem or node
    return {
        "memory.available": Observation(memory.available, memory.total),
        "nodefs.available": Observation(node.available, node.capacity),
        "nodefs.inodesFree": Observation(node.inodes_free, node.inodes),
        "imagefs.available": Observation(images.available, images.capacity),
        "imagefs.inodesFree": Observation(images.inodes_free, images.inodes),
        "pid.available": Observation(most - running, most),
    }


def exceeded(threshold: Threshold, seen: Observation, was_met: bool) -> bool:
    """Whether a threshold is met; one that was stays met until its minimum reclaim is there too."""
    if not seen.capacity:
        return False
    limit = evictionrank.limit(threshold, seen.capacity).value()
    if was_met and threshold.minimum_reclaim:
        text = threshold.minimum_reclaim
        if text.endswith("%"):
            limit += int(seen.capacity * float(text[:-1]) / 100)
        else:
            limit += quantity.parse(text).value()
    return seen.available < limit


def _name(pod: Pod) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


class EvictionManager:
    """Evaluates the thresholds every 10 s.

    `image_filesystem` gives the runtime's file system, raising StatsError with the reason; `dedicated_images` tells
    whether it is another one than the kubelet's; `reclaim` frees images and dead containers; `active_pods`, `usages`
    (by uid), `evict` (pod, message, grace in seconds; returns when nothing of it runs or it would not stop) and
    `cleaned_up` (nothing of this pod is left) are the pods' side; `node_known`: the cache has the node. `max_grace` is
    evictionMaxPodGracePeriod, in seconds.
    """

    def __init__(
        self,
        clock: Clock,
        thresholds: list[Threshold],
        root_dir: str,
        transition_period: float,
        *,
        image_filesystem: Callable[[], Awaitable[system.Filesystem | None]],
        node_name: str,
        node_known: Callable[[], bool],
        record: Callable[[str, str], None],
        reclaim: Callable[[], Awaitable[None]],
        dedicated_images: Callable[[], bool],
        active_pods: Callable[[], list[Pod]],
        usages: Callable[[Iterable[Pod]], Awaitable[dict[str, Usage]]],
        evict: Callable[[Pod, str, int], Awaitable[None]],
        cleaned_up: Callable[[Pod], bool],
        max_grace: int = 0,
    ) -> None:
        self._clock = clock
        self._thresholds = thresholds
        self._root_dir = root_dir
        self._transition = transition_period
        self._image_filesystem = image_filesystem
        self._node_name = node_name
        self._node_known = node_known
        self._record = record
        self._reclaim = reclaim
        self._active_pods = active_pods
        self._dedicated_images = dedicated_images
        self._usages = usages
        self._evict = evict
        self._cleaned_up = cleaned_up
        self._max_grace = max_grace
        self._first_seen: dict[Threshold, float] = {}
        self._last_seen: dict[str, float] = {}
        self._due: set[Threshold] = set()

    def pressure(self) -> set[str]:
        """Condition types that hold now, those within their transition period included."""
        now = self._clock.monotonic()
        held = {_CONDITIONS[SIGNALS[threshold.signal]] for threshold in self._first_seen}
        return held | {name for name, at in self._last_seen.items() if now - at < self._transition}

    async def run(self) -> None:
        """Evaluate until cancelled."""
        klog.info("eviction_manager.go:194", "Eviction manager: starting control loop")
        klog.error(
            "eviction_manager.go:272",
            "eviction manager: failed to check if we have separate container filesystem. Ignoring.",
            err="no imagefs label for configured runtime",
        )
        while True:
            evicted = await self.synchronize()
            if evicted:
                await self._wait_for_cleanup(evicted)
            else:
                await asyncio.sleep(_PERIOD)

    async def _wait_for_cleanup(self, pods: list[Pod]) -> None:
        """What they held must be free, and seen to be, before the next pod is judged."""
        names = [_name(pod) for pod in pods]
        text = "Eviction manager: pods evicted, waiting for pod to be cleaned up"
        klog.info("eviction_manager.go:213", text, pods=names)
        deadline = self._clock.monotonic() + _CLEANUP_TIMEOUT
        while self._clock.monotonic() < deadline:
            await asyncio.sleep(_CLEANUP_PERIOD)
            if all(self._cleaned_up(pod) for pod in pods):
                klog.info("eviction_manager.go:461", "Eviction manager: pods successfully cleaned up", pods=names)
                return
        text = "Eviction manager: timed out waiting for pods to be cleaned up"
        klog.info("eviction_manager.go:453", text, pods=names)

    async def synchronize(self) -> list[Pod]:
        """Look once, and act; the pods that were evicted (then it is worth looking again soon)."""
        try:
            signals = await self._signals()
        except StatsError as error:
            klog.error("eviction_manager.go:295", "Eviction manager: failed to get summary stats", err=error)
            return []
        met = self._met(signals)
        now = self._clock.monotonic()
        for threshold in met:
            self._last_seen[_CONDITIONS[SIGNALS[threshold.signal]]] = now
        due = [threshold for threshold in met if now - self._first_seen[threshold] >= threshold.grace]
        self._due = set(due)
        if evicted := await self._enforce_local_limits():
            return evicted
        if not due:
            return []
        due.sort(key=lambda threshold: SIGNALS[threshold.signal] != "memory")
        return await self._act(due, signals)

    async def _enforce_local_limits(self) -> list[Pod]:
        """Evict pods whose emptyDirs, logs and writable layers outgrew the limits they state themselves."""
        pods = [pod for pod in self._active_pods() if evictionrank.limits_storage(pod)]
        usages = await self._usages(pods) if pods else {}
        evicted = []
        for pod in pods:
            usage = usages.get(pod["metadata"]["uid"])
            excess = evictionrank.storage_excess(pod, usage) if usage else None
            if excess and await self._try(pod, excess, _HARD_GRACE):
                evicted.append(pod)
        return evicted

    async def _signals(self) -> dict[str, Observation]:
        if not self._node_known():
            raise StatsError(f"failed to get node info: node {quote(self._node_name)} not found")
        filesystem = await self._image_filesystem()
        try:
            return observe(self._root_dir, filesystem)
        except OSError as error:
            raise StatsError(f"failed to get rootFs stats: {error}") from error

    def _met(self, signals: dict[str, Observation]) -> list[Threshold]:
        met = [
            threshold
            for threshold in self._thresholds
            if threshold.signal in signals and exceeded(threshold, signals[threshold.signal], threshold in self._due)
        ]
        now = self._clock.monotonic()
        self._first_seen = {threshold: self._first_seen.get(threshold, now) for threshold in met}
        return met

    async def _act(self, due: list[Threshold], signals: dict[str, Observation]) -> list[Pod]:
        threshold = due[0]
        resource = SIGNALS[threshold.signal]
        klog.info("eviction_manager.go:376", "Eviction manager: attempting to reclaim", resourceName=resource)
        self._record("EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if self._reclaimable(threshold) and await self._relieved():
            text = "Eviction manager: able to reduce resource pressure without evicting pods."
            klog.info("eviction_manager.go:383", text, resourceName=resource)
            return []
        klog.info("eviction_manager.go:387", "Eviction manager: must evict pod(s) to reclaim", resourceName=resource)
        active = self._active_pods()
        if not active:
            klog.error(
                "eviction_manager.go:391",
                "Eviction manager: eviction thresholds have been met, but no pods are active to evict",
            )
            return []
        usages = await self._usages(active)
        pods = evictionrank.rank(resource, active, usages)
        names = [_name(pod) for pod in pods]
        klog.info("eviction_manager.go:406", "Eviction manager: pods ranked for eviction", pods=names)
        for pod in pods:
            usage = usages.get(pod["metadata"].get("uid", ""))
            text = evictionrank.message(resource, pod, usage, threshold, signals[threshold.signal])
            if await self._try(pod, text, self._grace(pod, threshold)):
                observed.evictions.add(threshold.signal)
                return [pod]
        klog.info("eviction_manager.go:441", "Eviction manager: unable to evict any pods from the node")
        return []

    def _grace(self, pod: Pod, threshold: Threshold) -> int:
        if not threshold.grace:
            return _HARD_GRACE
        own = pod["spec"].get("terminationGracePeriodSeconds")
        return self._max_grace if own is None else min(self._max_grace, int(own))

    async def _try(self, pod: Pod, message: str, grace: int) -> bool:
        """Evict one pod and wait until it is gone; False for those that must stay."""
        metadata = pod["metadata"]
        shown = klog.KObj(metadata["namespace"], metadata["name"])
        if evictionrank.critical(pod):
            klog.error("eviction_manager.go:584", "Eviction manager: cannot evict a critical pod", pod=shown)
            return False
        await self._evict(pod, message, grace)
        klog.info("eviction_manager.go:617", "Eviction manager: pod is evicted successfully", pod=shown)
        return True

    def _reclaimable(self, threshold: Threshold) -> bool:
        """Whether removing images and dead containers can help: not where they are on a disk of their own."""
        if SIGNALS[threshold.signal] not in ("ephemeral-storage", "inodes"):
            return False
        return not (threshold.signal.startswith("nodefs") and self._dedicated_images())

    async def _relieved(self) -> bool:
        """Reclaim on the node's level; whether no threshold is met any more, minimum reclaim included."""
        await self._reclaim()
        try:
            fresh = await self._signals()
        except StatsError as error:
            text = "Eviction manager: failed to get summary stats after resource reclaim"
            klog.error("eviction_manager.go:490", text, err=error)
            return False
        return not any(exceeded(t, fresh[t.signal], True) for t in self._thresholds if t.signal in fresh)
