"""Tables: what `kubectl get` shows, one function per kind (`pkg/printers/internalversion/printers.go`)."""

import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane import columns, podcolumns, storagecolumns
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.kube.age import seconds_since, short_human_duration

Object = dict[str, Any]
Cells = Callable[[Object, Callable[[str], str]], list[Any]]

_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}
# Columns after NAME, one string per kind; "+" marks those of -o wide. The cells come from the function beside it.
_SHAPES: dict[str, tuple[str, Cells]] = {
    "pods": ("Ready Status Restarts Age +IP +Node +Nominated_Node +Readiness_Gates", podcolumns.pod_cells),
    "nodes": (
        "Status Roles Age Version +Internal-IP +External-IP +OS-Image +Kernel-Version +Container-Runtime",
        columns.node,
    ),
    "events": (
        "Last_Seen Type Reason Object +Subobject +Source Message +First_Seen +Count +Name",
        columns.event,
    ),
    "namespaces": ("Status Age", columns.namespace),
    "configmaps": ("Data Age", columns.config_map),
    "secrets": ("Type Data Age", columns.secret),
    "serviceaccounts": ("Age", columns.plain),
    "services": ("Type Cluster-IP External-IP Port(s) Age +Selector", columns.service),
    "endpoints": ("Endpoints Age", columns.endpoints),
    "endpointslices.discovery.k8s.io": ("AddressType Ports Endpoints Age", columns.endpoint_slice),
    "leases.coordination.k8s.io": ("Holder Age", columns.lease),
    "deployments.apps": ("Ready Up-to-date Available Age +Containers +Images +Selector", columns.deployment),
    "replicasets.apps": ("Desired Current Ready Age +Containers +Images +Selector", columns.replica_set),
    "daemonsets.apps": (
        "Desired Current Ready Up-to-date Available Node_Selector Age +Containers +Images +Selector",
        columns.daemon_set,
    ),
    "statefulsets.apps": ("Ready Age +Containers +Images", columns.stateful_set),
    "controllerrevisions.apps": ("Controller Revision Age", columns.controller_revision),
    "cronjobs.batch": (
        "Schedule Timezone Suspend Active Last_Schedule Age +Containers +Images +Selector",
        columns.cron_job,
    ),
    "jobs.batch": ("Status Completions Duration Age +Containers +Images +Selector", columns.job),
    "certificatesigningrequests.certificates.k8s.io": (
        "Age SignerName Requestor RequestedDuration Condition",
        columns.signing_request,
    ),
    "persistentvolumes": (
        "Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age +VolumeMode",
        columns.volume,
    ),
    "persistentvolumeclaims": (
        "Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age +VolumeMode",
        columns.claim,
    ),
    "poddisruptionbudgets.policy": ("Min_Available Max_Unavailable Allowed_Disruptions Age", columns.budget),
    "priorityclasses.scheduling.k8s.io": ("Value Global-Default Age PreemptionPolicy", columns.priority_class),
    "runtimeclasses.node.k8s.io": ("Handler Age", columns.runtime_class),
    "clusterroles.rbac.authorization.k8s.io": ("Created_At", columns.created),
    "roles.rbac.authorization.k8s.io": ("Created_At", columns.created),
    "clusterrolebindings.rbac.authorization.k8s.io": (
        "Role Age +Users +Groups +ServiceAccounts",
        columns.binding,
    ),
    "rolebindings.rbac.authorization.k8s.io": ("Role Age +Users +Groups +ServiceAccounts", columns.binding),
    "storageclasses.storage.k8s.io": (
        "Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age",
        storagecolumns.storage_class,
    ),
    "volumeattachments.storage.k8s.io": ("Attacher PV Node Attached Age", storagecolumns.attachment),
    "csidrivers.storage.k8s.io": (
        "AttachRequired PodInfoOnMount StorageCapacity TokenRequests RequiresRepublish Modes Age",
        storagecolumns.driver,
    ),
    "csinodes.storage.k8s.io": ("Drivers Age", columns.csi_node),
}
_DEFAULT: tuple[str, Cells] = ("Age", columns.plain)


def _definitions(shape: str) -> list[Object]:
    found: list[Object] = []
    for word in shape.split():
        name = word.removeprefix("+").replace("_", " ")
        priority = 1 if word.startswith("+") else 0
        found.append({"name": name, "type": "string", "format": "", "description": "", "priority": priority})
    return found


def _ago(stamp: str) -> str:
    if not stamp:
        return "<unknown>"
    return short_human_duration(seconds_since(stamp, time.time()))


def table(kind: Kind, items: list[Object], revision: str, include: str, *, header: bool = True) -> Object:
    """A meta.k8s.io/v1 Table. `include` is None, Metadata or Object: what comes with each row."""
    shape, cells = _SHAPES.get(kind.resource, _DEFAULT)
    if kind.storage == "events":
        shape, cells = _SHAPES["events"]
        definitions = _definitions(shape)
        definitions[-1] = {**_NAME, "priority": 1}
    else:
        definitions = [_NAME, *_definitions(shape)]
    rows = []
    for item in items:
        row: Object = {"cells": cells(item, _ago)}
        if kind.resource == "pods" and (item.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            phase = item["status"]["phase"]
            row["conditions"] = [
                {"type": "Completed", "status": "True", "reason": phase, "message": "The pod has completed."}
            ]
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = partial(item)
        rows.append(row)
    result: Object = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision} if revision else {},
        "columnDefinitions": definitions if header else [],
        "rows": rows,
    }
    return result


def partial(obj: Object) -> Object:
    """The metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata") or {}}
