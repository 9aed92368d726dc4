"""From a pod's claim to the PersistentVolume behind it (desired_state_of_world_populator.go)."""

from typing import Any

from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.volumes import specs
from cka_kubelet.kubelet.volumes.specs import Spec


class ClaimError(Exception):
    """The claim leads to no volume, for now; the text is the pod worker's error and the FailedMount event's."""


class Claims:
    """Resolves volumes. Claims and volumes are read from the API each time, as upstream does."""

    def __init__(self, api: APIClient | None) -> None:
        self._api = api

    async def resolve(self, pod: objects.Pod, volume: dict[str, Any]) -> Spec:
        """What the pod's volume stands for. Raises ClaimError."""
        claim = specs.claim_name(pod, volume)
        if not claim:
            return specs.of_volume(volume)
        where = f"{objects.namespace(pod)}/{claim}"
        try:
            found = await self._claim(pod, claim, ephemeral="ephemeral" in volume)
            persistent = await self._volume(found)
        except ClaimError as error:
            raise ClaimError(f"error processing PVC {where}: {error}") from None
        mode = persistent["spec"].get("volumeMode") or "Filesystem"
        if mode != "Filesystem":
            raise ClaimError(f"volume {volume['name']} has volumeMode {mode}, but is specified in volumeMounts")
        read_only = bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))
        return specs.of_persistent(str(volume["name"]), persistent, read_only=read_only)

    async def _claim(self, pod: objects.Pod, name: str, *, ephemeral: bool) -> dict[str, Any]:
        namespace = objects.namespace(pod)
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
        found = await self._get(path, "failed to fetch PVC from API server")
        metadata = found["metadata"]
        if ephemeral and not _controlled_by(metadata, pod):
            text = f"PVC {namespace}/{name} was not created for pod {objects.key(pod)} (pod is not owner)"
            raise ClaimError(text)
        if metadata.get("deletionTimestamp"):
            raise ClaimError("PVC is being deleted")
        if (found.get("status") or {}).get("phase") != "Bound":
            raise ClaimError("PVC is not bound")
        if not (found.get("spec") or {}).get("volumeName"):
            raise ClaimError("PVC has empty pvc.Spec.VolumeName")
        return found

    async def _volume(self, claim: dict[str, Any]) -> dict[str, Any]:
        name, uid = claim["spec"]["volumeName"], claim["metadata"].get("uid")
        found = await self._get(f"/api/v1/persistentvolumes/{name}", f"failed to fetch PV {name} from API server")
        reference = found["spec"].get("claimRef")
        if reference is None:
            text = (
                f"found PV object {name} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
            )
            raise ClaimError(text)
        if reference.get("uid") != uid:
            theirs = f"its pv.Spec.ClaimRef.UID {reference.get('uid')} does not point to claim.UID {uid}"
            raise ClaimError(f"found PV object {name} but {theirs}")
        return found

    async def _get(self, path: str, problem: str) -> dict[str, Any]:
        if self._api is None:
            raise ClaimError(f"{problem}: no API server in standalone mode")
        try:
            return await self._api.get(path)
        except (StatusError, TransportError) as error:
            raise ClaimError(f"{problem}: {error}") from None


def _controlled_by(metadata: dict[str, Any], pod: objects.Pod) -> bool:
    owners = metadata.get("ownerReferences") or []
    return any(owner.get("controller") and owner.get("uid") == objects.uid(pod) for owner in owners)
