"""Is a node alive, and which taints follow? Pure decisions (`pkg/controller/nodelifecycle`)."""

import datetime
from typing import Any, NamedTuple

Object = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
# (condition, status) → key of its NoSchedule taint
_BY_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_OWN_TAINTS = {*_BY_CONDITION.values(), UNSCHEDULABLE}


class Health(NamedTuple):
    """What was last seen of a node. `probe`: when it last gave a sign of life, in seconds since the epoch."""

    probe: float
    heartbeat: str
    renewed: str


def condition(node: Object, kind: str) -> Object | None:
    """A condition of a node."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((item for item in conditions if item.get("type") == kind), None)


def ready_status(node: Object) -> str:
    """True, False or Unknown; Unknown as well without a condition."""
    found = condition(node, "Ready")
    return str(found.get("status")) if found else "Unknown"


def seconds(stamp: str) -> float:
    """An RFC 3339 time as seconds since the epoch."""
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def observe(previous: Health | None, node: Object, lease: Object | None, now: float) -> Health:
    """What is known after looking at node and lease.

    A sign of life is a new heartbeat or a renewed lease. It counts from when it was seen, as upstream has it, but a
    lease counts from its renewTime when that is earlier: whoever moves a lease into the past ages the node.
    """
    ready = condition(node, "Ready")
    heartbeat = str((ready or {}).get("lastHeartbeatTime") or "") if ready and ready.get("status") != "Unknown" else ""
    renewed = str(((lease or {}).get("spec") or {}).get("renewTime") or "")
    if previous is None:
        probe = now if ready else seconds(node["metadata"]["creationTimestamp"])
    else:
        probe = previous.probe
        if heartbeat and heartbeat != previous.heartbeat:
            probe = now
    if renewed and (previous is None or renewed != previous.renewed):
        probe = min(now, seconds(renewed))
    return Health(probe, heartbeat or (previous.heartbeat if previous else ""), renewed)


def unknown_conditions(node: Object, now: str) -> list[Object]:
    """The conditions to write when the node gave no sign of life for too long; empty when they are so already."""
    changed: list[Object] = []
    for kind in _WATCHED:
        found = condition(node, kind)
        if found is None:
            changed.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                    "lastTransitionTime": now,
                }
            )
        elif found.get("status") != "Unknown":
            message = "Kubelet stopped posting node status."
            news = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": message, "lastTransitionTime": now}
            changed.append({**found, **news})
    return changed


def schedule_taints(node: Object) -> set[str]:
    """Keys of the NoSchedule taints that the node's conditions call for."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    found = {_BY_CONDITION.get((item.get("type", ""), item.get("status", "")), "") for item in conditions} - {""}
    if (node.get("spec") or {}).get("unschedulable"):
        found.add(UNSCHEDULABLE)
    return found


def execute_taint(node: Object, *, disrupted: bool) -> str:
    """Key of the NoExecute taint for the node, "" for none; none at all while every node is down."""
    if disrupted:
        return ""
    return {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node), "")


def wanted_taints(node: Object, now: str, *, disrupted: bool) -> list[Object]:
    """All taints the node should have: foreign ones as they are, ours as its state wants them."""
    have = (node.get("spec") or {}).get("taints") or []
    schedule, execute = schedule_taints(node), execute_taint(node, disrupted=disrupted)
    result = []
    for taint in have:
        key, effect = taint.get("key"), taint.get("effect")
        ours = (effect == "NoSchedule" and key in _OWN_TAINTS) or (
            effect == "NoExecute" and key in (NOT_READY, UNREACHABLE)
        )
        keep = key in schedule if effect == "NoSchedule" else key == execute
        if not ours or keep:
            result.append(taint)
    present = {(taint.get("key"), taint.get("effect")) for taint in result}
    result += [
        {"key": key, "effect": "NoSchedule", "timeAdded": now}
        for key in sorted(schedule)
        if (key, "NoSchedule") not in present
    ]
    if execute and (execute, "NoExecute") not in present:
        result.append({"key": execute, "effect": "NoExecute", "timeAdded": now})
    return result
