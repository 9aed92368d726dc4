"""Common to controllers that own pods: templates, hashes, readiness, creating and deleting."""

import hashlib
import json
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, namespace_ends
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube import labels

Object = dict[str, Any]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object) -> str:
    """A name for a pod template, ten characters as upstream's pod-template-hash has."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])


def owner_reference(owner: Object) -> Object:
    """A controller reference to `owner`."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` controls `obj`."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(item.get("controller") and item.get("uid") == owner["metadata"]["uid"] for item in references)


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def is_active(pod: Object) -> bool:
    """Whether the pod still counts: not ended, not being deleted."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def owned_pods(pods: Informer, owner: Object) -> list[Object]:
    """Pods that `owner` controls, those it should keep first: bound, ready, old."""
    selector = labels.from_object((owner.get("spec") or {}).get("selector")) or ()
    namespace = owner["metadata"]["namespace"]
    found = [
        pod
        for (where, _), pod in pods.items.items()
        if where == namespace and controlled_by(pod, owner) and labels.matches(selector, pod["metadata"].get("labels"))
    ]
    return sorted(found, key=_keep_first)


def _keep_first(pod: Object) -> tuple[bool, bool, bool, str]:
    running = (pod.get("status") or {}).get("phase") == "Running"
    bound = bool((pod.get("spec") or {}).get("nodeName"))
    return not bound, not running, not is_ready(pod), str(pod["metadata"].get("creationTimestamp", ""))


class PodControl:
    """Creates and deletes pods for an owner and records the events that go with it."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self.recorder = Recorder(client, component)

    async def create(self, owner: Object, extra_spec: Object | None = None, extra_labels: Object | None = None) -> None:
        """Create a pod from the owner's template. Raises StatusError after recording FailedCreate."""
        template, metadata = owner["spec"]["template"], owner["metadata"]
        of_template = template.get("metadata") or {}
        pod_metadata: Object = {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {**(of_template.get("labels") or {}), **(extra_labels or {})},
            "ownerReferences": [owner_reference(owner)],
        }
        if of_template.get("annotations"):
            pod_metadata["annotations"] = of_template["annotations"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_metadata}
        pod["spec"] = {**template["spec"], **(extra_spec or {})}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods"
        try:
            made = await self._client.create(path, pod)
        except APIError as error:
            if namespace_ends(error):
                return
            text = f"Error creating: {error}"
            await self.recorder.event(owner, owner["kind"], "FailedCreate", text, warning=True)
            raise
        message = f"Created pod: {made['metadata']['name']}"
        await self.recorder.event(owner, owner["kind"], "SuccessfulCreate", message)

    async def delete(self, owner: Object, pod: Object) -> None:
        """Delete a pod of the owner's."""
        metadata = pod["metadata"]
        try:
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            await self._client.delete(path, {"preconditions": {"uid": metadata["uid"]}})
        except APIError as error:
            if getattr(error, "code", 0) in (404, 409):
                return
            raise
        await self.recorder.event(owner, owner["kind"], "SuccessfulDelete", f"Deleted pod: {metadata['name']}")
