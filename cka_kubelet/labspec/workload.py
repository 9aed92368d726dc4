"""Objects that a lab puts into the cluster, and where the API server keeps them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

_KINDS = {
    ("v1", "ConfigMap"): ("/api/v1", "configmaps"),
    ("v1", "Pod"): ("/api/v1", "pods"),
    ("v1", "Secret"): ("/api/v1", "secrets"),
    ("v1", "Service"): ("/api/v1", "services"),
    ("v1", "ServiceAccount"): ("/api/v1", "serviceaccounts"),
    ("v1", "PersistentVolumeClaim"): ("/api/v1", "persistentvolumeclaims"),
    ("v1", "PersistentVolume"): ("/api/v1", "persistentvolumes"),
    ("v1", "Namespace"): ("/api/v1", "namespaces"),
    ("v1", "Node"): ("/api/v1", "nodes"),
    ("apps/v1", "DaemonSet"): ("/apis/apps/v1", "daemonsets"),
    ("apps/v1", "Deployment"): ("/apis/apps/v1", "deployments"),
    ("node.k8s.io/v1", "RuntimeClass"): ("/apis/node.k8s.io/v1", "runtimeclasses"),
}
_OF_THE_CLUSTER = {"PersistentVolume", "Namespace", "Node", "RuntimeClass"}
KINDS = sorted(kind for _, kind in _KINDS)


def object_path(manifest: Mapping[str, Any]) -> str:
    """Where the API server keeps the object. Raises ValueError for what is no object of a known kind with a name."""
    kind = (manifest.get("apiVersion"), manifest.get("kind"))
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if kind not in _KINDS:
        known = ", ".join(f"{version} {kind}" for version, kind in sorted(_KINDS))
        raise ValueError(f"apiVersion and kind are {kind[0]} {kind[1]}; known are {known}")
    if not isinstance(metadata, Mapping) or not isinstance(name, str) or not name:
        raise ValueError("metadata.name is missing")
    return path_of(str(kind[1]), name, str(metadata.get("namespace", "default")))


def path_of(kind: str, name: str, namespace: str) -> str:
    """The path of an object of a kind in KINDS."""
    base, plural = next(found for (_, known), found in _KINDS.items() if known == kind)
    return f"{base}/{plural}/{name}" if kind in _OF_THE_CLUSTER else f"{base}/namespaces/{namespace}/{plural}/{name}"


def _known(manifest: dict[str, Any]) -> dict[str, Any]:
    object_path(manifest)
    return manifest


Manifest = Annotated[dict[str, Any], AfterValidator(_known)]
"""A Kubernetes object as one writes it for kubectl."""
