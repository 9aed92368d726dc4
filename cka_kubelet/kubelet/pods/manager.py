"""The pod half put together: sources in, one worker for each pod, housekeeping."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_kubelet.kube import klog, quantity
from cka_kubelet.kube.gofmt import join_errors
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.pods import admission, gc, objects, podstart, resize, verbose
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods import status as api_status
from cka_kubelet.kubelet.pods.cgroups import CgroupError, Cgroups
from cka_kubelet.kubelet.pods.events import WARNING, PodEvents
from cka_kubelet.kubelet.pods.housekeeping import Housekeeper
from cka_kubelet.kubelet.pods.images import ImageManager
from cka_kubelet.kubelet.pods.killer import Killer
from cka_kubelet.kubelet.pods.lifecycle import Hooks
from cka_kubelet.kubelet.pods.logrotate import LogRotator
from cka_kubelet.kubelet.pods.mirror import MirrorClient
from cka_kubelet.kubelet.pods.pleg import PLEG
from cka_kubelet.kubelet.pods.runtime import PodRuntime
from cka_kubelet.kubelet.pods.runtime_reader import RuntimeReader
from cka_kubelet.kubelet.pods.sandboxes import Sandboxes
from cka_kubelet.kubelet.pods.settings import Settings, make_roots, memory_capacity, settings_from
from cka_kubelet.kubelet.pods.sources import PodSources
from cka_kubelet.kubelet.pods.starter import Starter
from cka_kubelet.kubelet.pods.status_manager import StatusManager
from cka_kubelet.kubelet.pods.surroundings import Surrounder
from cka_kubelet.kubelet.pods.worker import PodWorker
from cka_kubelet.kubelet.podusage import PodUsages
from cka_kubelet.kubelet.probes.manager import ProbeManager
from cka_kubelet.kubelet.volumes.claims import Claims
from cka_kubelet.kubelet.volumes.manager import VolumeManager
from cka_kubelet.kubelet.volumes.payloads import Payloads
from cka_kubelet.kubelet.volumes.registration import PluginRegistry
from cka_kubelet.kubelet.volumes.setup import Plugins
from cka_kubelet.kubelet.volumes.sources import ObjectSource
from cka_kubelet.kubelet.volumes.teardown import TearDown

if TYPE_CHECKING:
    from cka_kubelet.kubelet.pods.cpus import Keeper

HOUSEKEEPING = 2.0
_SKIP_FIRST, _SKIP_MOST = 0.1, 5.0


class PodManager:
    """Runs this node's pods. `start()` once, `stop()` at the end (containers go on running)."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self.settings: Settings = settings_from(deps)
        settings = self.settings
        self.now = deps.clock.now
        self.has_api = deps.api is not None
        self.events = PodEvents(deps.recorder)
        self.workers: dict[str, PodWorker] = {}
        self._rejected: dict[str, objects.Pod] = {}
        self._waiting_static: dict[str, objects.Pod] = {}
        self._tick = asyncio.Event()
        self.sources = PodSources(deps, settings, self._wake, self._nudge, self._tick.set)
        self._tasks: list[asyncio.Task[Any]] = []
        self._chores: set[asyncio.Task[Any]] = set()
        cri = deps.cri
        self._reader = RuntimeReader(cri)
        self.pleg = PLEG(self._reader, self._on_runtime_change)
        self.statuses = StatusManager(deps.api, self.sources.mirror_of, self.finished)
        self.probes = ProbeManager(cri, self.events, self.statuses.get, self._probed)
        self.cgroups = Cgroups(
            settings.cgroup_driver, deps.cgroup_version, settings.cgroups_per_qos, settings.pids_limit
        )
        self._source = ObjectSource(deps.api)
        payloads = Payloads(self._source, self.host_ips, self._allocatable_text)
        self._registry = PluginRegistry(settings.root_dir, settings.node_name, deps.api, deps.registered, self._source)
        down = TearDown(settings.root_dir, self._registry.csi)
        plugins = Plugins(settings, payloads, deps.node_getter, self._registry.csi)
        self.volumes = VolumeManager(self.events, Claims(deps.api), plugins, down)
        self.images = ImageManager(deps.image_cri, self.events, deps.clock.monotonic, settings.serialize_image_pulls)
        hooks = Hooks(cri)
        self.killer = Killer(cri, hooks, self.events)
        self.cpus = self._cpu_manager()
        sandboxes = Sandboxes(cri, settings, self.events, self.cgroups.parent, deps.runtime_classes)
        surround = Surrounder(
            self._source, deps.services, deps.services_synced, self.host_ips, self._allocatable_text,
            self.volumes.mounted, deps.node_getter,
        )  # fmt: skip
        starter = Starter(cri, settings, self.events, self.images, hooks, self.killer, surround, deps.cgroup_version)
        starter.cpuset = self.cpus.affinity if self.cpus else None
        self.runtime = PodRuntime(
            cri, self.events, sandboxes, starter, self.killer,
            self.probes.failed, self._started, self.now, settings.max_restart_period,
        )  # fmt: skip
        self.usages = PodUsages(cri, settings.root_dir, settings.logs_root, self.pleg.cache.get)
        self._collector = gc.Collector(cri, settings, down)
        self._housekeeper = Housekeeper(self, self._reader, self._collector)
        self.mirror_client = MirrorClient(deps.api)
        every = deps.config.duration("containerLogMonitorInterval")
        self._rotator = LogRotator(cri, self.pleg.cache.values, settings.log_max_size, settings.log_max_files, every)

    # What the kubelet's core asks.

    def pleg_health(self) -> str | None:
        """None, or the PLEG's complaint for the node's Ready condition."""
        return self.pleg.healthy()

    def runtime_ready_changed(self) -> None:
        """The runtime's or the network's condition flipped."""
        self.pleg.relist_soon()
        for worker in self.workers.values():
            worker.wake()
        self._tick.set()

    def _cpu_manager(self) -> "Keeper | None":
        config = self._deps.config
        if config.get("cpuManagerPolicy") != "static":
            return None
        from cka_kubelet.kubelet.pods.cpus import manager  # few nodes have one

        return manager(config, self.settings.root_dir, self._deps.cri, self.pleg.cache)

    async def start(self) -> None:
        """Begin to run pods; returns at once."""
        if self.cpus:
            self._spawn(self.cpus.run, "cpumanager")
        allocatable = self._allocatable()
        try:
            memory = memory_capacity()
            self.cgroups.start(memory, allocatable.get("cpu", 0))
        except CgroupError as error:
            klog.error("container_manager_linux.go:595", "Failed to create kubepods cgroup", err=error)
        make_roots(self.settings)
        self._spawn(self.pleg.run, "pleg")
        self._spawn(self.statuses.run, "status")
        self._spawn(self._rotator.run, "logrotate")
        self._spawn(self._sync_loop, "syncloop")
        self._spawn(self._registry.run, "plugins")
        for name, run in self.sources.loops():
            self._spawn(run, name)

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._tasks.append(asyncio.create_task(self._keep_running(work), name=name))

    @staticmethod
    async def _keep_running(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A defect in one loop is logged and the loop begun again, as upstream's wait.Until does after a panic."""
        while True:
            try:
                await work()
            except Exception as error:
                klog.unhandled("runtime.go:290", f"panic: {type(error).__name__}: {error}")
                await asyncio.sleep(1)
            else:
                return

    async def stop(self) -> None:
        """End all tasks. Pods are left alone."""
        workers = [w.task for w in self.workers.values()]
        self.probes.stop()
        for task in [*self._tasks, *self._chores, *workers]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._chores, *workers, return_exceptions=True)

    # The loop.

    async def _sync_loop(self) -> None:
        klog.info("kubelet.go:2637", "Starting kubelet main sync loop")
        skip = _SKIP_FIRST
        next_chores = time.monotonic() + HOUSEKEEPING
        while True:
            errors = self._deps.runtime_state.runtime_errors()
            if errors:
                klog.error("kubelet.go:2661", "Skipping pod synchronization", err=join_errors(errors))
                await asyncio.sleep(skip)
                skip = min(skip * 2, _SKIP_MOST)
                continue
            skip = _SKIP_FIRST
            self._tick.clear()
            for kind, pod in self.sources.take():
                self._handle(kind, pod)
            if time.monotonic() >= next_chores:
                await self._housekeeper.run()
                next_chores = time.monotonic() + HOUSEKEEPING
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_chores - time.monotonic())):
                    await self._tick.wait()

    def _handle(self, kind: str, pod: objects.Pod) -> None:
        uid = objects.uid(pod)
        worker = self.workers.get(uid)
        verbose.pod_update(kind, pod, worker.pod if worker is not None else self._rejected.get(uid))
        if kind == "DELETED":
            self._waiting_static.pop(uid, None)
            self._rejected.pop(uid, None)
            if worker is None:
                self.statuses.forget(uid)
            elif not worker.removed:
                worker.removed = True
                if worker.finished:
                    self._chore(self._cleanup(worker))
                else:
                    worker.terminate()
        elif worker is not None and worker.removed:
            self._waiting_static[uid] = pod  # the same manifest came back while its pod was being stopped
            observed.restarted_pods.add("true" if objects.is_static(pod) else "")
        elif worker is not None:
            worker.update(pod)
            if worker.finished:
                self.statuses.set(pod, self.statuses.get(uid) or pod.get("status") or {})
        elif uid in self._rejected:
            self._rejected[uid] = pod
            self.statuses.set(pod, self.statuses.get(uid) or pod.get("status") or {})
        else:
            self._add(pod)

    def _add(self, pod: objects.Pod) -> None:
        uid = objects.uid(pod)
        if objects.is_static(pod) and self._name_taken(pod):
            self._waiting_static[uid] = pod
            return
        phase = (pod.get("status") or {}).get("phase")
        over = phase in ("Succeeded", "Failed")
        if not over and not objects.deleted(pod):
            no = self._refusal(pod)
            if no is not None:
                observed.admission_rejections.add(no.reason)
                self.events.pod(pod, WARNING, no.reason, no.message)
                if uid in self.pleg.cache:  # it ran before this kubelet was started: stop what is left of it
                    self.workers[uid] = worker = PodWorker(self, pod)
                    worker.terminate(reason=no.reason, message=f"Pod was rejected: {no.message}")
                    return
                self._rejected[uid] = pod
                self.statuses.set(pod, api_status.rejected(pod, no.reason, no.message, self.now()))
                return
        if over and uid not in self.pleg.cache:
            self._rejected[uid] = pod
            self.statuses.set(pod, pod["status"])
            return
        observed.containers_per_pod.add(len(objects.containers(pod)))
        worker = PodWorker(self, pod)
        self.workers[uid] = worker
        if over or objects.deleted(pod):
            worker.terminate()

    def _aligned(self, pod: objects.Pod) -> admission.Rejection | None:
        """What upstream's topology manager says, which lets the CPU manager choose."""
        began = time.monotonic()
        no = self.cpus.admit(pod) if self.cpus else None
        observed.topology_requests.add()
        observed.topology_milliseconds.add((time.monotonic() - began) * 1000)
        return no

    def _refusal(self, pod: objects.Pod) -> admission.Rejection | None:
        """Ask in the order of upstream's admit handlers; pods that are still being stopped have what they had."""
        active = [w.pod for w in self.workers.values() if not (w.finished or w.removed)]
        no = admission.under_pressure(pod, self._deps.pressure())
        no = no or admission.refused_sysctls(pod, self._deps.config.get("allowedUnsafeSysctls") or [])
        no = no or self._aligned(pod)
        no = no or admission.predicates(pod, active, self.node(), self._allocatable())
        no = no or (admission.SHUTDOWN if self._deps.shutting_down() else None)
        if no is None:
            return None
        if self.cpus:
            self.cpus.forget(objects.uid(pod))
        klog.info(
            "allocation_manager.go:543", "Pod admission denied", podUID=objects.uid(pod), pod=objects.key(pod),
            reason=no.reason, message=no.message,
        )  # fmt: skip
        return no

    def grant(self, pod: objects.Pod) -> resize.Granted:
        """The pod with the resources that it may have beside the others."""
        others = [w.pod for u, w in self.workers.items() if not w.terminating and u != objects.uid(pod)]
        return resize.grant(pod, others, self._allocatable(), exclusive_cpus=self.cpus is not None)

    def expected(self) -> set[str]:
        """uids of all pods that some source or worker still answers for."""
        return {*self.workers, *self._waiting_static, *self._rejected}

    def stop_orphan(self, pod: objects.Pod) -> None:
        """Stop and forget a pod of which no source knows."""
        observed.orphaned_pods.add()
        worker = PodWorker(self, pod)
        worker.removed = True
        self.workers[objects.uid(pod)] = worker
        worker.terminate()

    def _name_taken(self, pod: objects.Pod) -> bool:
        """Whether a pod of that name still runs, or what is left of it is still being removed."""
        name = objects.full_name(pod)
        return any(objects.full_name(w.pod) == name and (w.removed or not w.finished) for w in self.workers.values())

    def worker_finished(self, worker: PodWorker) -> None:
        """Nothing of the pod runs any more."""
        self.statuses.nudge(worker.uid)
        if self.cpus:
            self.cpus.forget(worker.uid)
        for other in self.workers.values():
            if other.resize_pending:  # perhaps it fits now
                other.wake()
        if worker.removed:
            self._chore(self._cleanup(worker))

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _cleanup(self, worker: PodWorker) -> None:
        """The pod is gone from its source: forget it."""
        uid = worker.uid
        status = self.pleg.cache.get(uid) or rs.empty(worker.pod)
        for container in status.containers:
            self.probes.forget_container(container.id)
        await self._collector.whole_pod(status)
        self.cgroups.remove_pod(worker.pod)
        self.runtime.forget(uid)
        self.images.forget(uid)
        podstart.pulls.pop(uid, None)
        self._source.forget(uid)
        self.statuses.forget(uid)
        self.workers.pop(uid, None)
        if objects.is_static(worker.pod):
            found = self.sources.mirror_of(worker.pod)
            if found is not None and uid not in self.sources.static:
                await self.mirror_client.delete(found)
        for waiting_uid, pod in list(self._waiting_static.items()):
            if not self._name_taken(pod):
                del self._waiting_static[waiting_uid]
                self._add(pod)

    # Small things that the parts ask for.

    def _on_runtime_change(self, uid: str, dead: set[str]) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.wake()
        if dead and (status := self.pleg.cache.get(uid)) is not None:
            extra = gc.superfluous(status)
            if extra:
                self._chore(self._collector.containers(status, extra))

    def _wake(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.wake()

    def _probed(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.probed()

    def _nudge(self, uid: str) -> None:
        self.statuses.nudge(uid)

    def _started(self, container_id: str) -> bool:
        for status in self.pleg.cache.values():
            for container in status.containers:
                if container.id == container_id:
                    worker = self.workers.get(status.uid)
                    spec = objects.find_container(worker.pod, container.name) if worker else None
                    return self.probes.started(container_id) if spec and spec.get("startupProbe") else True
        return False

    def finished(self, uid: str) -> bool:
        """Whether nothing of the pod is left on the node."""
        worker = self.workers.get(uid)
        return worker is None or worker.finished

    def make_directories(self, uid: str) -> None:
        """The pod's directories below the root directory. Raises OSError."""
        base = Path(self.settings.pod_dir(uid))
        for folder in (base, base / "volumes", base / "plugins"):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def host_ips(self) -> list[str]:
        """The node's addresses, best first."""
        return list(self._deps.node_ips)

    def node(self) -> dict[str, Any] | None:
        """The Node object, None when not known."""
        return self._deps.node_getter()

    def network_errors(self) -> list[str]:
        """Why pods cannot be networked."""
        return self._deps.runtime_state.network_errors()

    def _allocatable(self) -> dict[str, int]:
        amounts = self._deps.allocatable()
        return {
            name: value.milli_value() if name == "cpu" else value.value()
            for name, value in amounts.items()
            if name in ("cpu", "memory", "ephemeral-storage", "pods")
        }

    def _allocatable_text(self) -> dict[str, str]:
        return {
            name: str(value) for name, value in self._deps.allocatable().items() if isinstance(value, quantity.Quantity)
        }

    # For the server.

    def plugin_sockets(self) -> list[tuple[str, str]]:
        """Sockets of plugins, and whether each is one that is there (desired) or that is registered (actual)."""
        return self._registry.known()

    def pods(self) -> list[objects.Pod]:
        """All pods of this node with their newest status."""
        result = []
        for pod in [*(w.pod for w in self.workers.values()), *self._rejected.values()]:
            status = self.statuses.get(objects.uid(pod))
            result.append({**pod, "status": status} if status else pod)
        return result

    def find(self, namespace: str, name: str, uid: str = "") -> objects.Pod | None:
        """A pod by name (a mirror's name is its static pod's), and uid when given."""
        for pod in self.pods():
            if objects.namespace(pod) == namespace and objects.name(pod) == name:
                mirror = self.sources.mirror_of(pod)
                if not uid or uid in (objects.uid(pod), objects.uid(mirror) if mirror else ""):
                    return pod
        return None

    async def terminate(self, uid: str, reason: str, message: str, grace: int) -> None:
        """Stop a pod for good, and wait until nothing of it runs."""
        worker = self.workers.get(uid)
        if worker is not None:
            worker.terminate(grace, reason, message)
            await asyncio.wait([worker.task])

    async def delete_unused_containers(self) -> None:
        """Remove every dead container of finished pods, and of the others all but the newest of each name."""
        for status in list(self.pleg.cache.values()):
            dead = [c for c in status.containers if c.state == rs.EXITED]
            which = dead if self.finished(status.uid) else gc.superfluous(status)
            await self._collector.containers(status, which)
            await self._collector.sandboxes(gc.old_sandboxes(status))
