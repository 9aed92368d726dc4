"""Node-pressure eviction: watch the signals, hold the pressure conditions, reclaim, evict (pkg/kubelet/eviction)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog, quantity
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kubelet import system
from cka_kubelet.kubelet.reserved import SIGNALS, Threshold

Pod = dict[str, Any]

_PERIOD = 10.0
_CONDITIONS = {
    "memory": "MemoryPressure",
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
}


class Observation(NamedTuple):
    """One signal now: what is left and what there is, in bytes, inodes or pids."""

    available: int
    capacity: int


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
    limit = threshold.value(seen.capacity)
    if was_met and threshold.minimum_reclaim:
        text = threshold.minimum_reclaim
        if text.endswith("%"):
            limit += int(seen.capacity * float(text[:-1]) / 100)
        else:
            limit += quantity.parse(text).value()
    return seen.available < limit


class EvictionManager:
    """Evaluates the thresholds every 10 s.

    `image_filesystem` gives the runtime's file system, raising StatsError with the reason; `reclaim` frees images and
    dead containers; `active_pods` and `evict` (pod, message) are the pods' side; `node_known`: the cache has the node.
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
        active_pods: Callable[[], list[Pod]],
        evict: Callable[[Pod, str], Awaitable[None]],
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
        self._evict = evict
        self._first_seen: dict[Threshold, float] = {}
        self._last_seen: dict[str, float] = {}
        self._announced: set[str] = set()

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
            await self._synchronize()
            await asyncio.sleep(_PERIOD)

    async def _synchronize(self) -> None:
        try:
            signals = await self._signals()
        except StatsError as error:
            klog.error("eviction_manager.go:295", "Eviction manager: failed to get summary stats", err=error)
            return
        met = self._met(signals)
        now = self._clock.monotonic()
        for threshold in met:
            self._last_seen[_CONDITIONS[SIGNALS[threshold.signal]]] = now
        due = [threshold for threshold in met if now - self._first_seen[threshold] >= threshold.grace]
        if not due:
            self._announced.clear()
            return
        await self._act(min(due, key=lambda threshold: SIGNALS[threshold.signal] != "memory"), signals)

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
            if threshold.signal in signals
            and exceeded(threshold, signals[threshold.signal], threshold in self._first_seen)
        ]
        now = self._clock.monotonic()
        self._first_seen = {threshold: self._first_seen.get(threshold, now) for threshold in met}
        return met

    async def _act(self, threshold: Threshold, signals: dict[str, Observation]) -> None:
        resource = SIGNALS[threshold.signal]
        klog.info("eviction_manager.go:376", "Eviction manager: attempting to reclaim", resourceName=resource)
        if resource not in self._announced:
            self._announced.add(resource)
            self._record("EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if resource in ("ephemeral-storage", "inodes"):
            await self._reclaim()
            try:
                fresh = await self._signals()
            except StatsError:
                return
            if not exceeded(threshold, fresh[threshold.signal], True):
                return
        klog.info("eviction_manager.go:387", "Eviction manager: must evict pod(s) to reclaim", resourceName=resource)
        pods = rank(self._active_pods())
        if not pods:
            klog.error(
                "eviction_manager.go:391",
                "Eviction manager: eviction thresholds have been met, but no pods are active to evict",
            )
            return
        names = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]
        klog.info("eviction_manager.go:406", "Eviction manager: pods ranked for eviction", pods=names)
        seen = signals[threshold.signal]
        await self._evict(pods[0], eviction_message(resource, threshold, seen))


def eviction_message(resource: str, threshold: Threshold, seen: Observation) -> str:
    """The text of an evicted pod's status."""
    binary = resource in ("memory", "ephemeral-storage")
    form = "BinarySI" if binary else "DecimalSI"
    limit = threshold.quantity or quantity.Quantity.of(threshold.value(seen.capacity), form)
    available = quantity.Quantity.of(seen.available // 1024 * 1024 if binary else seen.available, form)
    return f"The node was low on resource: {resource}. Threshold quantity: {limit}, available: {available}. "


def rank(pods: list[Pod]) -> list[Pod]:
    """First to go first: pods without requests before those with, then low priority, then young; static ones never."""
    able = [
        pod for pod in pods if "kubernetes.io/config.mirror" not in (pod["metadata"].get("annotations") or {})
        and (pod["metadata"].get("annotations") or {}).get("kubernetes.io/config.source") not in ("file", "http")
        and (pod["spec"].get("priority") or 0) < 2_000_000_000
    ]  # fmt: skip
    return sorted(able, key=lambda pod: (_requests(pod), pod["spec"].get("priority") or 0))


def _requests(pod: Pod) -> bool:
    return any((container.get("resources") or {}).get("requests") for container in pod["spec"]["containers"])
