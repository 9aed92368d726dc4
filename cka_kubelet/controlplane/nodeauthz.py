"""The node authorizer: a kubelet may touch its own node and what its own pods refer to.

`plugin/pkg/auth/authorizer/node`, with AuthorizeNodeWithSelectors (on since 1.34).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cka_kubelet.controlplane.store import Store

if TYPE_CHECKING:
    from cka_kubelet.controlplane.authz import Attributes

Object = dict[str, Any]

_READ = ("get", "list", "watch")
_NO_RELATION = "no relationship found between node '{node}' and this object"
_STATIC: dict[tuple[str, str], tuple[str, ...]] = {
    ("authentication.k8s.io", "tokenreviews"): ("create",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
    ("authorization.k8s.io", "localsubjectaccessreviews"): ("create",),
    ("", "services"): _READ,
    ("", "nodes"): ("create",),
    ("", "nodes/status"): ("update", "patch"),
    ("", "pods"): ("create", "delete"),
    ("", "pods/status"): ("update", "patch"),
    ("", "pods/eviction"): ("create",),
    ("", "events"): ("create", "update", "patch"),
    ("events.k8s.io", "events"): ("create", "update", "patch"),
    ("certificates.k8s.io", "certificatesigningrequests"): ("create", *_READ),
    ("storage.k8s.io", "csidrivers"): _READ,
    ("node.k8s.io", "runtimeclasses"): _READ,
}


def node_decision(store: Store, node: str, asked: "Attributes") -> tuple[bool, str]:
    """Whether the node may do it, and the reason when it may not ("" leaves it to RBAC without comment)."""
    key = (asked.group, asked.full_resource)
    if asked.verb in _STATIC.get(key, ()):
        return True, ""
    match key:
        case ("", "nodes"):
            return _own_node(node, asked)
        case ("", "pods"):
            return _own_pods(store, node, asked)
        case ("", "secrets" | "configmaps" | "persistentvolumeclaims" | "persistentvolumes" | "serviceaccounts"):
            return _related(store, node, asked)
        case ("", "serviceaccounts/token"):
            if asked.verb != "create":
                return False, ""
            return _related(store, node, asked)
        case ("coordination.k8s.io", "leases"):
            return _own_lease(node, asked)
        case ("storage.k8s.io", "csinodes"):
            if asked.name and asked.name != node:
                return False, "can only access CSINode with the same name as the requesting node"
            return asked.verb in ("create", "get", "update", "patch", "delete"), ""
        case ("storage.k8s.io", "volumeattachments"):
            return asked.verb == "get", ""
    return False, ""


def _own_node(node: str, asked: "Attributes") -> tuple[bool, str]:
    if asked.verb in ("update", "patch"):
        return True, ""  # NodeRestriction admission looks at the name
    if asked.verb not in _READ:
        return False, ""
    if asked.name != node:
        if asked.verb == "get" or asked.name:
            return False, f"node '{node}' cannot read '{asked.name}', only its own Node object"
        return False, f"node '{node}' cannot read all nodes, only its own Node object"
    return True, ""


def _own_pods(store: Store, node: str, asked: "Attributes") -> tuple[bool, str]:
    if asked.verb == "get":
        pod = store.get("pods", asked.namespace, asked.name)
        if pod is not None and (pod.get("spec") or {}).get("nodeName") == node:
            return True, ""
        return False, _NO_RELATION.format(node=node)
    if asked.verb in ("list", "watch"):
        if ("spec.nodeName", node) in asked.fields:
            return True, ""
        return False, "can only list/watch pods with spec.nodeName field selector"
    return False, ""


def _own_lease(node: str, asked: "Attributes") -> tuple[bool, str]:
    if asked.verb not in ("get", "create", "update", "patch", "delete"):
        return False, ""
    if asked.namespace != "kube-node-lease":
        return False, 'can only access leases in the "kube-node-lease" system namespace'
    if asked.verb != "create" and asked.name != node:
        return False, "can only access node lease with the same name as the requesting node"
    return True, ""


def _related(store: Store, node: str, asked: "Attributes") -> tuple[bool, str]:
    if asked.resource != "persistentvolumes":
        if not asked.subresource and asked.verb not in _READ:
            return False, "can only read resources of this type"
        if not asked.namespace:
            return False, "can only read namespaced object of this type"
    if not asked.name:
        return False, "No Object name found"
    wanted = (asked.resource, asked.name)
    for pod in store.list("pods", "" if asked.resource == "persistentvolumes" else asked.namespace):
        if (pod.get("spec") or {}).get("nodeName") == node and wanted in _references(store, pod):
            return True, ""
    return False, _NO_RELATION.format(node=node)


def _references(store: Store, pod: Object) -> Iterator[tuple[str, str]]:
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    if spec.get("serviceAccountName"):
        yield "serviceaccounts", spec["serviceAccountName"]
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    every = [
        *(spec.get("containers") or ()),
        *(spec.get("initContainers") or ()),
        *(spec.get("ephemeralContainers") or ()),
    ]
    for container in every:
        for source in container.get("envFrom") or ():
            yield "secrets", (source.get("secretRef") or {}).get("name", "")
            yield "configmaps", (source.get("configMapRef") or {}).get("name", "")
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            yield "secrets", (source.get("secretKeyRef") or {}).get("name", "")
            yield "configmaps", (source.get("configMapKeyRef") or {}).get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _volume_references(store, volume, namespace, pod["metadata"]["name"])


def _volume_references(store: Store, volume: Object, namespace: str, pod_name: str) -> Iterator[tuple[str, str]]:
    yield "secrets", (volume.get("secret") or {}).get("secretName", "")
    yield "configmaps", (volume.get("configMap") or {}).get("name", "")
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    if volume.get("ephemeral"):
        claim = f"{pod_name}-{volume['name']}"
    if claim:
        yield "persistentvolumeclaims", claim
        bound = store.get("persistentvolumeclaims", namespace, claim)
        yield "persistentvolumes", ((bound or {}).get("spec") or {}).get("volumeName", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield "secrets", (source.get("secret") or {}).get("name", "")
        yield "configmaps", (source.get("configMap") or {}).get("name", "")
