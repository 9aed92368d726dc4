"""What a new cluster has: namespaces, priority classes, the API's service, roles and bindings.

Roles follow `plugin/pkg/auth/authorizer/rbac/bootstrappolicy` and what kubeadm adds, as far as something here asks.
"""

from collections.abc import Iterable
from typing import Any

from cka_kubelet.controlplane import controllerpolicy
from cka_kubelet.controlplane.authn import MASTER
from cka_kubelet.controlplane.controllerpolicy import Subject
from cka_kubelet.controlplane.kinds import Kind, kind
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.kube.apistatus import StatusError

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_ALL = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def _rule(verbs: list[str], groups: list[str], resources: list[str], names: list[str] | None = None) -> Object:
    rule: Object = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    if names:
        rule["resourceNames"] = names
    return rule


def _paths(*urls: str) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": list(urls)}


_NAMESPACED = ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "pods/status"]
_NAMESPACED += ["replicationcontrollers", "serviceaccounts", "services", "limitranges", "resourcequotas"]
_APPS = ["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets"]
_STREAMS = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "pods/eviction"]
_VIEW = [
    _rule(_READ, [""], [*_NAMESPACED, "namespaces"]),
    _rule(_READ, ["apps"], _APPS),
    _rule(_READ, ["batch"], ["jobs", "cronjobs"]),
    _rule(_READ, ["networking.k8s.io"], ["ingresses", "networkpolicies"]),
    _rule(_READ, ["policy"], ["poddisruptionbudgets"]),
    _rule(_READ, ["discovery.k8s.io"], ["endpointslices"]),
]
_EDIT = [
    *_VIEW,
    _rule(_ALL, [""], [*_NAMESPACED, *_STREAMS, "secrets", "serviceaccounts/token"]),
    _rule(_ALL, ["apps"], _APPS),
    _rule(_ALL, ["batch"], ["jobs", "cronjobs"]),
    _rule(_ALL, ["networking.k8s.io"], ["ingresses", "networkpolicies"]),
    _rule(_ALL, ["policy"], ["poddisruptionbudgets"]),
]
_NODE_API = ["nodes/proxy", "nodes/metrics", "nodes/stats", "nodes/log", "nodes/pods", "nodes/healthz", "nodes/configz"]
_ROLES: dict[str, list[Object]] = {
    "cluster-admin": [_rule(["*"], ["*"], ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "admin": [*_EDIT, _rule(_ALL, [_RBAC], ["roles", "rolebindings"])],
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": [_paths("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*")],
    "system:public-info-viewer": [_paths("/healthz", "/livez", "/readyz", "/version", "/version/")],
    "system:monitoring": [_paths("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*")],
    "system:basic-user": [
        _rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    "system:kubelet-api-admin": [
        _rule(_READ, [""], ["nodes"]),
        _rule(["*"], [""], [*_NODE_API, "nodes/checkpoint"]),
    ],
    "system:node": [],
    "system:node-bootstrapper": [
        _rule(["create", *_READ], ["certificates.k8s.io"], ["certificatesigningrequests"]),
    ],
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": [
        _rule(["create"], ["certificates.k8s.io"], ["certificatesigningrequests/nodeclient"])
    ],
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": [
        _rule(["create"], ["certificates.k8s.io"], ["certificatesigningrequests/selfnodeclient"])
    ],
    "kubeadm:get-nodes": [_rule(["get"], [""], ["nodes"])],
}
_EVERYBODY = ["system:authenticated"]
_BINDINGS: dict[str, tuple[str, list[str]]] = {
    "cluster-admin": ("cluster-admin", ["system:masters"]),
    "kubeadm:cluster-admins": ("cluster-admin", ["kubeadm:cluster-admins"]),
    "system:discovery": ("system:discovery", _EVERYBODY),
    "system:basic-user": ("system:basic-user", _EVERYBODY),
    "system:public-info-viewer": ("system:public-info-viewer", [*_EVERYBODY, "system:unauthenticated"]),
    "system:monitoring": ("system:monitoring", ["system:monitoring"]),
    "kubeadm:kubelet-bootstrap": ("system:node-bootstrapper", ["system:bootstrappers:kubeadm:default-node-token"]),
    "kubeadm:get-nodes": ("kubeadm:get-nodes", ["system:bootstrappers:kubeadm:default-node-token"]),
    "kubeadm:node-autoapprove-bootstrap": (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        ["system:bootstrappers:kubeadm:default-node-token"],
    ),
    "kubeadm:node-autoapprove-certificate-rotation": (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        ["system:nodes"],
    ),
}
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


async def populate(registry: Registry, address: str, port: int, service_address: str) -> None:
    """Create what is missing; what exists is left alone, except the API's own endpoints."""
    for name in _NAMESPACES:
        await ensure(registry, kind("namespaces"), "", {"metadata": {"name": name}})
    for name, value in _PRIORITIES.items():
        obj = {"metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority"}
        await ensure(registry, kind("priorityclasses.scheduling.k8s.io"), "", obj)
    await _policy(registry)
    await own_service(registry, await registry.store.announce(address), port, service_address)


async def _policy(registry: Registry) -> None:
    for name, rules in (*_ROLES.items(), *controllerpolicy.cluster_roles()):
        obj = {"metadata": {"name": name, "labels": _LABELS}, "rules": rules}
        await ensure(registry, kind(f"clusterroles.{_RBAC}"), "", obj)
    for namespace, name, rules in controllerpolicy.roles():
        obj = {"metadata": {"name": name, "labels": _LABELS}, "rules": rules}
        await ensure(registry, kind(f"roles.{_RBAC}"), namespace, obj)
    for name, (role, groups) in _BINDINGS.items():
        await _bind(registry, "", name, role, [Subject("Group", group) for group in groups])
    kubelet_client = [Subject("User", "kube-apiserver-kubelet-client")]
    await _bind(registry, "", "kube-apiserver-kubelet-api-admin", "system:kubelet-api-admin", kubelet_client)
    for name, role, subjects in controllerpolicy.cluster_bindings():
        await _bind(registry, "", name, role, subjects)
    for namespace, name, role, subjects in controllerpolicy.bindings():
        await _bind(registry, namespace, name, role, subjects)


async def _bind(registry: Registry, namespace: str, name: str, role: str, subjects: list[Subject]) -> None:
    scope = "" if namespace else "Cluster"
    obj = {
        "metadata": {"name": name, "labels": _LABELS},
        "roleRef": {"apiGroup": _RBAC, "kind": f"{scope}Role", "name": role},
        "subjects": [subject.object() for subject in subjects],
    }
    await ensure(registry, kind(f"{scope.lower()}rolebindings.{_RBAC}"), namespace, obj)


async def publish_authentication(registry: Registry, data: dict[str, str]) -> None:
    """How this API server authenticates, for others that serve: ConfigMap extension-apiserver-authentication."""
    which, name = kind("configmaps"), "extension-apiserver-authentication"
    await ensure(registry, which, "kube-system", {"metadata": {"name": name}, "data": data})
    await registry.update(which, "kube-system", name, lambda old: {**old, "data": data}, MASTER)


async def own_service(registry: Registry, addresses: Iterable[str], port: int, service_address: str) -> None:
    """The service `kubernetes`, and where the API servers behind it are."""
    labels = {"component": "apiserver", "provider": "kubernetes"}
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]
    spec = {"type": "ClusterIP", "clusterIP": service_address, "ports": ports}
    service = {"metadata": {"name": "kubernetes", "labels": labels}, "spec": spec}
    await ensure(registry, kind("services"), "default", service)
    where = [{"ip": address} for address in addresses]
    subset = {"addresses": where, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
    endpoints = {"metadata": {"name": "kubernetes"}, "subsets": [subset]}
    found = registry.store.get("endpoints", "default", "kubernetes")
    if found is None:
        await ensure(registry, kind("endpoints"), "default", endpoints)
    elif found.get("subsets") != [subset]:
        await registry.update(
            kind("endpoints"), "default", "kubernetes", lambda old: {**old, "subsets": [subset]}, MASTER
        )


async def ensure(registry: Registry, which: Kind, namespace: str, obj: Object) -> None:
    """Create an object unless it is there."""
    if registry.store.get(which.storage, namespace, obj["metadata"]["name"]) is not None:
        return
    try:
        await registry.create(which, namespace, obj, MASTER)
    except StatusError as error:
        if error.code != 409:
            raise
