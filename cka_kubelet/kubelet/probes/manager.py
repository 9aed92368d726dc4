"""Probe workers: one task for each probe of each container, results by container id (pkg/kubelet/prober)."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import objects, verbose
from cka_kubelet.kubelet.pods.events import WARNING, PodEvents
from cka_kubelet.kubelet.probes import checks

KINDS = {"startup": "startupProbe", "liveness": "livenessProbe", "readiness": "readinessProbe"}
StatusOf = Callable[[str], dict[str, Any] | None]
Changed = Callable[[str], None]


class ProbeManager:
    """Runs probes. `status_of(uid)` is the pod's newest API status; `changed(uid)` is called when a result flips."""

    def __init__(self, cri: CRIClient, events: PodEvents, status_of: StatusOf, changed: Changed) -> None:
        self._cri = cri
        self._events = events
        self._status_of = status_of
        self._changed = changed
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._results: dict[tuple[str, str], bool] = {}
        self._born = time.monotonic()
        self._stopping: set[str] = set()
        self.totals: Counter[tuple[str, str, str, str, str, str]] = Counter()

    def add(self, pod: objects.Pod) -> None:
        """Begin the probes that the pod asks for and that do not run yet."""
        for container in objects.all_containers(pod):
            if objects.field_path(pod, container).startswith("spec.init") and not objects.is_sidecar(container):
                continue
            for kind, field in KINDS.items():
                key = (objects.uid(pod), container["name"], kind)
                if container.get(field) and key not in self._tasks:
                    self._tasks[key] = asyncio.create_task(self._work(pod, container, kind), name=f"probe-{key}")

    def stop_liveness(self, uid: str) -> None:
        """The pod is being stopped: only readiness still counts."""
        self._stopping.add(uid)
        for key in [k for k in self._tasks if k[0] == uid and k[2] != "readiness"]:
            self._tasks.pop(key).cancel()

    def remove(self, uid: str) -> None:
        """End all probes of a pod."""
        self._stopping.discard(uid)
        for key in [k for k in self._tasks if k[0] == uid]:
            self._tasks.pop(key).cancel()

    def forget_container(self, container_id: str) -> None:
        """A container's record was removed."""
        for kind in KINDS:
            self._results.pop((kind, container_id), None)

    def failed(self, container_id: str) -> str | None:
        """The probe that condemned the container, or None."""
        for kind in ("liveness", "startup"):
            if self._results.get((kind, container_id)) is False:
                return kind
        return None

    def ready(self, container_id: str) -> bool:
        """Whether its readiness probe last succeeded."""
        return self._results.get(("readiness", container_id)) is True

    def started(self, container_id: str) -> bool:
        """Whether its startup probe has succeeded."""
        return self._results.get(("startup", container_id)) is True

    def stop(self) -> None:
        """End everything."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _work(self, pod: objects.Pod, container: objects.Container, kind: str) -> None:
        probe = container[KINDS[kind]]
        period = float(probe.get("periodSeconds") or 10)
        if period > time.monotonic() - self._born:
            await asyncio.sleep(random.random() * period)  # noqa: S311  # spreads the load after a restart, not a secret
        worker = _Worker(self, pod, container, kind, probe)
        while await worker.probe():  # noqa: ASYNC110  # a period is what a probe has
            await asyncio.sleep(worker.pause(period))

    def set(self, kind: str, container_id: str, value: bool, pod: objects.Pod) -> None:
        """Record a result and tell whoever must act on it."""
        if self._results.get((kind, container_id)) is value:
            return
        self._results[kind, container_id] = value
        verbose.probe(kind, value, pod)
        self._changed(objects.uid(pod))

    def initial(self, kind: str, container_id: str) -> None:
        """What counts before the first probe: unready, alive, not started."""
        if kind == "readiness":
            self._results.setdefault((kind, container_id), False)
        elif kind == "liveness":
            self._results.setdefault((kind, container_id), True)

    async def check(
        self,
        pod: objects.Pod,
        container: objects.Container,
        kind: str,
        probe: dict[str, Any],
        container_id: str,
        ip: str,
    ) -> bool | None:
        """One probe with its event and its count. None: unknown."""
        label = kind.capitalize()
        key = (container["name"], objects.namespace(pod), objects.name(pod), objects.uid(pod), label)
        try:
            outcome = await checks.run(probe, container, container_id, ip, self._cri)
        except checks.ProbeError as error:
            self.totals[*key, "unknown"] += 1
            klog.info(
                "prober.go:104",
                "Probe errored",
                v=1,
                probeType=label,
                pod=objects.key(pod),
                podUID=objects.uid(pod),
                containerName=container["name"],
                probeResult="unknown",
                err=str(error),
            )
            text = f"{label} probe errored and resulted in unknown state: {error}"
            self._events.container(pod, container, WARNING, "Unhealthy", text)
            return None
        self.totals[*key, "successful" if outcome.ok else "failed"] += 1
        if not outcome.ok:
            self._events.container(pod, container, WARNING, "Unhealthy", f"{label} probe failed: {outcome.output}")
        elif outcome.warning:
            self._events.container(pod, container, WARNING, "ProbeWarning", f"{label} probe warning: {outcome.output}")
        return outcome.ok

    def status_of(self, uid: str) -> dict[str, Any] | None:
        """The pod's newest status."""
        return self._status_of(uid)


class _Worker:
    """One probe of one container over its lives."""

    def __init__(
        self, manager: ProbeManager, pod: objects.Pod, container: objects.Container, kind: str, probe: dict[str, Any]
    ) -> None:
        self._manager = manager
        self._pod = pod
        self._container = container
        self._kind = kind
        self._probe = probe
        self._id = ""
        self._on_hold = False
        self._last: bool | None = None
        self._run = 0
        self._early = False

    def pause(self, period: float) -> float:
        """Seconds until the next look: soon while the container is not there yet, else the period."""
        return min(period, 0.5) if self._early else period

    async def probe(self) -> bool:
        """One round; False when this probe is over."""
        uid = objects.uid(self._pod)
        self._early = True
        status = self._manager.status_of(uid)
        if status is None:
            return True
        if status.get("phase") in ("Failed", "Succeeded"):
            return False
        state = self._find(status)
        if state is None or not state.get("containerID"):
            return True
        container_id = state["containerID"].partition("://")[2]
        if container_id != self._id:
            self._id, self._on_hold, self._last, self._run = container_id, False, None, 0
            self._manager.initial(self._kind, container_id)
        if self._on_hold:
            return True
        running = state["state"].get("running")
        if running is None:
            if self._kind != "startup":
                self._manager.set(self._kind, container_id, False, self._pod) if self._kind == "readiness" else None
            return not state["state"].get("terminated") or objects.restart_policy(self._pod) != "Never"
        if time.time() - _epoch(running["startedAt"]) < float(self._probe.get("initialDelaySeconds") or 0):
            return True
        if self._kind == "startup" and state.get("started"):
            return True
        if self._kind != "startup" and not state.get("started"):
            return True
        self._early = False
        self._judge(
            await self._manager.check(
                self._pod, self._container, self._kind, self._probe, container_id, self._ip(status)
            )
        )
        return True

    def _judge(self, ok: bool | None) -> None:
        if ok is None:
            return
        self._run = self._run + 1 if ok is self._last else 1
        self._last = ok
        threshold = int(self._probe.get("successThreshold" if ok else "failureThreshold") or (1 if ok else 3))
        if self._run < threshold:
            return
        if not ok and self._kind in ("liveness", "startup"):
            self._on_hold = True
            self._run = 0
        self._manager.set(self._kind, self._id, ok, self._pod)

    def _find(self, status: dict[str, Any]) -> dict[str, Any] | None:
        every = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        return next((c for c in every if c["name"] == self._container["name"]), None)

    def _ip(self, status: dict[str, Any]) -> str:
        return str(status.get("podIP") or status.get("hostIP") or "127.0.0.1")


def _epoch(stamp: str) -> float:
    from calendar import timegm

    return float(timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
