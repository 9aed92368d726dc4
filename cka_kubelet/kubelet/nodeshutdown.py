"""Graceful node shutdown: hold logind's delay lock, and stop the pods in order when a shutdown begins.

pkg/kubelet/nodeshutdown. Durations in seconds.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.logind import Logind, LogindError

Object = dict[str, Any]

REASON = "Terminated"
MESSAGE = "Pod was terminated in response to imminent node shutdown."
_FILE = "nodeshutdown_manager_linux.go"
_CRITICAL = 2_000_000_000
_RECONNECT = 1.0


class Period(NamedTuple):
    """Pods of at least `priority` get `seconds`."""

    priority: int
    seconds: int


class Group(NamedTuple):
    """The pods that are stopped together."""

    period: Period
    pods: list[Object]


def periods(config: KubeletConfiguration) -> list[Period]:
    """By priority, lowest first; none when nothing is configured."""
    given = config.get("shutdownGracePeriodByPodPriority") or []
    if given:
        found = (Period(int(item["priority"]), int(item["shutdownGracePeriodSeconds"])) for item in given)
        return sorted(found)
    total, critical = config.duration("shutdownGracePeriod"), config.duration("shutdownGracePeriodCriticalPods")
    if total <= 0 or critical > total:
        return []
    return [Period(0, int(total - critical)), Period(_CRITICAL, int(critical))]


def grouped(order: list[Period], pods: Iterable[Object]) -> list[Group]:
    """Each pod in the group of the highest period that is not above its priority, or in the lowest."""
    groups = [Group(period, []) for period in order]
    for pod in pods:
        priority = int(pod["spec"].get("priority") or 0)
        fitting = [group for group in groups if group.period.priority <= priority]
        (fitting[-1] if fitting else groups[0]).pods.append(pod)
    return groups


class ShutdownManager:
    """Watches for shutdowns. `shutting_down` is what admission and the node's Ready condition ask.

    `pods` gives the active pods; `terminate(pod, grace)` stops one and returns when it has ended; `sync_node` reports
    the node's status at once; `event(type, reason, message)` writes a node event.
    """

    def __init__(
        self,
        config: KubeletConfiguration,
        root_dir: str,
        *,
        pods: Callable[[], list[Object]],
        terminate: Callable[[Object, int], Coroutine[Any, Any, None]],
        sync_node: Callable[[], Coroutine[Any, Any, None]],
        event: Callable[[str, str, str], None],
        logind: Callable[[Callable[[bool], None]], Logind] = Logind,
    ) -> None:
        self._order = periods(config)
        self._state = Path(root_dir) / "graceful_node_shutdown_state"
        self._pods = pods
        self._terminate = terminate
        self._sync_node = sync_node
        self._event = event
        self._connect = logind
        self._logind: Logind | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.shutting_down = False
        shown = [{"Priority": period.priority, "ShutdownGracePeriodSeconds": period.seconds} for period in self._order]
        klog.info(
            f"{_FILE}:130", "Creating node shutdown manager",
            shutdownGracePeriodRequested=format_duration(config.duration("shutdownGracePeriod")),
            shutdownGracePeriodCriticalPods=format_duration(config.duration("shutdownGracePeriodCriticalPods")),
            shutdownGracePeriodByPodPriority=shown,
        )  # fmt: skip

    async def run(self) -> None:
        """Keep the lock and the watch until cancelled; the first failure ends it, as upstream's start does."""
        try:
            logind: Logind | None = await self._start()
        except LogindError as error:
            klog.error("kubelet.go:1874", "Failed to start node shutdown manager", err=error)
            return
        while True:
            if logind is not None:
                await logind.closed.wait()
                klog.error(f"{_FILE}:279", "Ended to watching the node for shutdown events")
            await asyncio.sleep(_RECONNECT)
            klog.info(f"{_FILE}:190", "Restarting watch for node shutdown events", v=1)
            try:
                logind = await self._start()
            except LogindError as error:
                logind = None
                klog.error(f"{_FILE}:193", "Unable to watch the node for shutdown events", err=error)

    async def _start(self) -> Logind:
        logind = self._connect(self._on_shutdown)
        try:
            await logind.connect()
            await self._ensure_delay(logind)
            await logind.inhibit()
        except LogindError:
            logind.close()
            raise
        self._logind = logind
        return logind

    async def _ensure_delay(self, logind: Logind) -> None:
        """Have logind wait as long as all periods together."""
        wanted = float(sum(period.seconds for period in self._order))
        if wanted <= await logind.inhibit_delay():
            return
        try:
            await logind.override_delay(wanted)
        except LogindError as error:
            raise LogindError(f"unable to override inhibit delay by shutdown manager: {error}") from error
        found = await logind.inhibit_delay()
        if wanted > found:
            raise LogindError(
                f"node shutdown manager was unable to update logind InhibitDelayMaxSec to {format_duration(wanted)} "
                f"(ShutdownGracePeriod), current value of InhibitDelayMaxSec ({format_duration(found)}) is less than "
                "requested ShutdownGracePeriod"
            )

    def _on_shutdown(self, begins: bool) -> None:
        word = "shutdown" if begins else "cancelled"
        klog.info(f"{_FILE}:291", "Shutdown manager detected new shutdown event", v=1, event=word)
        what = "event" if begins else "cancellation"
        self._event("Normal", "Shutdown", f"Shutdown manager detected shutdown {what}")
        self.shutting_down = begins
        if begins:
            self._spawn(self._sync_node())
            self._spawn(self._process())
        else:
            self._spawn(self._again())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self) -> None:
        """The shutdown was called off: take the lock again."""
        try:
            if self._logind is not None:
                await self._logind.inhibit()
        except LogindError as error:
            klog.error(f"{_FILE}:193", "Unable to watch the node for shutdown events", err=error)

    async def _process(self) -> None:
        klog.info(f"{_FILE}:355", "Shutdown manager processing shutdown event", v=1)
        started = time.time()
        self._store(started, 0.0)
        try:
            for group in grouped(self._order, self._pods()):
                await self._stop(group)
        finally:
            self._store(started, time.time())
            if self._logind is not None:
                self._logind.release()
            klog.info(
                f"{_FILE}:360", "Shutdown manager completed processing shutdown event, node will shutdown shortly", v=1
            )

    async def _stop(self, group: Group) -> None:
        if not group.pods:
            return
        stopping = [asyncio.ensure_future(self._stop_pod(pod, group.period.seconds)) for pod in group.pods]
        _, late = await asyncio.wait(stopping, timeout=group.period.seconds)
        if late:
            klog.info(
                f"{_FILE}:450", "Shutdown manager pod killing time out", v=1, gracePeriod=group.period.seconds,
                priority=group.period.priority,
            )  # fmt: skip

    async def _stop_pod(self, pod: Object, seconds: int) -> None:
        own = pod["spec"].get("terminationGracePeriodSeconds")
        grace = own if own is not None and own <= seconds else seconds
        name = klog.KObj(pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        klog.info(f"{_FILE}:400", "Shutdown manager killing pod with gracePeriod", v=1, pod=name, gracePeriod=grace)
        await self._terminate(pod, grace)
        klog.info(f"{_FILE}:430", "Shutdown manager finished killing pod", v=1, pod=name)

    def _store(self, started: float, ended: float) -> None:
        """Upstream's state file, for its two metrics after the next boot."""
        stamps = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)) for stamp in (started, ended)]
        state = {"startTime": stamps[0], "endTime": stamps[1] if ended else "0001-01-01T00:00:00Z"}
        observed.shutdown_began.set(started)
        observed.shutdown_ended.set(ended)
        try:
            self._state.write_text(json.dumps(state))
        except OSError as error:
            klog.error(f"{_FILE}:370", "Failed to store graceful shutdown state", err=error)
