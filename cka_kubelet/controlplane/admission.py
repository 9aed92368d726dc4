"""Admission: what may be created where, by whom, and what the server adds on the way in.

NamespaceLifecycle, ServiceAccount, Priority, DefaultTolerationSeconds, NodeRestriction and service address allocation.
"""

import base64
import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from cka_kubelet.controlplane import pods, storage
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.controlplane.store import Store
from cka_kubelet.kube import apistatus
from cka_kubelet.kube.apistatus import Cause

if TYPE_CHECKING:
    from cka_kubelet.controlplane.registry import User

Object = dict[str, Any]

_NODES = "system:nodes"
_NODE_USER = "system:node:"
_NODE_SIGNERS = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving")
_COMMON_NAME = b"\x06\x03\x55\x04\x03"
"""The object identifier 2.5.4.3 in DER; a string's tag, length and text follow."""
_MIRROR = "kubernetes.io/config.mirror"
_IMMORTAL = {"default", "kube-system", "kube-public"}
_NODE_PORTS = range(30000, 32768)
_OWN_LABELS = ("kubernetes.io/", "k8s.io/")
_ALLOWED_LABELS = {
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
}


def node_of(user: "User") -> str:
    """The node a node's credentials stand for, "" for anybody else."""
    if _NODES in user.groups and user.name.startswith(_NODE_USER):
        return user.name.removeprefix(_NODE_USER)
    return ""


class Admission:
    """Admission over a store. Methods change the object they get and raise StatusError.

    `plugins`: of those that are off by default, the ones that are on.
    """

    def __init__(self, store: Store, service_cidr: str, plugins: Collection[str] = ("NodeRestriction",)) -> None:
        self._store = store
        self._plugins = plugins
        self._services = ipaddress.ip_network(service_cidr)

    def namespace(self, kind: Kind, metadata: Object) -> None:
        """The namespace must exist and must not be ending."""
        if not kind.namespaced:
            return
        name = metadata["namespace"]
        found = self._store.get("namespaces", "", name)
        if found is None:
            raise apistatus.not_found("namespaces", name)
        if (found.get("status") or {}).get("phase") == "Terminating":
            why = f"unable to create new content in namespace {name} because it is being terminated"
            error = apistatus.forbidden(kind.plural, metadata["name"], why, kind.group)
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {name} is being terminated"}
            error.details = {**(error.details or {}), "causes": [{**cause, "field": "metadata.namespace"}]}
            raise error

    def create(self, kind: Kind, obj: Object, user: "User") -> None:
        """Admit a new object."""
        node = self._restricted(user)
        if node:
            self._restrict_create(kind, obj, node)
        match kind.resource:
            case "pods":
                self._pod(obj)
                if "AlwaysPullImages" in self._plugins:
                    _always_pull(obj["spec"])
            case "services":
                self._service(obj, None)
            case "persistentvolumes" | "persistentvolumeclaims":
                storage.admit(kind.resource, obj, self._store.list("storageclasses.storage.k8s.io"))
            case "certificatesigningrequests.certificates.k8s.io":
                spec = obj.setdefault("spec", {})
                spec["username"], spec["groups"] = user.name, list(user.groups)

    def _restricted(self, user: "User") -> str:
        return node_of(user) if "NodeRestriction" in self._plugins else ""

    def update(self, kind: Kind, obj: Object, old: Object, user: "User", subresource: str) -> None:
        """Admit a changed object."""
        node = self._restricted(user)
        if node:
            self._restrict_update(kind, obj, old, node, subresource)
        if kind.resource == "services" and not subresource:
            self._service(obj, old)

    def delete(self, kind: Kind, name: str) -> None:
        """Refuse to delete what the cluster cannot live without."""
        if kind.resource == "namespaces" and name in _IMMORTAL:
            raise apistatus.forbidden("namespaces", name, "this namespace may not be deleted")

    def priorities(self) -> dict[str, int]:
        """Priority classes by name; "" is the default's value."""
        classes = self._store.list("priorityclasses.scheduling.k8s.io")
        found = {item["metadata"]["name"]: int(item.get("value", 0)) for item in classes}
        found[""] = next((int(item.get("value", 0)) for item in classes if item.get("globalDefault")), 0)
        return found

    def _pod(self, obj: Object) -> None:
        metadata, spec = obj["metadata"], obj.setdefault("spec", {})
        priorities = self.priorities()
        wanted = spec.get("priorityClassName", "")
        if wanted and wanted not in priorities:
            why = f"no PriorityClass with name {wanted} was found"
            raise apistatus.forbidden("pods", metadata["name"], why)
        if _MIRROR not in (metadata.get("annotations") or {}):
            account = spec.get("serviceAccountName") or "default"
            namespace = metadata["namespace"]
            if self._store.get("serviceaccounts", namespace, account) is None:
                where = f"error looking up service account {namespace}/{account}"
                why = f'{where}: serviceaccount "{account}" not found'
                raise apistatus.forbidden("pods", metadata["name"], why)
        pods.admit(obj, priorities)

    def _restrict_create(self, kind: Kind, obj: Object, node: str) -> None:
        metadata = obj["metadata"]
        name = metadata["name"]
        match kind.resource:
            case "nodes":
                if name != node:
                    raise apistatus.forbidden("nodes", name, f'node "{node}" is not allowed to modify node "{name}"')
                self._restrict_labels(metadata.get("labels") or {}, {}, name, node)
            case "pods":
                if _MIRROR not in (metadata.get("annotations") or {}):
                    why = f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
                    raise apistatus.forbidden("pods", name, why)
                if (obj.get("spec") or {}).get("nodeName") != node:
                    why = f'node "{node}" can only create pods with spec.nodeName set to itself'
                    raise apistatus.forbidden("pods", name, why)
            case "leases.coordination.k8s.io":
                if metadata["namespace"] == "kube-node-lease" and name != node:
                    why = "can only access node lease with the same name as the requesting node"
                    raise apistatus.forbidden(kind.plural, name, why, kind.group)
            case "certificatesigningrequests.certificates.k8s.io":
                spec = obj.get("spec") or {}
                if (
                    spec.get("signerName") in _NODE_SIGNERS
                    and _common_name(spec.get("request", "")) != _NODE_USER + node
                ):
                    why = f"can only create a node CSR with CN={_NODE_USER}{node}"
                    shown = metadata.get("generateName") or name
                    raise apistatus.forbidden(kind.plural, shown, why, kind.group)

    def _restrict_update(self, kind: Kind, obj: Object, old: Object, node: str, subresource: str) -> None:
        name = old["metadata"]["name"]
        if kind.resource == "nodes":
            if name != node:
                raise apistatus.forbidden("nodes", name, f'node "{node}" is not allowed to modify node "{name}"')
            new_labels, old_labels = obj["metadata"].get("labels") or {}, old["metadata"].get("labels") or {}
            self._restrict_labels(new_labels, old_labels, name, node)
            if (obj.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
                raise apistatus.forbidden("nodes", name, f'node "{node}" is not allowed to modify taints')
        elif kind.resource == "pods" and subresource == "status":
            bound = (old.get("spec") or {}).get("nodeName")
            if bound != node:
                why = f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'  # noqa: S608  # no SQL
                raise apistatus.forbidden("pods", name, why)

    def _restrict_labels(self, new: Object, old: Object, name: str, node: str) -> None:
        changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
        refused = sorted(key for key in changed if _label_refused(key))
        if refused:
            why = f"is not allowed to modify labels: {', '.join(refused)}"
            raise apistatus.forbidden("nodes", name, f'node "{node}" {why}')

    def _service(self, obj: Object, old: Object | None) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("type") == "ExternalName":
            return
        address = spec.get("clusterIP") or ((old or {}).get("spec") or {}).get("clusterIP")
        used = {each["spec"].get("clusterIP") for each in self._store.list("services")}
        if not address:
            address = next(str(host) for host in self._services.hosts() if _free(str(host), used, self._services))
        elif old is None and address != "None" and address in used:
            text = f'Invalid value: "{address}": failed to allocate IP {address}: provided IP is already allocated'
            cause = Cause("FieldValueInvalid", text, "spec.clusterIPs[0]")
            raise apistatus.invalid("Service", obj["metadata"]["name"], [cause])
        spec["clusterIP"], spec["clusterIPs"] = address, [address]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            taken = {
                port.get("nodePort")
                for each in self._store.list("services")
                for port in each["spec"].get("ports") or ()
            }
            for port in spec.get("ports") or ():
                if not port.get("nodePort"):
                    port["nodePort"] = next(number for number in _NODE_PORTS if number not in taken)
                    taken.add(port["nodePort"])


def _always_pull(spec: Object) -> None:
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        container["imagePullPolicy"] = "Always"


def _label_refused(key: str) -> bool:
    prefix = key.rpartition("/")[0] + "/"
    if prefix == "/" or key in _ALLOWED_LABELS:
        return False
    if prefix == "node-restriction.kubernetes.io/" or prefix.endswith(".node-restriction.kubernetes.io/"):
        return True
    if prefix.endswith(("kubelet.kubernetes.io/", "node.kubernetes.io/")):
        return False
    return prefix in _OWN_LABELS or prefix.endswith((".kubernetes.io/", ".k8s.io/"))


def _free(address: str, used: set[str | None], network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    number = int(ipaddress.ip_address(address)) - int(network.network_address)
    # .1 is the API server's own, .10 by convention the cluster DNS; upstream hands out the lower band only when asked.
    return number > 255 and address not in used


def _common_name(request: str) -> str:
    """Of a certificate request (base64 of PEM), "" when there is none to be found."""
    try:
        lines = base64.b64decode(request).decode("ascii").split("\n")
        der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))
    except ValueError:
        return ""
    at = der.find(_COMMON_NAME) + len(_COMMON_NAME)
    if at < len(_COMMON_NAME) or at + 2 > len(der):
        return ""
    return der[at + 2 : at + 2 + der[at + 1]].decode("utf-8", "replace")
