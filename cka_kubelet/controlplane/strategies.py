"""What is special about a kind when it is created or changed: defaults, fields the server owns, rules.

Functions change the object they are given, which is always a private copy. Rules follow `pkg/registry` and
`pkg/apis/*/v1/defaults.go`.
"""

import base64
import copy
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane import pods, storage
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.kube.apistatus import Cause

Object = dict[str, Any]

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_RBAC = "rbac.authorization.k8s.io"
_POD_UPDATE = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
# Kinds whose PUT creates the object when it is missing (AllowCreateOnUpdate).
CREATE_ON_UPDATE = {"leases.coordination.k8s.io", "events", "endpoints", "services", "roles", "clusterroles"}
# Kinds whose DELETE answers with the object rather than with a Status (ReturnDeletedObject).
RETURNS_DELETED = {"pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes"}


def default(kind: Kind, obj: Object) -> None:
    """Fill in what a user may leave out; on create and on every change."""
    rule = _DEFAULTS.get(kind.resource)
    if rule is not None:
        rule(obj)


def prepare_create(kind: Kind, obj: Object) -> None:
    """Set what the server decides about a new object."""
    match kind.resource:
        case "pods":
            obj["status"] = {"phase": "Pending", "qosClass": pods.qos_class(obj.get("spec") or {})}
        case "nodes":
            _taint_new_node(obj)
        case "namespaces":
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
        case "services":
            obj["status"] = {"loadBalancer": {}}
        case "persistentvolumes" | "persistentvolumeclaims":
            obj["status"] = {"phase": "Pending"}
        case _:
            if "status" in kind.subresources:
                obj["status"] = {}


def _taint_new_node(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    taints = spec.setdefault("taints", [])
    if not any(taint.get("key") == _NOT_READY["key"] for taint in taints):
        taints.append(dict(_NOT_READY))  # the TaintNodesByCondition admission plugin


def validate(kind: Kind, obj: Object, old: Object | None) -> list[Cause]:
    """What is wrong with the object, in upstream's words; `old` is None on create."""
    match kind.resource:
        case "pods":
            return pods.problems(obj.get("spec") or {}) if old is None else _pod_update(obj, old)
        case "deployments.apps" | "replicasets.apps" | "daemonsets.apps" | "statefulsets.apps":
            return _workload(obj, old)
        case "persistentvolumes":
            return storage.volume_problems(obj, old)
        case "persistentvolumeclaims":
            return storage.claim_problems(obj, old)
        case "secrets" | "configmaps":
            if old is not None and old.get("immutable") is True:
                text = "Forbidden: field is immutable when `immutable` is set"
                kept = ("immutable", "data", "binaryData")
                return [Cause("FieldValueForbidden", text, key) for key in kept if old.get(key) != obj.get(key)]
    return []


def _pod_update(obj: Object, old: Object) -> list[Cause]:
    new_spec, old_spec = copy.deepcopy(obj.get("spec") or {}), copy.deepcopy(old.get("spec") or {})
    for spec in (new_spec, old_spec):
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            container.pop("image", None)
            container.pop("resources", None)
        spec.pop("activeDeadlineSeconds", None)
        spec.pop("schedulingGates", None)
    before, after = old_spec.pop("tolerations", None) or [], new_spec.pop("tolerations", None) or []
    if new_spec != old_spec or any(toleration not in after for toleration in before):
        return [Cause("FieldValueForbidden", _POD_UPDATE, "spec")]
    return []


def _workload(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        return [Cause("FieldValueRequired", "Required value", "spec.selector")]
    if old is not None and (old.get("spec") or {}).get("selector") != selector:
        return [Cause("FieldValueInvalid", "Invalid value: field is immutable", "spec.selector")]
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        text = "Invalid value: `selector` does not match template `labels`"
        return [Cause("FieldValueInvalid", text, "spec.template.metadata.labels")]
    return pods.problems(template.get("spec") or {}, "spec.template.spec")


def keep_server_fields(kind: Kind, obj: Object, old: Object, subresource: str) -> None:
    """Undo what this request may not change: status through the main resource, all but status through /status."""
    match subresource:
        case "status":
            for key in set(obj) | set(old):
                if key not in ("status", "metadata", "kind", "apiVersion"):
                    _restore(obj, old, key)
        case "approval":
            for key in ("spec",):
                _restore(obj, old, key)
        case "finalize":
            _restore(obj, old, "status")
        case _:
            if "status" in kind.subresources and kind.resource != "events":
                _restore(obj, old, "status")
            if kind.resource == "namespaces":
                _restore(obj, old, "spec")


def _restore(obj: Object, old: Object, key: str) -> None:
    if key in old:
        obj[key] = old[key]
    else:
        obj.pop(key, None)


def _pod(obj: Object) -> None:
    pods.default_spec(obj.setdefault("spec", {}))


def _template(obj: Object) -> Object:
    spec: Object = obj.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pods.default_spec(template.setdefault("spec", {}))
    return spec


def _deployment(obj: Object) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _replicaset(obj: Object) -> None:
    _template(obj).setdefault("replicas", 1)


def _daemonset(obj: Object) -> None:
    spec = _template(obj)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _statefulset(obj: Object) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})


def _cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = (spec.get("jobTemplate") or {}).get("spec")
    if template:
        _template({"spec": template})


def _job(obj: Object) -> None:
    spec = _template(obj)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    uid = obj["metadata"].get("uid")
    if uid and "selector" not in spec:
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = spec["template"]["metadata"].setdefault("labels", {})
        for prefix in ("batch.kubernetes.io/", ""):
            labels[prefix + "controller-uid"] = uid
            labels[prefix + "job-name"] = obj["metadata"]["name"]
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)


def _secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.setdefault("data", {})
        data.update({key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()})


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")


def _binding(obj: Object) -> None:
    obj.get("roleRef", {}).setdefault("apiGroup", _RBAC)
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _namespace(obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _replicaset,
    "daemonsets.apps": _daemonset,
    "statefulsets.apps": _statefulset,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "secrets": _secret,
    "services": _service,
    "namespaces": _namespace,
    "persistentvolumes": storage.default_volume,
    "persistentvolumeclaims": storage.default_claim,
    "storageclasses.storage.k8s.io": storage.default_class,
    "csidrivers.storage.k8s.io": storage.default_driver,
    f"rolebindings.{_RBAC}": _binding,
    f"clusterrolebindings.{_RBAC}": _binding,
}
