"""Whom a pod of higher priority may push out: the DefaultPreemption plugin, without disruption budgets. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]

Against = Callable[[str, list[Object]], list[str]]
"""Why the pod cannot be on a node (by name) with these pods on it."""


class Choice(NamedTuple):
    """Where the pod will fit, once the victims are gone."""

    node: str
    victims: list[Object]


def priority(pod: Object) -> int:
    """A pod's priority."""
    return int((pod.get("spec") or {}).get("priority") or 0)


def not_eligible(pod: Object, by_node: Mapping[str, list[Object]]) -> str | None:
    """Why the pod may not preempt now, in upstream's words; None when it may."""
    if (pod.get("spec") or {}).get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = (pod.get("status") or {}).get("nominatedNodeName")
    going = (item for item in by_node.get(nominated or "", ()) if item["metadata"].get("deletionTimestamp"))
    if any(priority(item) < priority(pod) for item in going):
        return "not eligible due to a terminating pod on the nominated node."
    return None


def choose(pod: Object, nodes: list[str], by_node: Mapping[str, list[Object]], against: Against) -> Choice | None:
    """The node whose victims are missed least; None when pushing out helps nowhere."""
    choices = [choice for name in nodes if (choice := _on(pod, name, by_node.get(name, []), against)) is not None]
    return min(choices, key=_cost, default=None)


def _on(pod: Object, name: str, present: list[Object], against: Against) -> Choice | None:
    own = priority(pod)
    staying = [item for item in present if priority(item) >= own]
    lower = [item for item in present if priority(item) < own]
    if not lower or against(name, staying):
        return None
    victims = []
    for item in sorted(lower, key=lambda item: (-priority(item), _started(item))):  # spare the important ones first
        if against(name, [*staying, item]):
            victims.append(item)
        else:
            staying.append(item)
    return Choice(name, victims) if victims else None


def _started(pod: Object) -> str:
    return str((pod.get("status") or {}).get("startTime") or pod["metadata"].get("creationTimestamp", ""))


def _cost(choice: Choice) -> tuple[int, int, int, str]:
    priorities = [priority(item) for item in choice.victims]
    return max(priorities), sum(priorities), len(priorities), choice.node
