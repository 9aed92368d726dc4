"""ReplicaSets and Deployments."""

import time
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import workloads
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, each, key_of
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"


class ReplicaSets:
    """Keeps the number of pods."""

    def __init__(self, client: Client, sets: Informer, pods: Informer) -> None:
        self._client = client
        self._sets = sets
        self._pods = pods
        self._control = workloads.PodControl(client, "replicaset-controller")

    async def sync(self) -> None:
        """Every replica set once."""
        await each(self._sets.items.values(), self._one)

    async def _one(self, owner: Object) -> None:
        pods = [pod for pod in workloads.owned_pods(self._pods, owner) if workloads.is_active(pod)]
        wanted = int(owner["spec"].get("replicas", 1))
        try:
            for _ in range(wanted - len(pods)):
                await self._control.create(owner)
            for pod in pods[wanted:]:
                await self._control.delete(owner, pod)
        finally:
            await self._status(owner)

    async def _status(self, owner: Object) -> None:
        pods = [pod for pod in workloads.owned_pods(self._pods, owner) if workloads.is_active(pod)]
        ready = sum(1 for pod in pods if workloads.is_ready(pod))
        status: Object = {"replicas": len(pods), "observedGeneration": owner["metadata"].get("generation", 1)}
        if pods:
            status["fullyLabeledReplicas"] = len(pods)
        if ready:
            status["readyReplicas"] = status["availableReplicas"] = ready
        if status != owner.get("status"):
            namespace, name = key_of(owner)
            path = f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}/status"
            await self._client.update(path, {**owner, "status": status})


class Deployments:
    """Rolls from one replica set to the next."""

    def __init__(self, client: Client, deployments: Informer, sets: Informer) -> None:
        self._client = client
        self._deployments = deployments
        self._sets = sets
        self._recorder = Recorder(client, "deployment-controller")

    async def sync(self) -> None:
        """Every deployment once."""
        await each(self._deployments.items.values(), self._one)

    async def _one(self, deployment: Object) -> None:
        namespace, name = key_of(deployment)
        path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        found = [item for item in self._sets.items.values() if workloads.controlled_by(item, deployment)]
        digest = workloads.template_hash(deployment["spec"]["template"])
        new = next((item for item in found if item["metadata"]["name"] == f"{name}-{digest}"), None)
        old = [item for item in found if item is not new]
        if not deployment["spec"].get("paused"):
            if new is None:
                new = await self._create(path, deployment, digest, found)
            await self._roll(path, deployment, new, old)
        await self._revision(deployment, new)
        await self._status(deployment, new, found)

    async def _create(self, path: str, deployment: Object, digest: str, found: list[Object]) -> Object:
        spec, (namespace, name) = deployment["spec"], key_of(deployment)
        template = spec["template"]
        of_template = template.get("metadata") or {}
        pod_labels = {**(of_template.get("labels") or {}), _HASH: digest}
        selector = spec["selector"]
        revision = 1 + max((int((i["metadata"].get("annotations") or {}).get(_REVISION, 0)) for i in found), default=0)
        replicas = int(spec.get("replicas", 1)) if not found else 0
        body = {
            "metadata": {
                "name": f"{name}-{digest}",
                "namespace": namespace,
                "labels": pod_labels,
                "annotations": {_REVISION: str(revision)},
                "ownerReferences": [workloads.owner_reference(deployment)],
            },
            "spec": {
                "replicas": replicas,
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), _HASH: digest}},
                "template": {**template, "metadata": {**of_template, "labels": pod_labels}},
            },
        }
        made = await self._client.create(path, body)
        if replicas:
            await self._tell(deployment, made, 0, replicas)
        return made

    async def _tell(self, deployment: Object, replica_set: Object, before: int, after: int) -> None:
        word = "up" if after > before else "down"
        name = replica_set["metadata"]["name"]
        message = f"Scaled {word} replica set {name} from {before} to {after}"
        await self._recorder.event(deployment, "Deployment", "ScalingReplicaSet", message)

    async def _scale(self, path: str, deployment: Object, replica_set: Object, replicas: int) -> None:
        before = int(replica_set["spec"].get("replicas", 0))
        if before == replicas:
            return
        body = {**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}}
        await self._client.update(f"{path}/{replica_set['metadata']['name']}", body)
        await self._tell(deployment, replica_set, before, replicas)

    async def _roll(self, path: str, deployment: Object, new: Object, old: list[Object]) -> None:
        spec = deployment["spec"]
        wanted = int(spec.get("replicas", 1))
        running_old = [item for item in old if int(item["spec"].get("replicas", 0))]
        total_old = sum(int(item["spec"].get("replicas", 0)) for item in running_old)
        if not running_old:
            await self._scale(path, deployment, new, wanted)
            return
        strategy = spec.get("strategy") or {}
        if strategy.get("type") == "Recreate":
            for item in running_old:
                await self._scale(path, deployment, item, 0)
            return
        rolling = strategy.get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
        unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        if not surge and not unavailable:
            unavailable = 1
        have = int(new["spec"].get("replicas", 0))
        room = wanted + surge - total_old - have
        await self._scale(path, deployment, new, min(wanted, have + max(room, 0)))
        available = sum(int((item.get("status") or {}).get("availableReplicas", 0)) for item in (new, *running_old))
        spare = available - (wanted - unavailable)
        for item in running_old:
            count = int(item["spec"].get("replicas", 0))
            ready = int((item.get("status") or {}).get("availableReplicas", 0))
            # Replicas that are not available anyway can go at once.
            take = min(count, max(spare, 0) + (count - ready))
            spare -= min(take, ready)
            await self._scale(path, deployment, item, count - take)

    async def _revision(self, deployment: Object, new: Object | None) -> None:
        revision = ((new or {}).get("metadata", {}).get("annotations") or {}).get(_REVISION)
        if revision and (deployment["metadata"].get("annotations") or {}).get(_REVISION) != revision:
            namespace, name = key_of(deployment)
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
            fresh = await self._client.get(path)
            annotations = {**(fresh["metadata"].get("annotations") or {}), _REVISION: revision}
            metadata = {**fresh["metadata"], "annotations": annotations}
            await self._client.update(path, {**fresh, "metadata": metadata})

    async def _status(self, deployment: Object, new: Object | None, found: list[Object]) -> None:
        def total(items: list[Object], key: str) -> int:
            return sum(int((item.get("status") or {}).get(key, 0)) for item in items)

        every = [*found, *([new] if new is not None and new not in found else [])]
        wanted, replicas, available = int(deployment["spec"].get("replicas", 1)), total(every, "replicas"), 0
        available, updated = total(every, "availableReplicas"), total([new] if new else [], "replicas")
        status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
        counts = {
            "replicas": replicas,
            "updatedReplicas": updated,
            "readyReplicas": total(every, "readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": max(wanted - available, 0),
        }
        status |= {key: value for key, value in counts.items() if value}
        old = deployment.get("status") or {}
        status["conditions"] = _conditions(
            deployment, new, old, available, done=updated == replicas == wanted == available
        )
        if status != old:
            namespace, name = key_of(deployment)
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status"
            fresh = await self._client.get(path.removesuffix("/status"))
            try:
                await self._client.update(path, {**fresh, "status": status})
            except APIError as error:
                if getattr(error, "code", 0) != 409:
                    raise


def _share(value: object, total: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    percent = int(text[:-1]) * total
    return -(-percent // 100) if up else percent // 100


def _conditions(deployment: Object, new: Object | None, old: Object, available: int, *, done: bool) -> list[Object]:
    spec = deployment["spec"]
    wanted = int(spec.get("replicas", 1))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    least = wanted - _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    enough = available >= least
    name = new["metadata"]["name"] if new else ""
    word = "successfully progressed" if done else "is progressing"
    found = [
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        },
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
            "message": f'ReplicaSet "{name}" {"has" if done else ""} {word}.'.replace("  ", " "),
        },
    ]
    previous = {item["type"]: item for item in old.get("conditions") or ()}
    now = timestamp(time.time())
    for item in found:
        before = previous.get(item["type"]) or {}
        same = all(before.get(key) == value for key, value in item.items())
        turned = before.get("status") != item["status"]
        item["lastUpdateTime"] = before.get("lastUpdateTime", now) if same else now
        item["lastTransitionTime"] = now if turned else before.get("lastTransitionTime", now)
    return found
