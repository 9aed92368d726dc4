"""The running kubelet: its loops, and what each of them knows of the others."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient, Object
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.pflag import ParsedFlags
from cka_kubelet.kube.reflector import Reflector
from cka_kubelet.kubelet import containermanager, healthz, noderegister, reserved, resolvcheck
from cka_kubelet.kubelet.clientcert import RotationWatch
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.eviction import EvictionManager
from cka_kubelet.kubelet.images import ImageManager
from cka_kubelet.kubelet.lease import LeaseController
from cka_kubelet.kubelet.node import NodeKeeper
from cka_kubelet.kubelet.pods.manager import PodManager
from cka_kubelet.kubelet.server.app import KubeletServer
from cka_kubelet.kubelet.statussetter import StatusSetter

if TYPE_CHECKING:
    from cka_kubelet.kubelet.credentials import Credentials
    from cka_kubelet.kubelet.nodecapacity import Resources

_RUNTIME_PERIOD = 5.0
_MIRROR_PERIOD = 0.1
_HEAD_START = 0.5
"""Seconds for the answer to the first list of the Node before the loops that would complain of its absence begin."""
_NODE_SECONDS = 0.1
_EVICTION_WAIT = 30.0
_CGROUP_V1 = (
    "cgroup v1 detected. cgroup v1 support is deprecated and will be removed in a future release. Please migrate to "
    "cgroup v2. More information at https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1"
)


class Kubelet:
    """Everything that runs after the checks. `start()`, then `wait()` for ever."""

    def __init__(
        self,
        deps: Dependencies,
        parsed: ParsedFlags,
        resources: "Resources",
        credentials: "Credentials | None",
        ip_problem: str | None,
    ) -> None:
        self._deps = deps
        self._parsed = parsed
        self._resources = resources
        self._credentials = credentials
        self._tasks: list[asyncio.Task[None]] = []
        self._runtime_lock = asyncio.Lock()
        self._node_listed = asyncio.Event()
        self._modules_started = False
        self._sync_node: Callable[[], Coroutine[Any, Any, None]] = _nothing
        self._readiness: tuple[bool, bool] | None = None
        self._reflectors: list[Reflector] = []
        config = deps.config
        self._images = ImageManager(
            deps.image_cri, deps.cri, deps.clock, self._node_event,
            high=config["imageGCHighThresholdPercent"], low=config["imageGCLowThresholdPercent"],
            minimum_age=config.duration("imageMinimumGCAge"),
        )  # fmt: skip
        self._start_informers()
        self._pods = PodManager(deps)
        deps.runtime_state.add_health_check("PLEG", self._pods.pleg_health)
        self._server = KubeletServer(deps, self._pods)
        self._eviction = self._eviction_manager()
        deps.pressure = self._eviction.pressure
        self.setter = StatusSetter(
            deps, resources, self._images, self._eviction.pressure, self._node_event, ip_problem,
            lambda: self._pods.volumes.in_use(),
        )  # fmt: skip

    # Parts.

    def _eviction_manager(self) -> EvictionManager:
        deps = self._deps
        return EvictionManager(
            deps.clock,
            [*self._resources.hard, *self._resources.soft],
            deps.root_dir,
            deps.config.duration("evictionPressureTransitionPeriod"),
            image_filesystem=self._images.filesystem,
            node_name=deps.node_name,
            node_known=lambda: deps.api is None or deps.node_getter() is not None,
            record=lambda reason, message: self._node_event("Warning", reason, message),
            reclaim=self._reclaim,
            dedicated_images=lambda: self._images.dedicated(deps.root_dir),
            active_pods=self._active_pods,
            usages=self._pods.usages.of,
            evict=self._evict,
            cleaned_up=lambda pod: self._pods.finished(pod["metadata"]["uid"]),
            max_grace=int(deps.config.get("evictionMaxPodGracePeriod") or 0),
        )

    def _start_informers(self) -> None:
        deps, api = self._deps, self._deps.api
        if api is None:
            deps.node_synced.set()
            self._node_listed.set()
            return
        name = deps.node_name
        services = Reflector(api, "/api/v1/services", "*v1.Service", fieldSelector="spec.clusterIP!=None")
        nodes = Reflector(
            api, "/api/v1/nodes", "*v1.Node", on_event=self._on_node, on_synced=deps.node_synced.set,
            fieldSelector=f"metadata.name={name}",
        )  # fmt: skip
        classes = Reflector(api, "/apis/node.k8s.io/v1/runtimeclasses", "*v1.RuntimeClass")
        drivers = Reflector(api, "/apis/storage.k8s.io/v1/csidrivers", "*v1.CSIDriver")
        deps.node_getter = lambda: nodes.items.get(name)
        deps.services = lambda: list(services.items.values())
        deps.services_synced = services.synced.is_set
        deps.runtime_classes = lambda: list(classes.items.values())
        self._node_listed = nodes.attempted
        self._reflectors = [nodes, services, classes, drivers]
        for reflector in self._reflectors:
            self._spawn(reflector.run())

    def _on_node(self, kind: str, node: Object) -> None:
        if kind != "DELETED":
            node["metadata"].pop("managedFields", None)
            self._deps.node_ref["uid"] = node["metadata"].get("uid", "")

    def _node_event(self, type_: str, reason: str, message: str) -> None:
        self._deps.recorder.event(self._deps.node_ref, type_, reason, message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    async def _once_known(self, work: Coroutine[Any, Any, None]) -> None:
        """`work` that asks for the Node from its first moment on: upstream's informer has been answered by then."""
        try:
            async with asyncio.timeout(_HEAD_START):
                await self._node_listed.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            work.close()
            raise
        await work

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that dies of a defect ends the kubelet as a panic would; systemd starts it again."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        klog.plain(f"panic: {error}\n\n" + "".join(traceback.format_exception(error)).rstrip())
        self._deps.fatal(2)

    # Life.

    async def start(self) -> None:
        """Start all loops and servers, in upstream's order."""
        deps, config = self._deps, self._deps.config
        klog.info("kubelet.go:496", "Attempting to sync node with API server")
        if config.get("staticPodPath"):
            klog.info("kubelet.go:397", "Adding static pod path", path=config["staticPodPath"])
        if config.get("staticPodURL"):
            header = {name: ["<masked>"] for name in config.get("staticPodURLHeader") or {}}
            klog.info("kubelet.go:403", "Adding pod URL with HTTP header", URL=config["staticPodURL"], header=header)
        if deps.api is not None:
            klog.info("kubelet.go:408", "Adding apiserver pod source")
        klog.info("server.go:1291", "Started kubelet")
        with contextlib.suppress(TimeoutError):  # a node that exists already is known before anything asks for it
            async with asyncio.timeout(_NODE_SECONDS):
                await deps.node_synced.wait()
        if config["healthzPort"]:
            self._spawn(healthz.run(config["healthzBindAddress"], config["healthzPort"]))
        self._node_event("Normal", "Starting", "Starting kubelet.")
        if deps.cgroup_version == 1:
            self._node_event("Warning", "CgroupV1", _CGROUP_V1)
        self._spawn(self._images.collect_forever())
        self._spawn(self._images.refresh())
        klog.info("fs_resource_analyzer.go:69", "Starting FS ResourceAnalyzer")
        klog.info("volume_manager.go:310", "Starting Kubelet Volume Manager")
        await self._pods.start()
        if config["enableServer"]:
            self._spawn(self._server.start())
            self._keep_serving_certificate()
        self._spawn(self._runtime_loop())
        if config.get("resolvConf"):
            self._spawn(resolvcheck.run(config["resolvConf"], config.get("clusterDomain") or "", self._node_event))
        if deps.api is not None:
            self._start_api_loops(deps.api)
        if config.duration("shutdownGracePeriod") or config.get("shutdownGracePeriodByPodPriority"):
            self._watch_shutdown()

    def _watch_shutdown(self) -> None:
        from cka_kubelet.kubelet import nodeshutdown  # only where shutdowns are to be graceful

        deps = self._deps
        manager = nodeshutdown.ShutdownManager(
            deps.config, deps.root_dir, pods=self._active_pods, terminate=self._terminate_for_shutdown,
            sync_node=self._sync_node, event=self._node_event,
        )  # fmt: skip
        deps.shutting_down = lambda: manager.shutting_down
        self._spawn(manager.run())

    async def _terminate_for_shutdown(self, pod: Object, grace: int) -> None:
        from cka_kubelet.kubelet.nodeshutdown import MESSAGE, REASON

        await self._pods.terminate(pod["metadata"]["uid"], REASON, MESSAGE, grace)

    def _start_api_loops(self, api: APIClient) -> None:
        deps, config = self._deps, self._deps.config
        keeper = self._node_keeper(api)
        duration = int(config["nodeLeaseDurationSeconds"])
        lease = LeaseController(
            api.with_timeout(min(10.0, duration * 0.25)), deps.clock, deps.node_name, duration,
            lambda: api.get(f"/api/v1/nodes/{deps.node_name}"), api.http.close_idle,
        )  # fmt: skip
        self._spawn(deps.recorder.run())
        self._sync_node = keeper.sync
        self._spawn(
            self._once_known(keeper.fast_until_ready())
        )  # looks first, as upstream's: keeper.run() may hold it up
        self._spawn(self._once_known(keeper.run()))
        self._spawn(self._follow_registration(keeper))
        self._spawn(lease.run())
        self._spawn(self._once_known(self._await_node_for_mirrors()))
        held = self._credentials
        if held is not None and (manager := held.manager) is not None:
            self._spawn(manager.run())
            watch = RotationWatch(
                manager.current, lambda: manager.server_healthy, api.http.close_idle, deps.clock, deps.fatal
            )
            self._spawn(watch.run())

    def _keep_serving_certificate(self) -> None:
        deps, config = self._deps, self._deps.config
        if deps.serving is None:
            return
        certificate, key = str(config.get("tlsCertFile") or ""), str(config.get("tlsPrivateKeyFile") or "")
        if not config.get("serverTLSBootstrap"):
            self._spawn(deps.serving.follow(certificate, key))
        elif deps.api is not None:
            from cka_kubelet.kubelet import servingcert  # only for serverTLSBootstrap

            kept = servingcert.store(self._parsed.text("cert-dir", "/var/lib/kubelet/pki"), certificate, key)
            manager = servingcert.manager(
                kept, deps.node_name, lambda: self.setter.addresses, deps.api, deps.serving, deps.clock
            )
            self._spawn(manager.run())

    def _node_keeper(self, api: APIClient) -> NodeKeeper:
        deps, config = self._deps, self._deps.config
        initial = noderegister.initial_node(
            deps.node_name,
            deps.hostname,
            labels=self._parsed.values.get("node-labels") or {},
            taints=config.get("registerWithTaints") or [],
            provider_id=self._parsed.text("provider-id") or str(config.get("providerID") or ""),
            cloud_provider=self._parsed.text("cloud-provider"),
            managed_attach=config["enableControllerAttachDetach"],
        )
        every = config.duration("nodeStatusUpdateFrequency")
        return NodeKeeper(
            api, api.with_timeout(min(every, float(config["nodeLeaseDurationSeconds"]))), deps.clock, initial,
            lister=deps.node_getter, set_status=self.setter, on_pod_cidr=self._pod_cidr, runtime_up=self.update_runtime,
            update_every=every, report_every=config.duration("nodeStatusReportFrequency"),
            register=config["registerNode"],
        )  # fmt: skip

    async def _follow_registration(self, keeper: NodeKeeper) -> None:
        known = keeper.registered if self._deps.config["registerNode"] else self._deps.node_synced
        await known.wait()
        self._deps.registered.set()

    async def wait(self) -> None:
        """For ever: a signal or a fatal error ends the process."""
        await asyncio.Event().wait()

    # Runtime.

    async def _runtime_loop(self) -> None:
        while True:
            await self.update_runtime()
            await asyncio.sleep(_RUNTIME_PERIOD)

    async def update_runtime(self) -> None:
        """Ask the runtime for its status and note what it says (kubelet.go updateRuntimeUp)."""
        async with self._runtime_lock:
            state = self._deps.runtime_state
            try:
                response = await self._deps.cri.status()
            except RpcError as error:
                klog.error("kubelet.go:3214", "Container runtime sanity check failed", err=error)
                return
            conditions = {item.type: item for item in response.status.conditions}
            network, runtime = conditions.get("NetworkReady"), conditions.get("RuntimeReady")
            flags = (runtime is not None and runtime.status, network is not None and network.status)
            if network is None or not network.status:
                text = _condition_text(network)
                klog.info("kubelet.go:3228", "Container runtime network not ready", v=2, networkReady=text)
                state.set_network_error(f"container runtime network not ready: {text}")
            else:
                state.set_network_error(None)
            if runtime is None or not runtime.status:
                text = _condition_text(runtime)
                klog.error("kubelet.go:3238", "Container runtime not ready", runtimeReady=text)
                state.set_runtime_error(f"container runtime not ready: {text}")
            else:
                state.set_runtime_error(None)
                self.setter.runtime_told(response)
                self._start_modules()
                state.set_runtime_sync()
            if self._readiness not in (None, flags):
                self._pods.runtime_ready_changed()
            self._readiness = flags

    def _start_modules(self) -> None:
        """Once, on the first good runtime status: what upstream's initializeRuntimeDependentModules starts."""
        if self._modules_started:
            return
        self._modules_started = True
        deps, resources = self._deps, self._resources
        problem = reserved.allocatable_error(resources.capacity, resources.reserved)
        problem = containermanager.start(deps.config, deps.root_dir, problem)
        problem = problem or containermanager.enforce(deps.config, deps.cgroup_driver, self._node_event)
        if problem is not None:
            klog.error("kubelet.go:1839", "Failed to start ContainerManager", err=problem)
            deps.fatal(1)
        self._spawn(self._once_known(self._eviction.run()))
        klog.info("plugin_manager.go:121", "Starting Kubelet Plugin Manager")

    async def _pod_cidr(self, cidr: str) -> bool:
        state = self._deps.runtime_state
        if cidr == state.pod_cidr:
            return False
        klog.info("kuberuntime_manager.go:2146", "Updating runtime config through cri with podcidr", CIDR=cidr)
        try:
            await self._deps.cri.update_runtime_config(cidr)
        except RpcError as error:
            klog.error(
                "kubelet_node_status.go:710", "Error updating pod CIDR", err=f"failed to update pod CIDR: {error}"
            )
            return False
        klog.info("kubelet_network.go:48", "Updating Pod CIDR", originalPodCIDR=state.pod_cidr, newPodCIDR=cidr)
        state.pod_cidr = cidr
        return True

    async def _await_node_for_mirrors(self) -> None:
        name = self._deps.node_name
        while self._deps.node_getter() is None:
            klog.error(
                "kubelet.go:3531", "Unable to register mirror pod because node is not registered yet",
                err=f"node {quote(name)} not found", node=name,
            )  # fmt: skip
            await asyncio.sleep(_MIRROR_PERIOD)  # upstream's pace; it shows in the log

    # Eviction.

    def _active_pods(self) -> list[Object]:
        return [
            pod for pod in self._pods.pods() if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
            and not pod["metadata"].get("deletionTimestamp")
        ]  # fmt: skip

    async def _evict(self, pod: Object, message: str, grace: int) -> None:
        from cka_kubelet.kubelet.events import reference

        self._deps.recorder.event(reference(pod), "Warning", "Evicted", message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + _EVICTION_WAIT):
                await self._pods.terminate(pod["metadata"]["uid"], "Evicted", message, grace)

    async def _reclaim(self) -> None:
        klog.info("kuberuntime_gc.go:418", "Attempting to delete unused containers")
        await self._pods.delete_unused_containers()
        klog.info("image_gc_manager.go:431", "Attempting to delete unused images")
        await self._images.free(1 << 62)


async def _nothing() -> None:
    """There is no Node to report."""


def _condition_text(condition: Any | None) -> str:
    """As Go prints it; a runtime may leave one out."""
    if condition is None:
        return "<nil>"
    status = "true" if condition.status else "false"
    return f"{condition.type}={status} reason:{condition.reason} message:{condition.message}"
