"""What the API server says. Everything it answers is untrusted."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from cka_kubelet.errors import CommandError
from cka_kubelet.remote import objects
from cka_kubelet.remote.kubeapi import Answer, KubeAPI
from cka_kubelet.scoring.podstate import PodState, epoch, pod_state

LEASE_SECONDS = 40.0
"""A lease older than this has missed its renewals (nodeLeaseDurationSeconds)."""
POD_IMAGE = "registry.k8s.io/pause:3.10.1"
SHELL_IMAGE = "docker.io/library/busybox:1.36"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_PODS = "/api/v1/namespaces/default/pods"
_CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


@dataclass(frozen=True)
class NodeFacts:
    """One node as the API server has it. Times are seconds since the epoch; `heartbeat` is when the kubelet last
    wrote the Ready condition, `renewed` of the node's Lease.

    `ready` is Kubernetes' True, False or Unknown, "" when the node or its condition is missing.
    """

    name: str
    ready: str = ""
    reason: str = ""
    message: str = ""
    since: float | None = None
    heartbeat: float | None = None
    renewed: float | None = None
    unschedulable: bool = False
    roles: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All nodes at one time. `now`: the end of that second by the API server's clock, so never too early."""

    now: float
    nodes: Mapping[str, NodeFacts]

    def node(self, name: str) -> NodeFacts:
        return self.nodes.get(name, NodeFacts(name))

    def fresh(self, name: str) -> bool:
        """Whether the node's heartbeat is no older than a lease."""
        renewed = self.node(name).renewed
        return renewed is not None and self.now - renewed <= LEASE_SECONDS


@dataclass(frozen=True)
class PodFacts:
    """A probe pod. `running`: its container has started and the kubelet says Ready."""

    running: bool
    node: str
    detail: str


class ApiWitness:
    """The control plane's view of the cluster. Raises NodeUnreachableError, CommandError."""

    def __init__(self, api: KubeAPI) -> None:
        self._api = api

    def snapshot(self) -> Snapshot:
        listed = self._api.request("GET", "/api/v1/nodes")
        leases = {_get(item, "metadata", "name"): item for item in _items(self._api.request("GET", _LEASES))}
        nodes = [_facts(item, leases) for item in _items(listed)]
        return Snapshot(listed.date + 1, {facts.name: facts for facts in nodes})

    def kubelet_answers(self, node: str) -> bool:
        """Whether the node's kubelet says ok on port 10250 when the API server asks it: what a status and a lease that
        somebody else wrote cannot do."""
        answer = self._api.request("GET", f"/api/v1/nodes/{node}/proxy/healthz")
        return answer.status == 200 and answer.body == "ok"

    def ready(self) -> tuple[bool, str]:
        """Whether the API server says of itself that it is ready, and what it says."""
        answer = self._api.request("GET", "/readyz")
        return answer.status == 200 and answer.body == "ok", f"{answer.status}: {str(answer.body)[:500]}"

    def keeps(self) -> bool:
        """Whether an object with a name nobody can foresee can be written and read back."""
        name = f"check-{secrets.token_hex(6)}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"written": name}}
        self._request("POST", _CONFIG_MAPS, body)
        try:
            return bool(_get(self._request("GET", f"{_CONFIG_MAPS}/{name}"), "data", "written") == name)
        finally:
            self._request("DELETE", f"{_CONFIG_MAPS}/{name}")

    def pods(self, namespace: str, name: str | None, selector: str | None) -> list[PodState]:
        """The pods of that name, or with those labels."""
        query = f"labelSelector={quote(selector)}" if selector else f"fieldSelector=metadata.name%3D{name}"
        return [pod_state(pod) for pod in _items(self._api.request("GET", f"{_pods(namespace)}?{query}"))]

    def events(self, namespace: str) -> dict[str, Sequence[str]]:
        """Object's uid → `Reason: message` of its events."""
        found: dict[str, list[str]] = {}
        for item in _items(self._api.request("GET", f"/api/v1/namespaces/{namespace}/events")):
            text = f"{item.get('reason')}: {item.get('message')}"[:2000]
            found.setdefault(str(_get(item, "involvedObject", "uid")), []).append(text)
        return dict(found)

    def age_lease(self, node: str, since: float) -> bool:
        """Date a lease that was not renewed after `since` one hour back, so that the node lifecycle controller need
        not wait out its grace period; False when the kubelet still renews it. Upstream's controller takes no notice."""
        lease = self._request("GET", f"{_LEASES}/{node}")
        renewed = epoch(_get(lease, "spec", "renewTime"))
        if renewed is None or renewed > since:
            return False
        old = datetime.fromtimestamp(since - 3600, UTC)
        lease["spec"]["renewTime"] = old.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._request("PUT", f"{_LEASES}/{node}", lease)
        return True

    def kubelet_has(self, node: str, pods: Sequence[PodState]) -> bool:
        """Whether the node's kubelet, asked through the API server, has these pods running too; of static pods, whose
        status it may keep to itself there, whether it has them at all."""
        answer = self._api.request("GET", f"/api/v1/nodes/{node}/proxy/pods")
        own = {pod.uid: pod for pod in map(pod_state, _items(answer))} if answer.status == 200 else {}
        told = {uid for uid, pod in own.items() if pod.containers}
        return all((pod.kubelet_uid in told) if pod.kubelet_uid == pod.uid else pod.kubelet_uid in own for pod in pods)

    def object_at(self, path: str) -> Mapping[str, Any] | None:
        """What the API server keeps there; None when there is nothing."""
        return objects.read(self._api, path)

    def log(self, pod: str) -> Answer:
        """What the API server gives as the pod's log: the text, or why not."""
        return self._api.request("GET", f"{_PODS}/{pod}/log")

    def run_in(self, node: str, pod: str, command: str) -> Answer:
        """Run a program, its words parted by spaces, in a pod's container by the kubelet's `run`: the same way, port
        and permission as `kubectl exec`, without its WebSocket."""
        cmd = quote(command, safe="")
        return self._api.request("POST", f"/api/v1/nodes/{node}/proxy/run/default/{pod}/check?cmd={cmd}")

    def start_pod(self, node: str, command: Sequence[str] = ()) -> str:
        """Create a pod with a name nobody can foresee, bound to `node`; gives its name. `command`: run in busybox."""
        name = f"check-{secrets.token_hex(6)}"
        container: dict[str, Any] = {"name": "check", "image": POD_IMAGE, "imagePullPolicy": "IfNotPresent"}
        if command:
            container |= {"image": SHELL_IMAGE, "command": list(command)}
        spec = {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        self._request("POST", _PODS, pod)
        return name

    def pod(self, name: str) -> PodFacts:
        pod = self._request("GET", f"{_PODS}/{name}")
        status = _get(pod, "status") or {}
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
        waiting = [_get(c, "state", "waiting", "reason") for c in status.get("containerStatuses") or []]
        detail = ", ".join(str(w) for w in waiting if w) or str(status.get("phase", "nothing"))
        return PodFacts(ready and bool(status.get("podIP")), str(_get(pod, "spec", "nodeName")), detail[:200])

    def delete_pod(self, name: str) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        self._api.request("DELETE", f"{_PODS}/{name}", body)

    def _request(self, method: str, path: str, body: object = None) -> Any:
        answer = self._api.request(method, path, body)
        if answer.status >= 300:
            message = str(_get(answer.body, "message"))[:300]
            raise CommandError(f"the API server answers {answer.status} to {method} {path}: {message}")
        return answer.body


def _items(answer: Answer) -> list[dict[str, Any]]:
    items = _get(answer.body, "items")
    if answer.status != 200 or not isinstance(items, list | None):
        raise CommandError(f"the API server's answer ({answer.status}) is not a list of objects")
    return [item for item in items or [] if isinstance(item, dict)]


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _facts(node: Mapping[str, Any], leases: Mapping[str, Any]) -> NodeFacts:
    name = str(_get(node, "metadata", "name"))
    conditions = _get(node, "status", "conditions") or []
    ready = next((c for c in conditions if isinstance(c, dict) and c.get("type") == "Ready"), {})
    labels = _get(node, "metadata", "labels") or {}
    prefix = "node-role.kubernetes.io/"
    return NodeFacts(
        name=name,
        ready=str(ready.get("status", "")),
        reason=str(ready.get("reason", "")),
        message=str(ready.get("message", ""))[:2000],
        since=epoch(ready.get("lastTransitionTime")),
        heartbeat=epoch(ready.get("lastHeartbeatTime")),
        renewed=epoch(_get(leases.get(name), "spec", "renewTime")),
        unschedulable=bool(_get(node, "spec", "unschedulable")),
        roles=",".join(sorted(key.removeprefix(prefix) for key in labels if str(key).startswith(prefix))),
    )
