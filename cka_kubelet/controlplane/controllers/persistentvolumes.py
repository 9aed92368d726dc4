"""Binding claims to volumes and following both to their end (pkg/controller/volume/persistentvolume, pvcprotection).

Volumes are made beforehand: there is no provisioner here, as in a kubeadm cluster without a CSI driver.
"""

import copy
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import volumematching as matching
from cka_kubelet.controlplane.controllers.informer import Informer, key_of
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.controlplane.patch import merge
from cka_kubelet.controlplane.storage import class_of

Object = dict[str, Any]

_BY_CONTROLLER, _COMPLETED = "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/bind-completed"
_RESYNC_SECONDS = 15.0
_PV_FINALIZER, _PVC_FINALIZER = "kubernetes.io/pv-protection", "kubernetes.io/pvc-protection"


class PersistentVolumes:
    """One pass over all claims and volumes, claims first."""

    def __init__(self, client: Client, claims: Informer, volumes: Informer, classes: Informer, pods: Informer) -> None:
        self._client = client
        self._claims = claims
        self._volumes = volumes
        self._classes = classes
        self._pods = pods
        self._recorder = Recorder(client, "persistentvolume-controller")

    async def sync(self) -> float | None:
        """Make, bind, release and let go what is due; seconds until pending claims are looked at again."""
        for claim in list(self._claims.items.values()):
            if claim["metadata"].get("deletionTimestamp"):
                await self._let_claim_go(claim)
            elif (claim.get("spec") or {}).get("volumeName"):
                await self._named(claim)
            else:
                await self._unbound(claim)
        for volume in list(self._volumes.items.values()):
            await self._volume(volume)
        pending = any(not matching.is_bound(claim) for claim in self._claims.items.values())
        return _RESYNC_SECONDS if pending else None

    # Claims.

    async def _unbound(self, claim: Object) -> None:
        classes = list(self._classes.items.values())
        waits = matching.waits_for_consumer(claim, classes)
        reserved = [v for v in self._volumes.items.values() if v["spec"].get("claimRef") and matching.is_for(v, claim)]
        if waits and not reserved:
            await self._event(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
            return
        volume = matching.best(claim, reserved or self._volumes.items.values())
        if volume is not None:
            await self._bind(volume, claim, ours=not reserved)
            return
        await self._no_volume(claim, classes)

    async def _no_volume(self, claim: Object, classes: list[Object]) -> None:
        name = class_of(claim)
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            await self._event(claim, "FailedBinding", text)
            return
        found = next((item for item in classes if item["metadata"]["name"] == name), None)
        if found is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            await self._event(claim, "ProvisioningFailed", text, warning=True)
            return
        provisioner = str(found.get("provisioner", ""))
        if provisioner.startswith("kubernetes.io/"):
            text = f"no volume plugin matched name: {provisioner}"
            await self._event(claim, "ProvisioningFailed", text, warning=True)
            return
        text = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
            "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
            "correctly registered."
        )
        await self._event(claim, "ExternalProvisioning", text)
        note = {"volume.kubernetes.io/storage-provisioner": provisioner}
        if not note.items() <= (claim["metadata"].get("annotations") or {}).items():
            await self._patch(claim, {"metadata": {"annotations": note}})

    async def _named(self, claim: Object) -> None:
        """The claim names its volume: bound already, asked for by its author, or lost."""
        name = claim["spec"]["volumeName"]
        volume = self._volumes.get("", name)
        completed = _COMPLETED in (claim["metadata"].get("annotations") or {})
        mine = volume is not None and volume["spec"].get("claimRef") and matching.is_for(volume, claim)
        if volume is None or (volume["spec"].get("claimRef") and not mine):
            if completed and (claim.get("status") or {}).get("phase") != "Lost":
                await self._patch(claim, {"status": {"phase": "Lost"}}, "/status")
                if volume is None:
                    text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                    await self._event(claim, "ClaimLost", text, warning=True)
                else:
                    text = "Two claims are bound to the same volume, this one is bound incorrectly"
                    await self._event(claim, "ClaimMisbound", text, warning=True)
            return
        problem = "" if completed else matching.mismatch(volume, claim)
        if problem:
            text = f'Cannot bind to requested volume "{name}": {problem}'
            await self._event(claim, "VolumeMismatch", text, warning=True)
            return
        if not matching.is_bound(claim) or not volume["spec"].get("claimRef"):
            await self._bind(volume, claim, ours=not mine)

    async def _bind(self, volume: Object, claim: Object, *, ours: bool) -> None:
        """Both sides point to each other, the volume first; `ours`: nobody chose this pair beforehand."""
        note = {_BY_CONTROLLER: "yes"} if ours else {}
        reference = reference_to(claim)
        if (volume["spec"].get("claimRef") or {}).get("uid") != reference["uid"]:
            change: Object = {"spec": {"claimRef": reference}}
            if note:
                change["metadata"] = {"annotations": note}
            await self._patch(volume, change)
        await self._patch(volume, {"status": {"phase": "Bound"}}, "/status")
        spec = volume["spec"]
        if not claim["spec"].get("volumeName"):
            note = {_BY_CONTROLLER: "yes"}
        change = {
            "metadata": {"annotations": {**note, _COMPLETED: "yes"}},
            "spec": {"volumeName": volume["metadata"]["name"]},
        }
        await self._patch(claim, change)
        status = {"phase": "Bound", "accessModes": spec.get("accessModes"), "capacity": spec.get("capacity")}
        await self._patch(claim, {"status": status}, "/status")

    async def _let_claim_go(self, claim: Object) -> None:
        """The pvc-protection controller: a claim stays while a pod that has not ended uses it."""
        namespace, name = key_of(claim)
        for pod in self._pods.items.values():
            phase = (pod.get("status") or {}).get("phase")
            placed = (pod.get("spec") or {}).get("nodeName") and phase not in ("Succeeded", "Failed")
            if placed and pod["metadata"]["namespace"] == namespace and name in matching.claim_names(pod):
                return
        await self._drop_finalizer(claim, _PVC_FINALIZER)

    # Volumes.

    async def _volume(self, volume: Object) -> None:
        spec, status = volume["spec"], volume.get("status") or {}
        reference = spec.get("claimRef")
        claim = self._claims.get(reference.get("namespace", ""), reference.get("name", "")) if reference else None
        ours = claim is not None and matching.is_for(volume, claim)
        if volume["metadata"].get("deletionTimestamp"):
            if not ours:
                await self._drop_finalizer(volume, _PV_FINALIZER)
            return
        if reference is None or not reference.get("uid"):
            if status.get("phase") != "Available":
                await self._patch(volume, {"status": {"phase": "Available"}}, "/status")
        elif not ours and status.get("phase") not in ("Released", "Failed"):
            await self._patch(volume, {"status": {"phase": "Released"}}, "/status")
            if spec.get("persistentVolumeReclaimPolicy") == "Delete":
                await self._reclaim(volume)

    async def _reclaim(self, volume: Object) -> None:
        """reclaimPolicy Delete: no in-tree plugin deletes what it did not make; CSI volumes wait for their driver."""
        if volume["spec"].get("csi"):
            return
        path = (volume["spec"].get("hostPath") or {}).get("path")
        name = volume["metadata"]["name"]
        text = f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
        if path is not None:
            text = f"host_path deleter only supports /tmp/.+ but received provided {path}"
        await self._patch(volume, {"status": {"phase": "Failed", "message": text}}, "/status")
        await self._recorder.event(volume, "PersistentVolume", "VolumeFailedDelete", text, warning=True)

    # Small things.

    async def _event(self, claim: Object, reason: str, text: str, *, warning: bool = False) -> None:
        await self._recorder.event(claim, "PersistentVolumeClaim", reason, text, warning=warning)

    async def _patch(self, obj: Object, change: Object, subresource: str = "") -> None:
        fresh = await self._client.get(_path(obj))
        await self._client.update(_path(obj) + subresource, merge(copy.deepcopy(fresh), change))

    async def _drop_finalizer(self, obj: Object, finalizer: str) -> None:
        left = [item for item in obj["metadata"].get("finalizers") or () if item != finalizer]
        if left != (obj["metadata"].get("finalizers") or []):
            await self._patch(obj, {"metadata": {"finalizers": left}})


def reference_to(claim: Object) -> Object:
    """A volume's claimRef."""
    metadata = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": "v1",
        "resourceVersion": metadata["resourceVersion"],
    }


def _path(obj: Object) -> str:
    namespace, name = key_of(obj)
    return (
        f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
        if namespace
        else f"/api/v1/persistentvolumes/{name}"
    )
