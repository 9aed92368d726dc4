"""Volumes, claims and storage classes: defaults, finalizers, rules (`pkg/apis/core/v1`, `pkg/apis/storage/v1`)."""

from typing import Any

from cka_kubelet.kube.apistatus import Cause

Object = dict[str, Any]

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_PV_FINALIZER, _PVC_FINALIZER = "kubernetes.io/pv-protection", "kubernetes.io/pvc-protection"
_CLAIM_IMMUTABLE = (
    "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
    "claims"
)


def class_of(obj: Object) -> str:
    """The storage class of a claim or volume, "" for none; the old annotation comes first."""
    old = (obj["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return str(old if old is not None else (obj.get("spec") or {}).get("storageClassName") or "")


def default_volume(obj: Object) -> None:
    """A PersistentVolume's defaults."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if isinstance(spec.get("hostPath"), dict):
        spec["hostPath"].setdefault("type", "")


def default_claim(obj: Object) -> None:
    """A PersistentVolumeClaim's defaults."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def default_class(obj: Object) -> None:
    """A StorageClass's defaults."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def default_driver(obj: Object) -> None:
    """A CSIDriver's defaults."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    spec.setdefault("podInfoOnMount", False)
    spec.setdefault("storageCapacity", False)
    spec.setdefault("volumeLifecycleModes", ["Persistent"])
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("requiresRepublish", False)


def admit(resource: str, obj: Object, classes: list[Object]) -> None:
    """A new claim or volume: StorageObjectInUseProtection and DefaultStorageClass."""
    metadata = obj["metadata"]
    finalizer = _PV_FINALIZER if resource == "persistentvolumes" else _PVC_FINALIZER
    finalizers = metadata.setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)
    spec = obj.setdefault("spec", {})
    given = "storageClassName" in spec or BETA_CLASS in (metadata.get("annotations") or {})
    if resource == "persistentvolumeclaims" and not given:
        newest = sorted((c for c in classes if is_default(c)), key=lambda c: str(c["metadata"]["creationTimestamp"]))
        if newest:
            spec["storageClassName"] = newest[-1]["metadata"]["name"]


def is_default(obj: Object) -> bool:
    """Whether a StorageClass is the one for claims that name none."""
    annotations = obj["metadata"].get("annotations") or {}
    return "true" in (
        annotations.get(DEFAULT_CLASS),
        annotations.get(DEFAULT_CLASS.replace("class.", "class.beta.", 1)),
    )


def volume_problems(obj: Object, old: Object | None) -> list[Cause]:
    """What is wrong with a PersistentVolume."""
    spec = obj.get("spec") or {}
    problems = []
    if not spec.get("accessModes"):
        problems.append(Cause("FieldValueRequired", "Required value", "spec.accessModes"))
    if not spec.get("capacity"):
        problems.append(Cause("FieldValueRequired", "Required value", "spec.capacity"))
    if spec.get("local") and not (spec.get("nodeAffinity") or {}).get("required"):
        text = "Required value: Local volume requires node affinity"
        problems.append(Cause("FieldValueRequired", text, "spec.nodeAffinity"))
    if not any(spec.get(kind) for kind in _SOURCES):
        problems.append(Cause("FieldValueRequired", "Required value: must specify a volume type", "spec"))
    if old is not None and any(spec.get(kind) != (old.get("spec") or {}).get(kind) for kind in _SOURCES):
        text = "Forbidden: spec.persistentvolumesource is immutable after creation"
        problems.append(Cause("FieldValueForbidden", text, "spec.persistentvolumesource"))
    return problems


_SOURCES = frozenset(
    (
        *("hostPath", "local", "nfs", "csi", "iscsi", "fc", "cephfs", "rbd", "glusterfs", "flexVolume", "flocker"),
        *("gcePersistentDisk", "azureDisk", "azureFile", "vsphereVolume", "portworxVolume", "awsElasticBlockStore"),
        *("cinder", "scaleIO", "storageos", "quobyte", "photonPersistentDisk"),
    )
)


def claim_problems(obj: Object, old: Object | None) -> list[Cause]:
    """What is wrong with a PersistentVolumeClaim."""
    spec = obj.get("spec") or {}
    problems = []
    if not spec.get("accessModes"):
        text = "Required value: at least 1 access mode is required"
        problems.append(Cause("FieldValueRequired", text, "spec.accessModes"))
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        problems.append(Cause("FieldValueRequired", "Required value", "spec.resources[storage]"))
    if old is not None and _fixed(obj, old) != _fixed(old, old):
        problems.append(Cause("FieldValueForbidden", _CLAIM_IMMUTABLE, "spec"))
    return problems


def _fixed(obj: Object, old: Object) -> Object:
    """The fields of a claim that stay: all but the size, and the volume once one is named."""
    spec = dict(obj.get("spec") or {})
    spec.pop("resources", None)
    spec.pop("volumeAttributesClassName", None)
    if not (old.get("spec") or {}).get("volumeName"):
        spec.pop("volumeName", None)
    return spec
