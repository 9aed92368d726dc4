"""Fills in a Node's status from this machine, the runtime and the kubelet's own state."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kubelet import nodestatus, reserved, system
from cka_kubelet.kubelet.dependencies import Dependencies
from cka_kubelet.kubelet.images import ImageManager
from cka_kubelet.kubelet.version import VERSION

if TYPE_CHECKING:
    from cka_kubelet.kubelet.nodecapacity import Resources

Object = dict[str, Any]


class StatusSetter:
    """Callable: sets every field of `node["status"]`. `event(type, reason, message)` writes a node event."""

    def __init__(
        self,
        deps: Dependencies,
        resources: "Resources",
        images: ImageManager,
        pressure: Callable[[], set[str]],
        event: Callable[[str, str, str], None],
        ip_problem: str | None,
        volumes_in_use: Callable[[], list[str]],
    ) -> None:
        self._deps = deps
        self._resources = resources
        self._images = images
        self._pressure = pressure
        self._event = event
        self._ip_problem = ip_problem
        self._volumes_in_use = volumes_in_use
        self._identity = system.identity()
        self._handlers: list[Object] = []
        self._features: Object = {}
        self._declared = nodestatus.declared_features(deps.config)
        self.addresses: list[Object] = []
        """The node's addresses as they were last reported."""

    def runtime_told(self, response: Any) -> None:
        """Take over what a CRI StatusResponse says of handlers and features."""
        self._handlers = nodestatus.runtime_handlers(response.runtime_handlers)
        if response.HasField("features"):
            self._features = {"supplementalGroupsPolicy": response.features.supplemental_groups_policy}

    async def __call__(self, node: Object) -> None:
        status: Object = node.setdefault("status", {})
        if self._ip_problem is not None:
            klog.error(
                "kubelet_node_status.go:776", "Failed to set some node status fields", err=self._ip_problem,
                node=self._deps.node_name,
            )  # fmt: skip
        else:
            status["addresses"] = nodestatus.addresses(self._deps.node_ips, self._deps.hostname)
            self.addresses = status["addresses"]
        self._set_resources(status)
        await self._set_info(status)
        in_use = self._volumes_in_use()
        if in_use or status.get("volumesInUse"):
            status["volumesInUse"] = in_use
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self._deps.config["port"]}}
        status["images"] = nodestatus.image_list(self._images.images, self._deps.config["nodeStatusMaxImages"])
        if self._handlers:
            status["runtimeHandlers"] = self._handlers
        if self._features:
            status["features"] = self._features
        if self._declared:
            status["declaredFeatures"] = self._declared
        elif status.get("declaredFeatures"):
            status["declaredFeatures"] = None  # an earlier kubelet declared them
        self._set_conditions(status)

    def _set_resources(self, status: Object) -> None:
        capacity = self._resources.capacity
        own = {name: str(amount) for name, amount in capacity.items()}
        # Device plugins and people may have added others: theirs stay.
        status["capacity"] = {**(status.get("capacity") or {}), **own}
        left = reserved.allocatable(capacity, self._resources.reserved)
        foreign = {name: amount for name, amount in (status.get("capacity") or {}).items() if name not in own}
        status["allocatable"] = {**foreign, **{name: str(amount) for name, amount in left.items()}}

    async def _set_info(self, status: Object) -> None:
        old = status.get("nodeInfo") or {}
        boot = self._identity["bootID"]
        if old.get("bootID") and old["bootID"] != boot:
            name = self._deps.node_name
            self._event("Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot}")
        try:
            version = (await self._deps.cri.version()).runtime_version
        except RpcError:
            version = "Unknown"
        status["nodeInfo"] = {
            **self._identity,
            "containerRuntimeVersion": f"{self._deps.runtime_name}://{version}",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
        }

    def _set_conditions(self, status: Object) -> None:
        now = self._deps.clock.now()
        pressure = self._pressure()
        fresh = [
            nodestatus.pressure_condition(
                words, nodestatus.condition(status, words.type), words.type in pressure, now, self._record
            )
            for words in nodestatus.PRESSURES
        ]
        state = self._deps.runtime_state
        shutdown = ["node is shutting down"] if self._deps.shutting_down() else []
        problem = nodestatus.ready_message(
            state.runtime_errors(), state.network_errors(), state.storage_errors(), shutdown, self._resources.capacity
        )
        old = nodestatus.condition(status, "Ready")
        ready = nodestatus.ready_condition(old, problem, now, self._record)
        if old is not None and old.get("status") != ready["status"] and problem is not None:
            klog.info("setters.go:602", "Node became not ready", node=self._deps.node_name, condition=ready)
        status["conditions"] = nodestatus.merge_conditions(status.get("conditions") or [], [*fresh, ready])

    def _record(self, reason: str) -> None:
        node = self._deps.node_name
        klog.info("kubelet_node_status.go:724", "Recording event message for node", v=2, node=node, event=reason)
        self._event("Normal", reason, f"Node {self._deps.node_name} status is now: {reason}")
