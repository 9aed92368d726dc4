"""The generic pod lifecycle event generator: once a second ask the runtime what runs, tell whose pods changed."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods import verbose
from cka_kubelet.kubelet.pods.runtime_reader import RuntimeReader, States, states_of

RELIST_PERIOD = 1.0
RELIST_THRESHOLD = 180.0

Changed = Callable[[str, set[str]], None]


class PLEG:
    """Keeps `cache` (pod uid → PodStatus), calls `changed(uid, ids of dead containers)` for every pod that moved."""

    def __init__(
        self, reader: RuntimeReader, changed: Changed, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._changed = changed
        self._monotonic = monotonic
        self._last_relist: float | None = None
        self._seen: dict[str, States] = {}
        self._retry: set[str] = set()
        self._nudge = asyncio.Event()
        self.last_ok = True
        self.cache: dict[str, rs.PodStatus] = {}

    def healthy(self) -> str | None:
        """None, or what is wrong (RuntimeState's health check "PLEG")."""
        if self._last_relist is None:
            return "pleg has yet to be successful"
        elapsed = self._monotonic() - self._last_relist
        if elapsed > RELIST_THRESHOLD:
            limit = format_duration(RELIST_THRESHOLD)
            return f"pleg was last seen active {format_duration(elapsed)} ago; threshold is {limit}"
        return None

    def last_seen(self) -> float:
        """When it last succeeded, seconds since the epoch; 0 for never."""
        return 0.0 if self._last_relist is None else time.time() - (self._monotonic() - self._last_relist)

    @property
    def ever_listed(self) -> bool:
        """Whether the cache reflects the runtime at all."""
        return self._last_relist is not None

    def relist_soon(self) -> None:
        """Do not wait for the period's end."""
        self._nudge.set()

    async def run(self) -> None:
        """Relist for ever, until cancelled."""
        while True:
            await self.relist()
            self._nudge.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELIST_PERIOD):
                    await self._nudge.wait()

    async def relist(self) -> bool:
        """One round; False when the runtime did not answer (logged)."""
        began = self._monotonic()
        try:
            sandboxes, containers = await self._reader.everything()
        except RpcError as error:
            self.last_ok = False
            klog.error("generic.go:254", "GenericPLEG: Unable to retrieve pods", err=error)
            return False
        self.last_ok = True
        if self._last_relist is not None:
            observed.relist_interval.add(began - self._last_relist)
        self._last_relist = began
        by_pod: dict[str, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
        for sandbox in sandboxes:
            by_pod[sandbox.metadata.uid][0].append(sandbox)
        for container in containers:
            by_pod[container.labels[rs.L_UID]][1].append(container)
        await self._compare(by_pod)
        observed.relist_seconds.add(self._monotonic() - began)
        return True

    async def _compare(self, by_pod: dict[str, tuple[list[Any], list[Any]]]) -> None:
        for uid in self._seen.keys() - by_pod.keys():
            gone = self._seen.pop(uid)
            self.cache.pop(uid, None)
            self._changed(uid, {i for i, (_, kind) in gone.items() if kind})
        moved = []
        for uid, (sandboxes, containers) in by_pod.items():
            now = states_of(sandboxes, containers)
            if now != self._seen.get(uid) or uid in self._retry:
                moved.append((uid, now, sandboxes, containers))
        await asyncio.gather(*(self._update(*item) for item in moved))

    async def _update(self, uid: str, now: States, sandboxes: list[Any], containers: list[Any]) -> None:
        first = sandboxes[0].metadata if sandboxes else None
        name = first.name if first else containers[0].labels.get(rs.L_POD, "")
        namespace = first.namespace if first else containers[0].labels.get(rs.L_NAMESPACE, "")
        try:
            self.cache[uid] = await self._reader.assemble(uid, name, namespace, sandboxes, containers)
        except RpcError as error:
            self._retry.add(uid)
            pod = klog.KRef(namespace, name)
            klog.info("generic.go:432", "PLEG: Ignoring events for pod", v=4, pod=pod, err=str(error))
            return
        self._retry.discard(uid)
        before = self._seen.get(uid, {})
        self._seen[uid] = now
        verbose.lifecycle(uid, klog.KObj(namespace, name), before, now)
        dead = {i for i, (state, kind) in now.items() if kind and state == "2" and before.get(i, ("", 1))[0] != "2"}
        if any(before.get(i) != state for i, state in now.items()):  # a mere removal needs no sync
            self._changed(uid, dead)

    async def refresh(self, uid: str, name: str, namespace: str, *, settle: bool) -> rs.PodStatus:
        """Ask for one pod now and keep the answer; with `settle` the changes found count as told. Raises RpcError."""
        status, states = await self._reader.pod_status(uid, name, namespace)
        if states:
            self.cache[uid] = status
            if settle:
                verbose.lifecycle(uid, klog.KObj(namespace, name), self._seen.get(uid, {}), states)
                self._seen[uid] = states
        else:
            self.cache.pop(uid, None)
        return status
