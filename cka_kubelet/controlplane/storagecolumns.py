"""The cells of storage kinds' rows."""

from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane import storage

Object = dict[str, Any]
Ago = Callable[[str], str]


def _age(obj: Object, ago: Ago) -> str:
    return ago(obj["metadata"].get("creationTimestamp") or "")


def storage_class(obj: Object, ago: Ago) -> list[Any]:
    """NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE."""
    return [
        obj["metadata"]["name"] + (" (default)" if storage.is_default(obj) else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        _age(obj, ago),
    ]


def attachment(obj: Object, ago: Ago) -> list[Any]:
    """NAME ATTACHER PV NODE ATTACHED AGE."""
    spec = obj.get("spec") or {}
    attached = str(bool((obj.get("status") or {}).get("attached"))).lower()
    volume = (spec.get("source") or {}).get("persistentVolumeName", "")
    return [
        obj["metadata"]["name"],
        spec.get("attacher", ""),
        volume,
        spec.get("nodeName", ""),
        attached,
        _age(obj, ago),
    ]


def driver(obj: Object, ago: Ago) -> list[Any]:
    """A CSI driver."""
    spec = obj.get("spec") or {}
    tokens = ",".join(str(item.get("audience", "")) for item in spec.get("tokenRequests") or ())
    return [
        obj["metadata"]["name"],
        str(bool(spec.get("attachRequired", True))).lower(),
        str(bool(spec.get("podInfoOnMount"))).lower(),
        str(bool(spec.get("storageCapacity"))).lower(),
        tokens or "<unset>",
        str(bool(spec.get("requiresRepublish"))).lower(),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        _age(obj, ago),
    ]
