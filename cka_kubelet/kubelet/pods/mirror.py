"""Mirror pods: what the API server shows of static pods."""

import copy

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.pods import objects


def mirror_of(pod: objects.Pod, node: objects.Pod) -> objects.Pod:
    """The mirror pod to create: the static pod, owned by the node, marked with the hash."""
    copied = copy.deepcopy(pod)
    metadata = copied["metadata"]
    metadata.pop("uid", None)
    metadata["annotations"] = {**objects.annotations(pod), objects.MIRROR: objects.annotations(pod)[objects.HASH]}
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
        "controller": True,
    }
    metadata["ownerReferences"] = [owner]
    copied.pop("status", None)
    return copied


def same(pod: objects.Pod, mirror: objects.Pod) -> bool:
    """Whether the mirror shows this very version of the static pod."""
    return objects.annotations(mirror).get(objects.MIRROR) == objects.annotations(pod).get(objects.HASH)


class MirrorClient:
    """Creates and deletes mirror pods. Failures are logged; the next sync tries again (pod/mirror_client.go)."""

    def __init__(self, api: APIClient | None) -> None:
        self._api = api

    async def create(self, pod: objects.Pod, node: objects.Pod) -> None:
        if self._api is None:
            return
        try:
            await self._api.create(f"/api/v1/namespaces/{objects.namespace(pod)}/pods", mirror_of(pod, node))
        except (StatusError, TransportError) as error:  # "already exists" too, while the watch has not told of it
            klog.error("kubelet.go:3542", "Failed creating a mirror pod for", err=error, pod=objects.key(pod))

    async def delete(self, mirror: objects.Pod) -> bool:
        """Whether this very mirror was there and is deleted."""
        if self._api is None:
            return False
        path = f"/api/v1/namespaces/{objects.namespace(mirror)}/pods/{objects.name(mirror)}"
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": objects.uid(mirror)},
        }
        try:
            await self._api.delete(path, options)
        except (StatusError, TransportError) as error:
            if not (isinstance(error, StatusError) and error.code in (404, 409)):
                klog.error("mirror_client.go:134", "Failed deleting a mirror pod", err=error, pod=objects.key(mirror))
            return False
        return True
