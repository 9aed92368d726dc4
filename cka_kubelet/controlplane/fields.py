"""Fields that field selectors may name, and their text."""

from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.kube import apistatus
from cka_kubelet.kube.labels import FieldRequirement

_ALWAYS = {"metadata.name", "metadata.namespace"}
_FALSE = {"spec.unschedulable", "spec.hostNetwork"}
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_SUPPORTED: dict[str, set[str]] = {
    "pods": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    },
    "nodes": {"spec.unschedulable"},
    "namespaces": {"status.phase"},
    "secrets": {"type"},
    "services": {"spec.clusterIP", "spec.type"},
    "replicasets.apps": {"status.replicas"},
    "jobs.batch": {"status.successful"},
    "certificatesigningrequests.certificates.k8s.io": {"spec.signerName"},
    "events": {*(f"involvedObject.{name}" for name in _INVOLVED), "reason", "reportingComponent", "source", "type"},
    "events.events.k8s.io": {*(f"regarding.{name}" for name in _INVOLVED), "reason", "reportingController", "type"},
}


def check(kind: Kind, selector: tuple[FieldRequirement, ...]) -> None:
    """Raise StatusError (400) for a field that this kind cannot be selected by."""
    for requirement in selector:
        if requirement.path not in _ALWAYS | _SUPPORTED.get(kind.resource, set()):
            raise apistatus.bad_request(f"field label not supported: {requirement.path}")


def field_getter(obj: dict[str, Any]) -> Callable[[str], str]:
    """A function from a field's path to its text in `obj`."""

    def get(path: str) -> str:
        if path == "source":
            return str((obj.get("source") or {}).get("component", ""))
        if path.startswith("regarding."):
            path = "involvedObject." + path.partition(".")[2]
        value: Any = obj
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if value is not None else ("false" if path in _FALSE else "")

    return get
