"""The fields of a Node's status, each computed from facts alone (pkg/kubelet/nodestatus/setters.go)."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cka_kubelet.kube.gofmt import join_errors
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet import featuregates
from cka_kubelet.kubelet.configuration import KubeletConfiguration

Object = dict[str, Any]
Record = Callable[[str], None]
"""Called with the reason of a node event."""

_MAX_NAMES = 5


class PressureCondition(NamedTuple):
    """The words of one pressure condition: type, reasons and messages when true and when false."""

    type: str
    true_reason: str
    true_message: str
    false_reason: str
    false_message: str


PRESSURES = (
    PressureCondition(
        "MemoryPressure",
        "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
        "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
    ),
    PressureCondition(
        "DiskPressure",
        "KubeletHasDiskPressure", "kubelet has disk pressure",
        "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
    ),
    PressureCondition(
        "PIDPressure",
        "KubeletHasInsufficientPID", "kubelet has insufficient PID available",
        "KubeletHasSufficientPID", "kubelet has sufficient PID available",
    ),
)  # fmt: skip


def rfc3339(now: float) -> str:
    """Seconds since the epoch as metav1.Time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def condition(status: Object, type_: str) -> Object | None:
    """The condition of a type in a status, None when absent."""
    return next((item for item in status.get("conditions") or [] if item.get("type") == type_), None)


def addresses(node_ips: Iterable[str], hostname: str) -> list[Object]:
    """InternalIP first, Hostname last."""
    return [{"type": "InternalIP", "address": ip} for ip in node_ips] + [{"type": "Hostname", "address": hostname}]


def capacity(
    cpus: int, memory: int, storage: int, huge_pages: dict[str, int], max_pods: int, pods_per_core: int
) -> dict[str, Quantity]:
    """Capacity by resource name; sizes in bytes."""
    pods = min(max_pods, cpus * pods_per_core) if pods_per_core > 0 else max_pods
    sizes = {"memory": memory, "ephemeral-storage": storage, **huge_pages}
    return {
        "cpu": Quantity(cpus * 10**9),
        "pods": Quantity.of(pods),
        **{name: Quantity.of(size, "BinarySI") for name, size in sizes.items()},
    }


def image_list(images: Iterable[Any], limit: int) -> list[Object]:
    """At most `limit` images (-1: all), biggest first, from CRI Image messages."""
    ordered = sorted(images, key=lambda image: image.size, reverse=True)
    chosen = ordered if limit == -1 else ordered[:limit]
    return [
        {"names": [*image.repo_digests, *image.repo_tags][:_MAX_NAMES], "sizeBytes": image.size} for image in chosen
    ]


def declared_features(config: KubeletConfiguration) -> list[str]:
    """What status.declaredFeatures says: by name, of upstream's list what is on here and what this kubelet can do.

    Not there, so that nobody relies on them: pod-level resources resized in place, RestartAllContainers rules, and
    WebSockets that the kubelet, not the API server, would have to translate for the runtime.
    """
    if not featuregates.enabled(config, "NodeDeclaredFeatures"):
        return []
    return ["GuaranteedQoSPodCPUResize"] if config.get("cpuManagerPolicy", "none") == "none" else []


def runtime_handlers(handlers: Iterable[Any]) -> list[Object]:
    """From the CRI status's runtime_handlers, by name."""
    found: list[Object] = [
        {
            "name": handler.name,
            "features": {
                "recursiveReadOnlyMounts": handler.features.recursive_read_only_mounts,
                "userNamespaces": handler.features.user_namespaces,
            },
        }
        for handler in handlers
    ]
    return sorted(found, key=lambda item: str(item["name"]))


def pressure_condition(
    words: PressureCondition, old: Object | None, active: bool, now: float, record: Record
) -> Object:
    """The new condition; a change of status records the event Node<reason without Kubelet>."""
    status = "True" if active else "False"
    stamp = rfc3339(now)
    changed = old is None or old.get("status") != status
    result = {
        "type": words.type,
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp if old is None or changed else old.get("lastTransitionTime", stamp),
        "reason": words.true_reason if active else words.false_reason,
        "message": words.true_message if active else words.false_message,
    }
    if changed:
        record(result["reason"].replace("Kubelet", "Node", 1))
    return result


def ready_message(
    runtime: list[str], network: list[str], storage: list[str], shutdown: list[str], capacity_: dict[str, Quantity]
) -> str | None:
    """None when ready, else upstream's aggregate of what is wrong."""
    errors = [*runtime, *network, *storage, *shutdown]
    missing = [name for name in ("cpu", "memory", "pods", "ephemeral-storage") if name not in capacity_]
    if missing:
        errors.append(f"missing node capacity for resources: {', '.join(missing)}")
    return join_errors(errors) if errors else None


def ready_condition(old: Object | None, problem: str | None, now: float, record: Record) -> Object:
    """The Ready condition; a change records NodeReady or NodeNotReady."""
    status = "True" if problem is None else "False"
    stamp = rfc3339(now)
    changed = old is not None and old.get("status") != status
    if changed:
        record("NodeReady" if problem is None else "NodeNotReady")
    return {
        "type": "Ready",
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp if old is None or changed else old.get("lastTransitionTime", stamp),
        "reason": "KubeletReady" if problem is None else "KubeletNotReady",
        "message": "kubelet is posting ready status" if problem is None else problem,
    }


def merge_conditions(old: list[Object], new: list[Object]) -> list[Object]:
    """`new` in place of the old ones of the same type; foreign conditions stay where they were, Ready goes last."""
    fresh = {item["type"]: item for item in new}
    kept = [fresh.pop(item.get("type"), item) for item in old]
    return kept + list(fresh.values())


def _without_heartbeat(status: Object) -> Object:
    conditions = [
        {key: value for key, value in item.items() if key != "lastHeartbeatTime"}
        for item in status.get("conditions") or []
    ]
    return {**status, "conditions": conditions}


def changed(old: Object, new: Object) -> bool:
    """Whether two statuses differ in more than heartbeats."""
    return _without_heartbeat(old) != _without_heartbeat(new)


def status_patch(old: Object, new: Object) -> Object:
    """A strategic merge patch of the status: changed fields, and all conditions."""
    patch = {key: value for key, value in new.items() if key != "conditions" and old.get(key) != value}
    if "addresses" in patch and old.get("addresses"):
        patch["addresses"] = [*patch["addresses"], {"$patch": "replace"}]
    order = [{"type": item["type"]} for item in new["conditions"]]
    return {"status": {"$setElementOrder/conditions": order, **patch, "conditions": new["conditions"]}}
