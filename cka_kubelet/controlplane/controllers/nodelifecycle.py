"""The node lifecycle controller: marks silent nodes Unknown, taints by state, hands out pod address ranges.

Runs when a node or lease changes, when a grace period runs out, and every node-monitor-period.
"""

import ipaddress
import re
import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import STRATEGIC_MERGE, Client
from cka_kubelet.controlplane.controllers import nodehealth
from cka_kubelet.controlplane.controllers.informer import APIError, Informer
from cka_kubelet.controlplane.controllers.nodehealth import Health
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube import klog
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]

_MERGE = "application/merge-patch+json"
_NUMBER = re.compile(r"\d+$")


class NodeLifecycle:
    """One pass over all nodes at a time."""

    def __init__(
        self,
        client: Client,
        nodes: Informer,
        leases: Informer,
        pods: Informer,
        *,
        grace: float,
        period: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._leases = leases
        self._pods = pods
        self._grace = grace
        self._period = period
        self._now = now
        self._recorder = Recorder(client, "node-controller", now)
        self._health: dict[str, Health] = {}
        self._known: dict[str, Object] = {}

    async def sync(self) -> float:
        """Look at every node; the seconds until something could change by itself."""
        nodes = [node for _, node in sorted(self._nodes.items.items())]
        await self._registrations(nodes)
        now, wait = self._now(), self._period
        for node in nodes:
            name = node["metadata"]["name"]
            lease = self._leases.get("kube-node-lease", name)
            health = nodehealth.observe(self._health.get(name), node, lease, now)
            self._health[name] = health
            left = health.probe + self._grace - now
            if left > 0:
                wait = min(wait, left + 0.01)
            else:
                await self._mark_unknown(node)
        await self._taint(self._fresh(nodes))
        return wait

    def _fresh(self, nodes: list[Object]) -> list[Object]:
        found = [self._nodes.get("", node["metadata"]["name"]) for node in nodes]
        return [node for node in found if node is not None]

    async def _registrations(self, nodes: list[Object]) -> None:
        present = {node["metadata"]["name"]: node for node in nodes}
        for name, node in present.items():
            if name not in self._known:
                await self._event(node, "RegisteredNode", f"Registered Node {name} in Controller")
        for name in [name for name in self._known if name not in present]:
            node = self._known.pop(name)
            self._health.pop(name, None)
            await self._event(node, "RemovingNode", f"Removing Node {name} from Controller")
        self._known = present

    async def _event(self, node: Object, reason: str, text: str) -> None:
        await self._recorder.event(node, "Node", reason, f"Node {node['metadata']['name']} event: {text}")

    async def _mark_unknown(self, node: Object) -> None:
        name = node["metadata"]["name"]
        was_ready = nodehealth.ready_status(node) == "True"
        changed = nodehealth.unknown_conditions(node, timestamp(self._now()))
        if not changed:
            return
        klog.info("node_lifecycle_controller.go:969", "Node is unresponsive", node=name)
        patch = {"status": {"conditions": changed}}
        await self._client.patch(f"/api/v1/nodes/{name}/status", patch, STRATEGIC_MERGE)
        if was_ready:
            text = f"Node {name} status is now: NodeNotReady"
            await self._recorder.event(node, "Node", "NodeNotReady", text)
        await self._mark_pods(name)

    async def _mark_pods(self, node: str) -> None:
        """Pods of a silent node are no longer Ready: their kubelet cannot say so."""
        now = timestamp(self._now())
        for (namespace, name), pod in list(self._pods.items.items()):
            if (pod.get("spec") or {}).get("nodeName") != node:
                continue
            conditions = (pod.get("status") or {}).get("conditions") or ()
            ready = next((item for item in conditions if item.get("type") == "Ready"), None)
            if ready is None or ready.get("status") != "True":
                continue
            patch = {"status": {"conditions": [{**ready, "status": "False", "lastTransitionTime": now}]}}
            try:
                await self._client.patch(f"/api/v1/namespaces/{namespace}/pods/{name}/status", patch, STRATEGIC_MERGE)
            except APIError as error:
                klog.error(
                    "controller_utils.go:105", "Failed to mark pod not ready", err=error, pod=f"{namespace}/{name}"
                )
                continue
            await self._recorder.event(pod, "Pod", "NodeNotReady", "Node is not ready", warning=True)

    async def _taint(self, nodes: list[Object]) -> None:
        # Master disruption: when no node is Ready the fault is likelier here than there, so nobody is evicted.
        disrupted = all(nodehealth.ready_status(node) != "True" for node in nodes)
        now = timestamp(self._now())
        for node in nodes:
            wanted = nodehealth.wanted_taints(node, now, disrupted=disrupted)
            have = (node.get("spec") or {}).get("taints") or []
            if wanted != have:
                patch = {
                    "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                    "spec": {"taints": wanted or None},
                }
                await self._client.patch(f"/api/v1/nodes/{node['metadata']['name']}", patch, _MERGE)


class NodeIPAM:
    """Gives every node a /24 of the cluster's range: node01 the one numbered 1, a name without a number the first."""

    def __init__(self, client: Client, nodes: Informer, cluster_cidr: str) -> None:
        self._client = client
        self._nodes = nodes
        self._network = ipaddress.ip_network(cluster_cidr)

    async def sync(self) -> None:
        """Assign ranges to nodes that have none, in the order of their names."""
        nodes = [node for _, node in sorted(self._nodes.items.items())]
        used = {(node.get("spec") or {}).get("podCIDR") for node in nodes}
        ranges = [str(net) for net in self._network.subnets(new_prefix=24)]
        for node in nodes:
            if (node.get("spec") or {}).get("podCIDR"):
                continue
            name = node["metadata"]["name"]
            digits = _NUMBER.search(name)
            preferred = int(digits[0]) % len(ranges) if digits else 0
            free = (each for each in [*ranges[preferred:], *ranges[:preferred]] if each not in used)
            cidr = next(free, None)
            if cidr is None:
                klog.error("range_allocator.go:219", "CIDR range exhausted", node=name)
                return
            used.add(cidr)
            patch = {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
            await self._client.patch(f"/api/v1/nodes/{name}", patch, _MERGE)
