"""One task for each pod: sync until it must end, stop it, tidy up (pkg/kubelet/pod_workers.go)."""

import asyncio
import calendar
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import join_errors
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import mirror, objects, podstart, resize, verbose
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods import status as api_status
from cka_kubelet.kubelet.pods.cgroups import CgroupError
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING
from cka_kubelet.kubelet.pods.runtime import SyncFailed
from cka_kubelet.kubelet.volumes.manager import VolumeError

if TYPE_CHECKING:
    from cka_kubelet.kubelet.pods.manager import PodManager

BACK_OFF = 10.0
"""Seconds, plus up to half as much, until a failed sync is tried again; 1 s when only the network is not ready.

A pod that only waits for a crashed container is left alone until that may start (pod_workers.go completeWork): until
then its status shows the crash, not the waiting."""


class _NetworkNotReady(Exception):
    pass


class PodWorker:
    """Owns one pod, from its arrival until nothing of it is left on the node."""

    def __init__(self, manager: "PodManager", pod: objects.Pod) -> None:
        self._m = manager
        self._spec = pod
        self.pod = resize.before(pod) or pod
        self.uid = objects.uid(pod)
        self.terminating = False
        self.finished = False
        self.removed = False
        self._grace: int | None = None
        self._final: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._sync: asyncio.Task[float] | None = None
        self.resize_pending: tuple[str, str] | None = None
        self._resizing = False
        self._resize_error = ""
        self._granted = self.pod is pod  # else once all pods that came with it are known, which claim resources too
        self._fresh = True
        self._born = time.monotonic()
        self._resize_began = 0.0
        self._start = podstart.Start(pod) if not objects.is_static(pod) else None
        self.task = asyncio.create_task(self._run(), name=f"pod-{objects.key(pod)}")

    def update(self, pod: objects.Pod) -> None:
        """A newer version of the pod arrived. Our own status coming back needs no sync, a readiness gate's does."""
        changed = objects.desired(pod) != objects.desired(self._spec) or objects.gates(pod) != objects.gates(self._spec)
        self._spec = pod
        if self._start is not None and self._start.shown(pod, self._m.now()):
            self._start = None
        self._grant()
        if objects.deleted(pod):
            self.terminate()
        if changed:
            self.wake()

    def _grant(self) -> None:
        """Decide which resources the pod gets: those of its spec, or, while they do not fit, those it had."""
        before, self._granted = self.resize_pending, True
        self.pod, self.resize_pending = self._m.grant(self._spec)
        if self.resize_pending and self.resize_pending != before:
            reason, text = self.resize_pending
            if reason == "Infeasible":
                observed.infeasible_resizes.add("insufficient_node_allocatable")
            klog.info("allocation_manager.go:590", text, v=3, pod=objects.key(self.pod), reason=reason)

    def wake(self) -> None:
        """Something about the pod changed: sync now."""
        self._wake.set()

    def probed(self) -> None:
        """A probe's verdict changed: a pod that is being stopped shows it meanwhile, any other at its next sync."""
        if self.terminating and not self.finished:
            self._m.statuses.set(self.pod, self._generate(self._runtime_status()))
        self.wake()

    def terminate(self, grace: int | None = None, reason: str = "", message: str = "") -> None:
        """Stop the pod; `reason` and `message` become its final status (Evicted, DeadlineExceeded)."""
        if reason:
            self._final = {"reason": reason, "message": message}
        if grace is not None:
            self._grace = grace
        if not self.terminating:
            self.terminating = True
            if self._sync is not None and self._sync is not asyncio.current_task():
                self._sync.cancel()
        self.wake()

    @property
    def resizing(self) -> bool:
        """Whether its containers are being brought to other resources."""
        return self._resizing

    async def _run(self) -> None:
        observed.worker_start_seconds.add(time.monotonic() - self._born)
        while not self.finished:
            self._wake.clear()
            if self.terminating:
                delay = await self._guard(self._terminate())
            else:
                self._sync = asyncio.create_task(self._guard(self._sync_once()))
                try:
                    delay = await self._sync
                except asyncio.CancelledError:
                    if not self.terminating:
                        self._sync.cancel()
                        raise
                    delay = 0.0
            if self.finished:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(delay, 0.0)):
                    await self._wake.wait()
        self._m.worker_finished(self)

    async def _guard(self, work: Any) -> float:
        """Run one step; log what it raises as upstream's workers do. The seconds until the next look."""
        began = time.monotonic()
        try:
            return float(await work)
        except _NetworkNotReady as error:
            text, delay = str(error), 1.0
        except (SyncFailed, VolumeError, CgroupError, RpcError, OSError) as error:
            retry_at = error.retry_at if isinstance(error, SyncFailed) else None
            delay = retry_delay(retry_at, self._m.now(), self._m.settings.sync_frequency)
            text, delay = str(error), delay * (1 + random.random() / 2)  # noqa: S311  # jitter
        except Exception as error:  # a defect of ours must not leave the pod without its worker
            klog.unhandled("runtime.go:290", f"panic: {type(error).__name__}: {error}")
            text, delay = f"{type(error).__name__}: {error}", BACK_OFF
        finally:
            observed.worker_seconds.add(time.monotonic() - began, "create" if self._fresh else "sync")
            self._fresh = False
        klog.error(
            "pod_workers.go:1324", "Error syncing pod, skipping", err=text, pod=objects.key(self.pod), podUID=self.uid
        )
        if not self.terminating:
            with contextlib.suppress(RpcError):
                await self._refresh(settle=False)
        return delay

    async def _refresh(self, *, settle: bool) -> rs.PodStatus:
        return await self._m.pleg.refresh(self.uid, objects.name(self.pod), objects.namespace(self.pod), settle=settle)

    def _runtime_status(self) -> rs.PodStatus:
        return self._m.pleg.cache.get(self.uid) or rs.empty(self.pod)

    def _show(self, status: dict[str, Any]) -> None:
        if status["phase"] == "Running" and (self._m.statuses.get(self.uid) or {}).get("phase") == "Pending":
            observed.pod_start_seconds.add(time.monotonic() - self._born)
        self._m.statuses.set(self.pod, status)

    def _generate(self, runtime: rs.PodStatus, terminal: bool = False) -> dict[str, Any]:
        m = self._m
        view = api_status.View(
            now=m.now(),
            host_ips=m.host_ips(),
            old=m.statuses.get(self.uid) or self.pod.get("status") or {},
            ready=m.probes.ready,
            started=m.probes.started,
            failure=self._failure,
            terminal=terminal,
            resize=self._resize_conditions(),
            foreign=objects.conditions(self._spec),
        )
        status = api_status.generate(self.pod, runtime, view)
        if self._final:
            status.update(phase="Failed", **self._final)
            if self._final["reason"] in ("Evicted", "Terminated"):
                api_status.disrupted(status, self._final["message"], view.old, m.now())
        return status

    def _resize_conditions(self) -> list[tuple[str, str, str]]:
        found = [(resize.PENDING, *self.resize_pending)] if self.resize_pending else []
        if self._resizing:
            found.append((resize.IN_PROGRESS, "Error" if self._resize_error else "", self._resize_error))
        return found

    async def _resize(self, runtime: rs.PodStatus) -> rs.PodStatus:
        """Bring running containers to the resources that were granted; the newest state."""
        m, pod = self._m, self.pod
        if not resize.unfinished(pod, runtime):
            if self._resizing:
                self._resizing, self._resize_error = False, ""
                observed.resize_milliseconds.add((time.monotonic() - self._resize_began) * 1000, "true")
                m.events.pod(pod, NORMAL, "ResizeCompleted", resize.message(pod, "Pod resize completed"))
                m.statuses.set(pod, self._generate(runtime))
            return runtime
        if not self._resizing:
            self._resizing, self._resize_began = True, time.monotonic()
            m.events.pod(pod, NORMAL, "ResizeStarted", resize.message(pod, "Pod resize started"))
        await asyncio.to_thread(m.cgroups.limit_pod, pod)  # before, for what grows
        try:
            await m.runtime.resize(pod, runtime)
        except RpcError as error:
            self._resize_error = str(error)
            raise
        await asyncio.to_thread(m.cgroups.limit_pod, pod)  # after, for what shrinks
        self.wake()
        return await self._refresh(settle=False)

    def _failure(self, container: str) -> tuple[str, str] | None:
        error = self._m.runtime.start_results.get((self.uid, container))
        return (error.reason, error.message) if error else None

    async def _sync_once(self) -> float:
        if self.resize_pending or not self._granted:
            self._grant()
        m, pod = self._m, self.pod
        verbose.step("SyncPod enter", pod)
        runtime = self._runtime_status()
        status = self._generate(runtime)
        if self._past_deadline(status):
            text = "Pod was active on the node longer than the specified deadline"
            m.events.pod(pod, NORMAL, "DeadlineExceeded", text)
            self.terminate(reason="DeadlineExceeded", message=text)
            return 0.0
        self._show(status)
        if status["phase"] in ("Succeeded", "Failed"):
            self.terminating = True
            return 0.0
        problems = m.network_errors()
        if problems and not objects.host_network(pod):
            text = f"network is not ready: {join_errors(problems)}"
            m.events.pod(pod, WARNING, "NetworkNotReady", text)
            raise _NetworkNotReady(text)
        await self._prepare(pod)
        m.probes.add(pod)
        runtime = await self._resize(runtime)
        if not await m.runtime.sync(pod, runtime):
            return self._resync(status)
        self._show(self._generate(await self._refresh(settle=True)))
        return 0.0

    def _resync(self, status: dict[str, Any]) -> float:
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        delay = self._m.settings.sync_frequency * (1 + random.random() / 2)  # noqa: S311  # jitter
        if deadline is not None:
            delay = min(delay, max(0.1, _epoch(status["startTime"]) + float(deadline) - self._m.now()))
        return delay

    def _past_deadline(self, status: dict[str, Any]) -> bool:
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        return deadline is not None and self._m.now() - _epoch(status["startTime"]) >= float(deadline)

    async def _prepare(self, pod: objects.Pod) -> None:
        m = self._m
        if objects.is_static(pod):
            await self._mirror(pod)
        if not m.cgroups.settled(pod):
            await asyncio.to_thread(m.cgroups.make_pod, pod)
        m.make_directories(self.uid)
        try:
            await m.volumes.mount(pod)
        except VolumeError as error:
            if not error.interrupted:  # of a wait that ran out upstream tells with the sync only
                m.events.pod(pod, WARNING, "FailedMount", f"Unable to attach or mount volumes: {error}")
                text = "Unable to attach or mount volumes for pod; skipping pod"
                klog.error("kubelet.go:2200", text, err=error, pod=objects.key(pod))
            raise

    async def _mirror(self, pod: objects.Pod) -> None:
        m = self._m
        found = m.sources.mirror_of(pod)
        if found is not None:
            current = mirror.same(pod, found) and not objects.deleted(found)
            if not current and await m.mirror_client.delete(found):
                found = None
        if found is not None or not m.has_api:
            return
        node = m.node()
        if node is None:  # the kubelet's core says so in the log; the next sync tries again
            return
        await m.mirror_client.create(pod, node)

    async def _terminate(self) -> float:
        """Stop, then tidy up. Every part may be repeated."""
        m, pod = self._m, self.pod
        verbose.step("SyncTerminatingPod enter", pod)
        runtime = await self._refresh(settle=True)
        m.statuses.set(pod, self._generate(runtime))
        m.probes.stop_liveness(self.uid)
        failures = await m.killer.pod(pod, runtime, self._grace)
        if failures:
            text = f"error killing pod: {join_errors(failures)}"
            m.events.pod(pod, WARNING, "FailedKillPod", text)
            raise SyncFailedText(text)
        m.probes.remove(self.uid)
        runtime = await self._refresh(settle=True)
        m.statuses.set(pod, self._generate(runtime, terminal=True))
        await m.volumes.unmount(self.uid)
        await asyncio.to_thread(m.cgroups.remove_pod, pod)
        self.finished = True
        verbose.step("SyncTerminatedPod exit", pod)
        return 0.0


class SyncFailedText(SyncFailed):
    """A failure with a text of its own."""

    def __init__(self, text: str) -> None:
        super().__init__([])
        self._text = text

    def __str__(self) -> str:
        return self._text


def retry_delay(retry_at: float | None, now: float, most: float) -> float:
    """Seconds until a failed sync is tried again: when a crash's back-off ends if that is why, else BACK_OFF."""
    return BACK_OFF if retry_at is None else min(max(retry_at - now, 0.0), most)


def _epoch(stamp: str) -> float:
    return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
