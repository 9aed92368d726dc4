"""Bringing one pod to what its spec says: the decision of `actions`, carried out through CRI."""

from collections.abc import Callable
from typing import Any

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration, join_errors
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import actions, objects, resize, resources
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.backoff import Backoff
from cka_kubelet.kubelet.pods.configs import HostnameError
from cka_kubelet.kubelet.pods.events import NORMAL, WARNING, PodEvents
from cka_kubelet.kubelet.pods.images import StartError
from cka_kubelet.kubelet.pods.killer import Killer
from cka_kubelet.kubelet.pods.sandboxes import Sandboxes, SyncError
from cka_kubelet.kubelet.pods.starter import Starter

CRASH_INITIAL = 10.0
_QUIET = frozenset({"CrashLoopBackOff", "ImagePullBackOff"})


class SyncFailed(Exception):
    """A sync did not bring the pod up; str() is upstream's aggregate of its results."""

    def __init__(self, errors: list[SyncError]) -> None:
        super().__init__(join_errors([str(e) for e in errors]))
        self.errors = errors
        self.retry_at = min((e.retry_at for e in errors if e.retry_at is not None), default=None)
        """Seconds since the epoch: when the first back-off of a crashed container ends; None without one."""


class PodRuntime:
    """Carries out plans. `failed_probe` and `started` answer for probes by container id."""

    def __init__(
        self,
        cri: CRIClient,
        events: PodEvents,
        sandboxes: Sandboxes,
        starter: Starter,
        killer: Killer,
        failed_probe: actions.Verdict,
        started: actions.Started,
        now: Callable[[], float],
        max_restart_period: float,
    ) -> None:
        self._cri = cri
        self._events = events
        self._sandboxes = sandboxes
        self._starter = starter
        self._killer = killer
        self._failed_probe = failed_probe
        self._started = started
        self._crashes = Backoff(CRASH_INITIAL, max_restart_period, now)
        self.start_results: dict[tuple[str, str], StartError | None] = {}

    def forget(self, uid: str) -> None:
        """The pod is gone: drop its back-off and last failures."""
        self._crashes.forget(uid)
        for key in [k for k in self.start_results if k[0] == uid]:
            del self.start_results[key]

    async def sync(self, pod: objects.Pod, status: rs.PodStatus) -> bool:
        """One sync; whether anything was done. Raises SyncFailed with every container that could not be started."""
        plan = actions.compute(pod, status, self._failed_probe, self._started)
        if not plan:
            return False
        errors: list[SyncError] = []
        if plan.create_sandbox and plan.sandbox_id:
            text = "Pod sandbox changed, it will be killed and re-created."
            self._events.pod(pod, NORMAL, "SandboxChanged", text)
        if plan.kill_pod:
            await self._kill(pod, status)
            if not plan.create_sandbox:
                return True
        for kill in plan.kills:
            try:
                await self._killer.container(pod, kill.container, kill.message, reason=kill.reason, ips=status.ips)
            except RpcError as error:
                errors.append(SyncError("KillContainer", kill.container.name, "KillContainerError", str(error)))
        if errors:
            raise SyncFailed(errors)
        await self._start_all(pod, status, plan)
        return True

    async def resize(self, pod: objects.Pod, status: rs.PodStatus) -> None:
        """Give running containers the resources of the spec. Raises RpcError."""
        for container, running in resize.pending_updates(pod, status):
            shares, quota, memory = resize.figures(container)
            limits = pb.LinuxContainerResources(
                cpu_shares=shares, cpu_period=resources.PERIOD, cpu_quota=quota, memory_limit_in_bytes=memory
            )
            if memory and self._starter.swap_accounting:
                limits.memory_swap_limit_in_bytes = memory
            await self._cri.update_container_resources(running.id, limits)

    async def _kill(self, pod: objects.Pod, status: rs.PodStatus) -> None:
        failures = await self._killer.pod(pod, status)
        if failures:
            klog.error("kuberuntime_manager.go:1497", "killPodWithSyncResult failed", err=join_errors(failures))
            text = join_errors(failures)
            raise SyncFailed([SyncError("KillPodSandbox", objects.uid(pod), "KillPodSandboxError", text)])
        if any(objects.init_containers(pod)):
            for container in status.containers:
                if container.state != rs.RUNNING and objects.find_container(pod, container.name):
                    await self._purge(pod, container)

    async def _purge(self, pod: objects.Pod, container: rs.ContainerStatus) -> None:
        """Init containers of a dead sandbox must not count as done in the next."""
        if container.name in {c["name"] for c in objects.init_containers(pod)}:
            try:
                await self._cri.remove_container(container.id)
            except RpcError:
                return

    async def _start_all(self, pod: objects.Pod, status: rs.PodStatus, plan: actions.PodActions) -> None:
        names = [*plan.start_ephemeral, *plan.start_init, *plan.start]
        sandbox_id, ips = plan.sandbox_id, list(status.ips)
        if plan.create_sandbox:
            try:
                sandbox_id, config = await self._sandboxes.create(pod, plan.attempt)
                ips = await self._addresses(pod, sandbox_id)
            except SyncError as error:
                raise SyncFailed([error]) from None
        elif names:
            config = self._config(pod, plan.attempt)
            if not status.containers:
                klog.error(
                    "kuberuntime_manager.go:722", "Missing actuated pod level resource record", pod=objects.name(pod)
                )
        errors = []
        for name in names:
            container = objects.find_container(pod, name)
            if container is None:
                continue
            failure = await self._start(pod, container, status, sandbox_id, config, ips)
            if failure:
                errors.append(failure)
                if name in plan.start_init and not objects.is_sidecar(container):
                    break
        if errors:
            raise SyncFailed(errors)

    def _config(self, pod: objects.Pod, attempt: int) -> Any:
        try:
            return self._sandboxes.config(pod, attempt)
        except (OSError, HostnameError) as error:
            raise SyncFailed(
                [SyncError("ConfigPodSandbox", objects.uid(pod), "ConfigPodSandboxError", str(error))]
            ) from None

    async def _addresses(self, pod: objects.Pod, sandbox_id: str) -> list[str]:
        if objects.host_network(pod):
            return []
        try:
            network = (await self._cri.pod_sandbox_status(sandbox_id)).status.network
        except RpcError as error:
            text = f"Failed to get pod sandbox status: {error}"
            self._events.pod(pod, WARNING, "FailedPodSandBoxStatus", f"Unable to get pod sandbox status: {error}")
            raise SyncError("CreatePodSandbox", objects.described(pod), "CreatePodSandboxError", text) from None
        return [network.ip, *(a.ip for a in network.additional_ips)] if network.ip else []

    async def _start(
        self,
        pod: objects.Pod,
        container: objects.Container,
        status: rs.PodStatus,
        sandbox_id: str,
        config: Any,
        ips: list[str],
    ) -> SyncError | None:
        key = (objects.uid(pod), container["name"])
        path = objects.field_path(pod, container)
        kind = {"spec.i": "init container", "spec.e": "ephemeral container"}.get(path[:6], "container")
        try:
            self._check_crash(pod, container, status)
            await self._starter.start(pod, container, status, sandbox_id, config, ips)
        except StartError as error:
            self.start_results[key] = error
            if error.reason not in ("CrashLoopBackOff", "ImagePullBackOff"):
                observed.started_containers_errors.add(kind.replace(" ", "_"), error.reason)
            if error.reason not in _QUIET:
                klog.unhandled(
                    "kuberuntime_manager.go:1664",
                    f"{kind} {container['name']} start failed in pod {objects.described(pod)}: {error}",
                )
            return SyncError("StartContainer", container["name"], error.reason, error.message, error.retry_at)
        self.start_results[key] = None
        observed.started_containers.add(kind.replace(" ", "_"))
        return None

    def _check_crash(self, pod: objects.Pod, container: objects.Container, status: rs.PodStatus) -> None:
        # The newest dead one counts, even while a newer one was just killed by a probe: so upstream.
        dead = (c for c in status.containers if c.name == container["name"] and c.state == rs.EXITED)
        found = next(dead, None)
        if found is None:
            return
        finished = found.finished_at / 1e9
        key = f"{objects.described(pod)}_{container['name']}_{objects.container_hash(container)}"
        if self._crashes.waiting_since(key, finished):
            text = f"Back-off restarting failed container {container['name']} in pod {objects.described(pod)}"
            self._events.container(pod, container, WARNING, "BackOff", text)
            delay = format_duration(self._crashes.get(key))
            message = f"back-off {delay} restarting failed container={container['name']} pod={objects.described(pod)}"
            raise StartError("CrashLoopBackOff", message, finished + self._crashes.get(key))
        self._crashes.next(key, finished)
