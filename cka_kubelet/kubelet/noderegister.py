"""The Node object the kubelet registers, and how an existing one is brought in line (kubelet_node_status.go)."""

from typing import Any

from cka_kubelet.kubelet import system

Object = dict[str, Any]

MANAGED_ATTACH = "volumes.kubernetes.io/controller-managed-attach-detach"
_DEFAULT_LABELS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
                   "beta.kubernetes.io/os", "beta.kubernetes.io/arch")  # fmt: skip


def initial_node(
    name: str,
    hostname: str,
    *,
    labels: dict[str, str],
    taints: list[Object],
    provider_id: str,
    cloud_provider: str,
    managed_attach: bool,
) -> Object:
    """The Node without its status."""
    architecture = system.architecture()
    own = {
        "kubernetes.io/hostname": hostname,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
    }
    metadata: Object = {"name": name, "labels": {**own, **labels}}
    if managed_attach:
        metadata["annotations"] = {MANAGED_ATTACH: "true"}
    spec: Object = {}
    all_taints = list(taints)
    if cloud_provider == "external":
        all_taints.append(
            {"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}
        )
    if all_taints:
        spec["taints"] = all_taints
    if provider_id:
        spec["providerID"] = provider_id
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": {}}


def reconcile_patch(wanted: Object, existing: Object) -> Object | None:
    """What must change in a node that exists already: default labels, attach annotation. None when nothing."""
    have, want = existing["metadata"], wanted["metadata"]
    have_labels = have.get("labels") or {}
    labels = {key: want["labels"][key] for key in _DEFAULT_LABELS if have_labels.get(key) != want["labels"].get(key)}
    patch: Object = {"labels": labels} if labels else {}
    managed = (want.get("annotations") or {}).get(MANAGED_ATTACH)
    if (have.get("annotations") or {}).get(MANAGED_ATTACH) != managed:
        patch["annotations"] = {MANAGED_ATTACH: managed}
    return {"metadata": patch} if patch else None
