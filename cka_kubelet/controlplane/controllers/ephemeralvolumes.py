"""A claim for each generic ephemeral volume of a pod (pkg/controller/volume/ephemeral)."""

from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import Informer

Object = dict[str, Any]


class EphemeralVolumes:
    """Makes the claims; each is owned by its pod, with which it is collected."""

    def __init__(self, client: Client, pods: Informer, claims: Informer) -> None:
        self._client = client
        self._pods = pods
        self._claims = claims

    async def sync(self) -> None:
        """Every pod once."""
        for (namespace, name), pod in list(self._pods.items.items()):
            for volume in (pod.get("spec") or {}).get("volumes") or ():
                template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
                claim = f"{name}-{volume['name']}"
                if not template or pod["metadata"].get("deletionTimestamp") or self._claims.get(namespace, claim):
                    continue
                owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
                owner |= {"controller": True, "blockOwnerDeletion": True}
                metadata = {**(template.get("metadata") or {}), "name": claim, "ownerReferences": [owner]}
                body = {"metadata": metadata, "spec": template.get("spec") or {}}
                await self._client.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", body)
