"""DaemonSets: one pod on every node that wants one."""

from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import scheduling, workloads
from cka_kubelet.controlplane.controllers.informer import Informer, each, key_of

Object = dict[str, Any]

_HASH = "controller-revision-hash"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSets:
    """Creates a pod for each node, bound by node affinity as upstream does, and removes what is too much or old."""

    def __init__(self, client: Client, sets: Informer, nodes: Informer, pods: Informer) -> None:
        self._client = client
        self._sets = sets
        self._nodes = nodes
        self._pods = pods
        self._control = workloads.PodControl(client, "daemonset-controller")

    async def sync(self) -> None:
        """Every daemon set once."""
        await each(self._sets.items.values(), self._one)

    async def _one(self, owner: Object) -> None:
        digest = workloads.template_hash(owner["spec"]["template"])
        by_node: dict[str, list[Object]] = {}
        for pod in workloads.owned_pods(self._pods, owner):
            by_node.setdefault(_target(pod), []).append(pod)
        wanted = {name for (_, name), node in self._nodes.items.items() if _wants(owner, node)}
        try:
            for name, pods in by_node.items():
                await self._prune(owner, pods, digest, wanted=name in wanted)
            for name in sorted(wanted):
                if not by_node.get(name):
                    spec = _bound_spec(owner["spec"]["template"]["spec"], name)
                    await self._control.create(owner, spec, {_HASH: digest})
        finally:
            await self._status(owner, by_node, wanted, digest)

    async def _prune(self, owner: Object, pods: list[Object], digest: str, *, wanted: bool) -> None:
        rolling = (owner["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
        keep = 1 if wanted else 0
        for index, pod in enumerate(pods):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            ended = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
            stale = rolling and (pod["metadata"].get("labels") or {}).get(_HASH) != digest
            if index >= keep or ended or stale:
                await self._control.delete(owner, pod)

    async def _status(self, owner: Object, by_node: dict[str, list[Object]], wanted: set[str], digest: str) -> None:
        current = [pods[0] for name, pods in by_node.items() if name in wanted and pods]
        ready = sum(1 for pod in current if workloads.is_ready(pod))
        updated = sum(1 for pod in current if (pod["metadata"].get("labels") or {}).get(_HASH) == digest)
        status: Object = {
            "currentNumberScheduled": len(current),
            "numberMisscheduled": sum(1 for name in by_node if name not in wanted),
            "desiredNumberScheduled": len(wanted),
            "numberReady": ready,
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        optional = {
            "updatedNumberScheduled": updated,
            "numberAvailable": ready,
            "numberUnavailable": len(wanted) - ready,
        }
        status |= {key: value for key, value in optional.items() if value}
        if status != owner.get("status"):
            namespace, name = key_of(owner)
            path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}/status"
            await self._client.update(path, {**owner, "status": status})


def _with_tolerations(spec: Object) -> list[Object]:
    found = list(spec.get("tolerations") or [])
    extra = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    if spec.get("hostNetwork"):
        extra.append({"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"})
    return found + [item for item in extra if item not in found]


def _bound_spec(spec: Object, node: str) -> Object:
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {**(spec.get("affinity") or {})}
    affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": required}
    return {"affinity": affinity, "tolerations": _with_tolerations(spec)}


def _wants(owner: Object, node: Object) -> bool:
    spec = owner["spec"]["template"]["spec"]
    probe = {"metadata": {"name": "", "namespace": ""}, "spec": {**spec, "tolerations": _with_tolerations(spec)}}
    probe["spec"]["containers"] = []
    against = scheduling.reasons_against(probe, node, [])
    return not [reason for reason in against if not reason.startswith(("Insufficient", "Too many"))]


def _target(pod: Object) -> str:
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""
