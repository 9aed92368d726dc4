"""Which PersistentVolume suits a claim, and what a pod's claims demand of its node. Pure."""

from collections.abc import Iterable
from typing import Any

from cka_kubelet.controlplane.storage import class_of
from cka_kubelet.kube import labels, nodeselector, quantity

Object = dict[str, Any]

NO_PROVISIONER = "kubernetes.io/no-provisioner"
_UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
_AFFINITY = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUMES = "node(s) didn't find available persistent volumes to bind"
_LOST = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


def size(text: object) -> int:
    """Bytes; 0 for nonsense."""
    try:
        return quantity.parse(str(text)).value()
    except ValueError:
        return 0


def requested(claim: Object) -> int:
    """Bytes that a claim asks for."""
    return size((((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage", "0"))


def mismatch(volume: Object, claim: Object) -> str:
    """Why this very volume cannot serve the claim, "" when it can (checkVolumeSatisfyClaim)."""
    spec, wanted = volume["spec"], claim.get("spec") or {}
    if size((spec.get("capacity") or {}).get("storage")) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if spec.get("volumeMode", "Filesystem") != wanted.get("volumeMode", "Filesystem"):
        return "incompatible volumeMode"
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def is_for(volume: Object, claim: Object) -> bool:
    """Whether the volume's claimRef names the claim: before binding its uid may be missing."""
    reference, metadata = volume["spec"].get("claimRef") or {}, claim["metadata"]
    same = (reference.get("namespace"), reference.get("name")) == (metadata["namespace"], metadata["name"])
    return same and reference.get("uid", "") in ("", metadata["uid"])


def reaches(volume: Object, node: Object) -> bool:
    """Whether the volume's node affinity lets the node use it."""
    required = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
    return required is None or nodeselector.matches(required, node)


def best(claim: Object, volumes: Iterable[Object], node: Object | None = None) -> Object | None:
    """The smallest free volume that suits; one that is reserved for the claim comes first."""
    selector = (claim.get("spec") or {}).get("selector")
    parsed = labels.from_object(selector) if selector else None
    found = []
    for volume in volumes:
        reserved = is_for(volume, claim)
        if (volume["spec"].get("claimRef") and not reserved) or volume["metadata"].get("deletionTimestamp"):
            continue
        if mismatch(volume, claim) or (node is not None and not reaches(volume, node)):
            continue
        if not reserved and (volume.get("status") or {}).get("phase") != "Available":
            continue
        if not reserved and parsed is not None and not labels.matches(parsed, volume["metadata"].get("labels") or {}):
            continue
        capacity = size((volume["spec"].get("capacity") or {}).get("storage"))
        found.append((not reserved, capacity, str(volume["metadata"]["name"]), volume))
    return min(found, key=lambda item: item[:3])[3] if found else None


def waits_for_consumer(claim: Object, classes: Iterable[Object]) -> bool:
    """Whether the claim's class binds only when a pod is placed."""
    name = class_of(claim)
    found = next((item for item in classes if item["metadata"]["name"] == name), {})
    return found.get("volumeBindingMode") == "WaitForFirstConsumer"


def claim_names(pod: Object) -> list[str]:
    """Names of the claims that a pod uses."""
    result = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            result.append(str(volume["persistentVolumeClaim"].get("claimName", "")))
        elif volume.get("ephemeral"):
            result.append(f"{pod['metadata']['name']}-{volume['name']}")
    return result


def is_bound(claim: Object) -> bool:
    """Whether claim and volume have found each other."""
    return (claim.get("status") or {}).get("phase") == "Bound" and bool((claim.get("spec") or {}).get("volumeName"))


class View:
    """Claims, volumes and classes as one pass of the scheduler sees them."""

    def __init__(self, claims: dict[tuple[str, str], Object], volumes: list[Object], classes: list[Object]) -> None:
        self._claims = claims
        self._volumes = {str(item["metadata"]["name"]): item for item in volumes}
        self._classes = classes

    def of_pod(self, pod: Object) -> list[Object]:
        """The pod's claims that exist."""
        namespace = pod["metadata"]["namespace"]
        return [self._claims[namespace, name] for name in claim_names(pod) if (namespace, name) in self._claims]

    def problem(self, pod: Object) -> str:
        """Why no node at all will do (PreFilter of VolumeBinding), "" when some may."""
        namespace = pod["metadata"]["namespace"]
        for name in claim_names(pod):
            claim = self._claims.get((namespace, name))
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if claim["metadata"].get("deletionTimestamp"):
                return f'persistentvolumeclaim "{name}" is being deleted'
            if (claim.get("status") or {}).get("phase") == "Lost":
                volume = (claim.get("spec") or {}).get("volumeName")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
            if not is_bound(claim) and not waits_for_consumer(claim, self._classes):
                return _UNBOUND
        return ""

    def against(self, pod: Object, node: Object) -> list[str]:
        """Why this node will not do (Filter of VolumeBinding); empty when it will."""
        reasons = set()
        for claim in self.of_pod(pod):
            if is_bound(claim):
                volume = self._volumes.get(claim["spec"]["volumeName"])
                if volume is None:
                    reasons.add(_LOST)
                elif not reaches(volume, node):
                    reasons.add(_AFFINITY)
            elif best(claim, self._volumes.values(), node) is None and not self.provisioned(claim):
                reasons.add(_NO_VOLUMES)
        return sorted(reasons)

    def provisioned(self, claim: Object) -> bool:
        """Whether somebody makes volumes of the claim's class."""
        name = class_of(claim)
        found = next((item for item in self._classes if item["metadata"]["name"] == name), {})
        return str(found.get("provisioner", NO_PROVISIONER)) != NO_PROVISIONER

    def choice(self, claim: Object, node: Object) -> Object | None:
        """The volume that the claim gets when its pod goes to `node`; None when it must be made."""
        return best(claim, self._volumes.values(), node)
