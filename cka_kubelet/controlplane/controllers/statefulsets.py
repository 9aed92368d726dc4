"""StatefulSets: pods with a number, a name that stays, and claims of their own (pkg/controller/statefulset)."""

import copy
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import workloads
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, each, key_of, namespace_ends
from cka_kubelet.controlplane.controllers.recorder import Recorder

Object = dict[str, Any]

_HASH = "controller-revision-hash"
_POD_NAME, _INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


class StatefulSets:
    """Creates in order, removes and updates in the opposite one, each after its neighbours are healthy."""

    def __init__(self, client: Client, sets: Informer, pods: Informer, claims: Informer, revisions: Informer) -> None:
        self._client = client
        self._sets = sets
        self._pods = pods
        self._claims = claims
        self._revisions = revisions
        self._recorder = Recorder(client, "statefulset-controller")

    async def sync(self) -> None:
        """Every set once."""
        await each(self._sets.items.values(), self._one)

    async def _one(self, owner: Object) -> None:
        update = await self._revision(owner)
        current = str((owner.get("status") or {}).get("currentRevision") or update)
        numbered = {ordinal_of(pod, owner): pod for pod in workloads.owned_pods(self._pods, owner)}
        numbered.pop(-1, None)
        try:
            await self._step(owner, numbered, current, update)
        finally:
            await self._status(owner, list(numbered.values()), current, update)

    # One thing at a time, unless pods are managed in parallel.

    async def _step(self, owner: Object, pods: dict[int, Object], current: str, update: str) -> None:
        parallel = owner["spec"].get("podManagementPolicy") == "Parallel"
        wanted = ordinals(owner)
        for number in wanted:
            pod = pods.get(number)
            if pod is None:
                await self._create(owner, number, self._revision_for(owner, number, current, update), update)
                if not parallel:
                    return
            elif await self._unfit(owner, pod) and not parallel:
                return
        for number in sorted((number for number in pods if number not in wanted), reverse=True):
            pod = pods[number]
            if pod["metadata"].get("deletionTimestamp"):
                if not parallel:
                    return
                continue
            await self._delete(owner, pod)
            if not parallel:
                return
        await self._roll(owner, {number: pod for number, pod in pods.items() if number in wanted}, update)

    async def _unfit(self, owner: Object, pod: Object) -> bool:
        """Whether the set has to wait for this pod; one that has ended is deleted, to be made again."""
        namespace, name = key_of(pod)
        if pod["metadata"].get("deletionTimestamp"):
            return True
        if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            text = f"StatefulSet {namespace}/{owner['metadata']['name']} is recreating failed Pod {name}"
            await self._recorder.event(owner, "StatefulSet", "RecreatingFailedPod", text, warning=True)
            await self._delete(owner, pod)
            return True
        return not workloads.is_ready(pod)

    async def _roll(self, owner: Object, pods: dict[int, Object], update: str) -> None:
        """Replace the pod with the highest number that is of an old revision, when all above it are healthy."""
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        for number in sorted((number for number in pods if number >= partition), reverse=True):
            pod = pods[number]
            going = bool(pod["metadata"].get("deletionTimestamp"))
            if _revision_of(pod) != update and not going:
                await self._delete(owner, pod)
                return
            if going or not workloads.is_ready(pod):
                return

    def _revision_for(self, owner: Object, number: int, current: str, update: str) -> str:
        strategy = owner["spec"].get("updateStrategy") or {}
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        old = strategy.get("type") != "OnDelete" and number < partition
        return current if old else update

    async def _create(self, owner: Object, number: int, revision: str, update: str) -> None:
        namespace, set_name = key_of(owner)
        stored = self._revisions.get(namespace, revision) if revision != update else None
        template = ((stored or {}).get("data") or {}).get("spec", {}).get("template") or owner["spec"]["template"]
        pod = pod_of(owner, number, template, revision)
        name = pod["metadata"]["name"]
        try:
            await self._create_claims(owner, number, name)
            await self._client.create(f"/api/v1/namespaces/{namespace}/pods", pod)
        except APIError as error:
            if namespace_ends(error) or getattr(error, "code", 0) == 409:
                return
            text = f"create Pod {name} in StatefulSet {set_name} failed error: {error}"
            await self._recorder.event(owner, "StatefulSet", "FailedCreate", text, warning=True)
            raise
        text = f"create Pod {name} in StatefulSet {set_name} successful"
        await self._recorder.event(owner, "StatefulSet", "SuccessfulCreate", text)

    async def _create_claims(self, owner: Object, number: int, pod: str) -> None:
        namespace, set_name = key_of(owner)
        for template in owner["spec"].get("volumeClaimTemplates") or ():
            name = claim_name(template, owner, number)
            if self._claims.get(namespace, name) is not None:
                continue
            labels = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
            metadata = {**template["metadata"], "name": name, "namespace": namespace}
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
            body = {"metadata": metadata, "spec": copy.deepcopy(template["spec"])}
            await self._client.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", body)
            text = f"create Claim {name} Pod {pod} in StatefulSet {set_name} success"
            await self._recorder.event(owner, "StatefulSet", "SuccessfulCreate", text)

    async def _delete(self, owner: Object, pod: Object) -> None:
        namespace, name = key_of(pod)
        options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            await self._client.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", options)
        except APIError as error:
            if getattr(error, "code", 0) in (404, 409):
                return
            raise
        text = f"delete Pod {name} in StatefulSet {owner['metadata']['name']} successful"
        await self._recorder.event(owner, "StatefulSet", "SuccessfulDelete", text)

    async def _revision(self, owner: Object) -> str:
        """The name of the revision that the set's template is; made when there is none."""
        namespace, set_name = key_of(owner)
        template = owner["spec"]["template"]
        name = f"{set_name}-{workloads.template_hash(template)}"
        if self._revisions.get(namespace, name) is not None:
            return name
        mine = [item for item in self._revisions.items.values() if workloads.controlled_by(item, owner)]
        body = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": (template.get("metadata") or {}).get("labels") or {},
                "ownerReferences": [workloads.owner_reference(owner)],
            },
            "data": {"spec": {"template": {**template, "$patch": "replace"}}},
            "revision": 1 + max((int(item.get("revision") or 0) for item in mine), default=0),
        }
        try:
            await self._client.create(f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions", body)
        except APIError as error:
            if getattr(error, "code", 0) != 409:
                raise
        return name

    async def _status(self, owner: Object, pods: list[Object], current: str, update: str) -> None:
        ready = sum(1 for pod in pods if workloads.is_ready(pod))
        updated = sum(1 for pod in pods if _revision_of(pod) == update)
        if updated == len(pods) == ready == int(owner["spec"].get("replicas", 1)):
            current = update
        status: Object = {
            "observedGeneration": owner["metadata"].get("generation", 1),
            "replicas": len(pods),
            "availableReplicas": ready,
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        }
        counts = {
            "readyReplicas": ready,
            "currentReplicas": sum(1 for pod in pods if _revision_of(pod) == current),
            "updatedReplicas": updated,
        }
        status |= {key: value for key, value in counts.items() if value}
        if status != owner.get("status"):
            namespace, name = key_of(owner)
            path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}/status"
            await self._client.update(path, {**owner, "status": status})


def ordinals(owner: Object) -> range:
    """The numbers of the pods that a set wants."""
    start = int((owner["spec"].get("ordinals") or {}).get("start") or 0)
    return range(start, start + int(owner["spec"].get("replicas", 1)))


def ordinal_of(pod: Object, owner: Object) -> int:
    """A pod's number, -1 when its name has none."""
    name, dash, number = pod["metadata"]["name"].rpartition("-")
    return int(number) if dash and name == owner["metadata"]["name"] and number.isdecimal() else -1


def claim_name(template: Object, owner: Object, number: int) -> str:
    """What the claim of a template is called."""
    return f"{template['metadata']['name']}-{owner['metadata']['name']}-{number}"


def pod_of(owner: Object, number: int, template: Object, revision: str) -> Object:
    """The pod with this number."""
    metadata, spec = template.get("metadata") or {}, copy.deepcopy(template["spec"])
    name = f"{owner['metadata']['name']}-{number}"
    labels = {**(metadata.get("labels") or {}), _INDEX: str(number), _HASH: revision, _POD_NAME: name}
    made: Object = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": labels,
        "ownerReferences": [workloads.owner_reference(owner)],
    }
    if metadata.get("annotations"):
        made["annotations"] = metadata["annotations"]
    spec["hostname"] = name
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    templates = owner["spec"].get("volumeClaimTemplates") or []
    own = {item["metadata"]["name"] for item in templates}
    claims = [
        {
            "name": item["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(item, owner, number)},
        }
        for item in templates
    ]
    volumes = claims + [item for item in spec.get("volumes") or () if item["name"] not in own]
    if volumes:
        spec["volumes"] = volumes
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec}


def _revision_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_HASH, ""))
