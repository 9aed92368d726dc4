"""Resizing containers in place: what a node grants, and what must be done. Pure; after upstream's allocation manager.

A pod's spec says what is wanted, its containers' statuses in the API what this node granted before; that record
survives the kubelet. Everything else works on the pod with what is granted.
"""

import json
from typing import Any, NamedTuple

from cka_kubelet.kubelet.pods import admission, objects, resources
from cka_kubelet.kubelet.pods import runtime_status as rs

PENDING = "PodResizePending"
IN_PROGRESS = "PodResizeInProgress"
CONDITIONS = (PENDING, IN_PROGRESS)

Figures = tuple[int, int, int]
"""cpu.shares, microseconds of CPU in 100 ms, bytes of memory; 0 is no limit."""


class Granted(NamedTuple):
    """The pod to run; `pending` is (reason, message) of the condition when it is not what the spec wants."""

    pod: objects.Pod
    pending: tuple[str, str] | None


def grant(
    pod: objects.Pod, others: list[objects.Pod], allocatable: dict[str, int], *, exclusive_cpus: bool = False
) -> Granted:
    """Grant the spec's resources when they fit, else what was granted before.

    `others`: the node's other pods; `exclusive_cpus`: Guaranteed pods have CPUs of their own (static policy).
    """
    old = before(pod)
    if old is None:
        return Granted(pod, None)
    if exclusive_cpus and objects.qos_class(pod) == "Guaranteed":
        text = "Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy"
        return Granted(old, ("Infeasible", text))
    wanted = resources.pod_requests(pod)
    for resource in ("cpu", "memory"):
        capacity = allocatable.get(resource)
        if capacity is not None and wanted[resource] > capacity:
            text = f"Node didn't have enough capacity: {resource}, requested: {wanted[resource]}, capacity: {capacity}"
            return Granted(old, ("Infeasible", text))
    grown = {r: v for r, v in wanted.items() if v > resources.pod_requests(old)[r]}
    problem = admission.too_big(pod, others, {r: v for r, v in allocatable.items() if r in grown})
    return Granted(old, ("Deferred", problem.message)) if problem else Granted(pod, None)


def before(pod: objects.Pod) -> objects.Pod | None:
    """The pod with the resources of its running containers; None when they are what the spec says."""
    status = pod.get("status") or {}
    known = {
        c["name"]: c["resources"]
        for c in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if "resources" in c and "running" in (c.get("state") or {})
    }
    changed = False
    spec = dict(pod["spec"])
    for kind in ("initContainers", "containers"):
        containers = []
        for container in spec.get(kind) or []:
            old = known.get(container["name"])
            if old is not None and _plain(old) != _plain(container.get("resources") or {}):
                container, changed = {**container, "resources": old}, True
            containers.append(container)
        if containers:
            spec[kind] = containers
    return {**pod, "spec": spec} if changed else None


def _plain(amounts: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {kind: dict(amounts.get(kind) or {}) for kind in ("limits", "requests")}


def figures(container: objects.Container) -> Figures:
    """What the runtime is told of a container's resources."""
    request, limit, memory = resources.container_figures(container)
    return resources.shares(request), resources.quota(limit), memory


def differs(container: objects.Container, status: rs.ContainerStatus) -> bool:
    """Whether a running container has other resources than it should. A runtime that does not tell has none."""
    return status.state == rs.RUNNING and status.figures is not None and status.figures != figures(container)


def needs_restart(container: objects.Container, status: rs.ContainerStatus) -> bool:
    """Whether its resizePolicy wants the container started anew for what changed."""
    if not differs(container, status) or status.figures is None:
        return False
    now, wanted = status.figures, figures(container)
    changed = {"cpu": now[:2] != wanted[:2], "memory": now[2] != wanted[2]}
    return any(
        changed.get(policy["resourceName"]) and policy["restartPolicy"] == "RestartContainer"
        for policy in container.get("resizePolicy") or []
    )


def pending_updates(pod: objects.Pod, status: rs.PodStatus) -> list[tuple[objects.Container, rs.ContainerStatus]]:
    """The containers to be given other resources as they run."""
    found = []
    for container in objects.all_containers(pod):
        running = status.find(container["name"])
        if running is not None and differs(container, running) and not needs_restart(container, running):
            found.append((container, running))
    return found


def unfinished(pod: objects.Pod, status: rs.PodStatus) -> bool:
    """Whether some running container has other resources than it should."""
    found = ((c, status.find(c["name"])) for c in objects.all_containers(pod))
    return any(running is not None and differs(container, running) for container, running in found)


def message(pod: objects.Pod, text: str) -> str:
    """The message of the events ResizeStarted and ResizeCompleted."""
    what: dict[str, Any] = {}
    for kind in ("initContainers", "containers"):
        listed = [{"name": c["name"], "resources": c.get("resources") or {}} for c in pod["spec"].get(kind) or []]
        if listed:
            what[kind] = listed
    if pod["metadata"].get("generation"):
        what["generation"] = pod["metadata"]["generation"]
    return f"{text}: {json.dumps(what, separators=(',', ':'), sort_keys=False)}"
