"""The row of a pod in `kubectl get pods` (`pkg/printers/internalversion/printers.go:printPod`)."""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Ago = Callable[[str], str]

NODE_LOST = "NodeLost"


def pod_cells(pod: Object, ago: Ago) -> list[Any]:
    """NAME READY STATUS RESTARTS AGE IP NODE NOMINATED-NODE READINESS-GATES."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    total = len(spec.get("containers") or ())
    ready, reason, restarts, last = _state(pod)
    if metadata.get("deletionTimestamp"):
        if status.get("reason") == NODE_LOST:
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    text = str(restarts)
    if restarts and last:
        text = f"{restarts} ({ago(last)} ago)"
    addresses = [item.get("ip") for item in status.get("podIPs") or ()]
    gates = spec.get("readinessGates") or []
    conditions = {item["type"]: item.get("status") for item in status.get("conditions") or ()}
    met = sum(1 for gate in gates if conditions.get(gate.get("conditionType")) == "True")
    return [
        metadata["name"],
        f"{ready}/{total}",
        reason,
        text,
        ago(metadata.get("creationTimestamp", "")),
        (addresses[0] if addresses else status.get("podIP")) or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"{met}/{len(gates)}" if gates else "<none>",
    ]


def _state(pod: Object) -> tuple[int, str, int, str]:
    """Ready containers, the STATUS column before deletion is looked at, restarts, and when the last one was."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    restarts, last, initializing = 0, "", ""
    inits = spec.get("initContainers") or []
    sidecars = {item["name"] for item in inits if item.get("restartPolicy") == "Always"}
    ready, side_restarts, side_last = 0, 0, ""
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += int(container.get("restartCount", 0))
        last = max(last, _last_finish(container))
        if container.get("name") in sidecars:
            side_restarts += int(container.get("restartCount", 0))
            side_last = max(side_last, _last_finish(container))
        if initializing:
            continue
        initializing = _init_reason(container, container.get("name") in sidecars, index, len(inits))
    if initializing:
        return ready, initializing, restarts, last
    restarts, last, running = side_restarts, side_last, False
    for container in reversed(status.get("containerStatuses") or []):
        restarts += int(container.get("restartCount", 0))
        last = max(last, _last_finish(container))
        found = _container_reason(container)
        reason = found or reason
        if not found and container.get("ready") and "running" in (container.get("state") or {}):
            running = True
            ready += 1
    if reason == "Completed" and running:
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
        reason = "Running" if is_ready else "NotReady"
    return ready, reason, restarts, last


def _last_finish(container: Object) -> str:
    terminated = (container.get("lastState") or {}).get("terminated") or {}
    return str(terminated.get("finishedAt") or "")


def _terminated(state: Object) -> str:
    if state.get("reason"):
        return str(state["reason"])
    if state.get("signal"):
        return f"Signal:{state['signal']}"
    return f"ExitCode:{state.get('exitCode', 0)}"


def _init_reason(container: Object, sidecar: bool, index: int, total: int) -> str:
    """`Init:…` when this init container is what the pod waits for, else ""."""
    state = container.get("state") or {}
    terminated, waiting = state.get("terminated"), state.get("waiting") or {}
    if terminated is not None:
        return "" if terminated.get("exitCode", 0) == 0 else f"Init:{_terminated(terminated)}"
    if sidecar and container.get("started"):
        return ""
    if waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{index}/{total}"


def _container_reason(container: Object) -> str:
    state = container.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated")
    if waiting.get("reason"):
        return str(waiting["reason"])
    return _terminated(terminated) if terminated is not None else ""
