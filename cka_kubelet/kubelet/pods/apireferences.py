"""What a static pod may not refer to, for it runs without an API server (gate PreventStaticPodAPIReferences, on)."""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
}
_SOURCES = {
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}


def api_reference(spec: dict[str, Any]) -> str:
    """The resource of the first API object that a pod's spec refers to, in upstream's order and words; "" for none."""
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        return "serviceaccounts"
    named = set(_named(spec))
    for resource in ("secrets", "configmaps"):
        if resource in named:
            return resource
    if spec.get("resourceClaims"):
        return "resourceclaims"
    for volume in spec.get("volumes") or []:
        for kind, resource in _VOLUMES.items():
            if volume.get(kind) is not None:
                return resource
        for source in (volume.get("projected") or {}).get("sources") or []:
            for kind, resource in _SOURCES.items():
                if source.get(kind) is not None:
                    return resource
    return ""


def _named(spec: dict[str, Any]) -> Iterator[str]:
    """`secrets` and `configmaps`, wherever the spec names one."""
    if spec.get("imagePullSecrets"):
        yield "secrets"
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or []:
            sources = list(container.get("envFrom") or [])
            sources += [entry.get("valueFrom") or {} for entry in container.get("env") or []]
            for source in sources:
                if source.get("secretRef") or source.get("secretKeyRef"):
                    yield "secrets"
                if source.get("configMapRef") or source.get("configMapKeyRef"):
                    yield "configmaps"
    for volume in spec.get("volumes") or []:
        for source in (volume, *((volume.get("projected") or {}).get("sources") or [])):
            if source.get("secret") is not None or _secret_of_plugin(source):
                yield "secrets"
            if source.get("configMap") is not None:
                yield "configmaps"


def _secret_of_plugin(volume: dict[str, Any]) -> bool:
    plugins = (volume.get(kind) or {} for kind in ("csi", "azureFile"))
    return any(plugin.get("nodePublishSecretRef") or plugin.get("secretName") for plugin in plugins)
