"""Which pod goes first, and what its status says (pkg/kubelet/eviction/helpers.go). Pure."""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from cka_kubelet.kube import quantity
from cka_kubelet.kube.quantity import Quantity
from cka_kubelet.kubelet.reserved import Threshold

Pod = dict[str, Any]

_SYSTEM_CRITICAL = 2_000_000_000


class ContainerUsage(NamedTuple):
    """Bytes that a container uses: memory is its working set, disk its writable layer and logs."""

    name: str
    memory: int
    disk: int


class Usage(NamedTuple):
    """What a pod uses: bytes of memory and disk, inodes, processes. `volumes`: bytes of its emptyDirs by name."""

    memory: int
    disk: int
    inodes: int
    processes: int
    containers: tuple[ContainerUsage, ...]
    volumes: Mapping[str, int]


class Observation(NamedTuple):
    """One signal now: what is left and what there is, in bytes, inodes or pids."""

    available: int
    capacity: int


def critical(pod: Pod) -> bool:
    """Static, mirror and system-critical pods are never evicted (types.IsCriticalPod)."""
    annotations = pod["metadata"].get("annotations") or {}
    static = annotations.get("kubernetes.io/config.source", "api") != "api"
    mirror = "kubernetes.io/config.mirror" in annotations
    return static or mirror or (pod["spec"].get("priority") or 0) >= _SYSTEM_CRITICAL


def request(holder: Mapping[str, Any], resource: str) -> int:
    """What a container's resources (or all of a pod's, summed by the caller) ask of a resource, in whole units."""
    requests = (holder.get("resources") or {}).get("requests") or {}
    try:
        return quantity.parse_any(requests[resource]).value() if resource in requests else 0
    except quantity.QuantityError:
        return 0


def pod_request(pod: Pod, resource: str) -> int:
    """What the pod's containers ask for together, or one init container if that is more."""
    spec = pod["spec"]
    together = sum(request(container, resource) for container in spec["containers"])
    return max([together, *(request(container, resource) for container in spec.get("initContainers") or ())])


def rank(resource: str, pods: list[Pod], usages: Mapping[str, Usage]) -> list[Pod]:
    """First to go first: unknown usage, then usage above the request, then low priority, then the most above it.

    Under pid pressure requests do not count.
    """

    def key(pod: Pod) -> tuple[int, int, int]:
        priority = pod["spec"].get("priority") or 0
        usage = usages.get(pod["metadata"].get("uid", ""))
        if usage is None:
            return (0, 0, 0)
        if resource == "pids":
            return (1, priority, -usage.processes)
        used = {"memory": usage.memory, "inodes": usage.inodes}.get(resource, usage.disk)
        above = used - pod_request(pod, resource)
        return (1 if above > 0 else 2, priority, -above)

    return sorted(pods, key=key)


def limit(threshold: Threshold, capacity: int) -> Quantity:
    """The threshold's quantity; of a percentage as upstream computes it, with a 32-bit float."""
    if threshold.quantity is not None:
        return threshold.quantity
    (share,) = struct.unpack("f", struct.pack("f", threshold.percentage))
    return Quantity.of(int(capacity * share), "BinarySI")


def message(resource: str, pod: Pod, usage: Usage | None, threshold: Threshold, seen: Observation) -> str:
    """The text of an evicted pod's status and of its event."""
    binary = resource in ("memory", "ephemeral-storage")
    available = Quantity.of(seen.available, "BinarySI" if binary else "DecimalSI")
    text = f"The node was low on resource: {resource}. "
    text += f"Threshold quantity: {limit(threshold, seen.capacity)}, available: {available}. "
    spec = pod["spec"]
    asked = {c["name"]: request(c, resource) for c in [*spec["containers"], *(spec.get("initContainers") or ())]}
    for container in usage.containers if usage and binary else ():
        used = container.memory if resource == "memory" else container.disk
        if container.name in asked and used > asked[container.name]:
            wanted = _shown(pod, container.name, resource)
            text += f"Container {container.name} was using {Quantity.of(used, 'BinarySI')}, request is {wanted}, "
            text += f"has larger consumption of {resource}. "
    return text


def _shown(pod: Pod, name: str, resource: str) -> str:
    every = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    resources = next(c for c in every if c["name"] == name).get("resources") or {}
    return str(quantity.parse_any((resources.get("requests") or {}).get(resource, "0")))


def storage_excess(pod: Pod, usage: Usage) -> str | None:
    """Why a pod must go that uses more local storage than its own limits allow; None when it does not."""
    for volume in pod["spec"].get("volumes") or ():
        text = (volume.get("emptyDir") or {}).get("sizeLimit")
        size = quantity.parse_any(text) if text else None
        if size and 0 < size.value() < usage.volumes.get(volume["name"], 0):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{size}". '
    limits = {c["name"]: _limit(c) for c in pod["spec"]["containers"]}
    stated = [found for found in limits.values() if found is not None]
    if stated:
        whole = Quantity.of(sum(found.value() for found in stated), "BinarySI")
        if usage.disk > whole.value():
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {whole}. "
    for container in usage.containers:
        allowed = limits.get(container.name)
        if allowed and 0 < allowed.value() < container.disk:
            return f'Container {container.name} exceeded its local ephemeral storage limit "{allowed}". '
    return None


def _limit(container: Mapping[str, Any]) -> Quantity | None:
    text = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
    return quantity.parse_any(text) if text is not None else None


def limits_storage(pod: Pod) -> bool:
    """Whether the pod states any limit that `storage_excess` enforces."""
    volumes = pod["spec"].get("volumes") or ()
    sized = any((volume.get("emptyDir") or {}).get("sizeLimit") for volume in volumes)
    return sized or any(_limit(container) is not None for container in pod["spec"]["containers"])
