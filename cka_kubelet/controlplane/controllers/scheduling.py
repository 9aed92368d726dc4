"""Where does a pod fit? Pure filters and scores of the scheduler, with upstream's reasons."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from cka_kubelet.controlplane.controllers import podaffinity
from cka_kubelet.kube import nodeselector
from cka_kubelet.kube.quantity import parse
from cka_kubelet.kube.taints import tolerates

Object = dict[str, Any]

_CURABLE = (
    "Insufficient", "Too many", "node(s) didn't have free ports", podaffinity.NOT_FAR, podaffinity.OTHERS_REFUSE,
    podaffinity.NOT_SPREAD,
)  # fmt: skip
"""What pushing others out could change."""


def parse_quantity(text: object) -> int:
    """Thousandths of a unit; 0 for nonsense."""
    try:
        return parse(str(text)).milli_value()
    except ValueError:
        return 0


def pod_requests(spec: Object) -> Counter[str]:
    """Requests of a pod, in thousandths: the sum of its containers, or its largest init container."""
    total: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] += parse_quantity(value)
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = max(total[name], parse_quantity(value))
    for name, value in (spec.get("overhead") or {}).items():
        total[name] += parse_quantity(value)
    return total


def used_by(pods: Iterable[Object]) -> Counter[str]:
    """Requests of all pods on a node; `pods` counts them, in thousandths as well."""
    total: Counter[str] = Counter()
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            total.update(pod_requests(pod.get("spec") or {}))
            total["pods"] += 1000
    return total


def allocatable(node: Object) -> dict[str, int]:
    """What a node offers, in thousandths."""
    found = (node.get("status") or {}).get("allocatable") or {}
    return {name: parse_quantity(value) for name, value in found.items()}


def affinity_matches(pod: Object, node: Object) -> bool:
    """Whether the node is one that the pod's node selector and node affinity want."""
    spec = pod.get("spec") or {}
    node_labels = node["metadata"].get("labels") or {}
    if any(node_labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return nodeselector.matches(required.get("nodeSelectorTerms") or [], node)


def untolerated(spec: Object, node: Object) -> Object | None:
    """The first NoSchedule or NoExecute taint that the pod does not tolerate."""
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") == "PreferNoSchedule":
            continue
        if not any(tolerates(toleration, taint) for toleration in spec.get("tolerations") or ()):
            return dict(taint)
    return None


def _ports(spec: Object) -> set[tuple[int, str]]:
    return {
        (port["hostPort"], port.get("protocol", "TCP"))
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def reasons_against(pod: Object, node: Object, on_node: list[Object]) -> list[str]:
    """Why the pod cannot run on the node, in the order of upstream's filters; empty when it can."""
    spec = pod.get("spec") or {}
    if (node.get("spec") or {}).get("unschedulable"):
        taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        if not any(tolerates(toleration, taint) for toleration in spec.get("tolerations") or ()):
            return ["node(s) were unschedulable"]
    if spec.get("nodeName") and spec["nodeName"] != node["metadata"]["name"]:
        return ["node(s) didn't match the requested node name"]
    taint_found = untolerated(spec, node)
    if taint_found is not None:
        return ["node(s) had untolerated taint(s)"]
    if not affinity_matches(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    wanted_ports = _ports(spec)
    if wanted_ports and any(wanted_ports & _ports(other.get("spec") or {}) for other in on_node):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return _shortages(pod_requests(spec), used_by(on_node), allocatable(node))


def _shortages(wanted: Counter[str], used: Counter[str], offered: dict[str, int]) -> list[str]:
    found = []
    if used["pods"] + 1000 > offered.get("pods", 0):
        found.append("Too many pods")
    found += [
        f"Insufficient {name}"
        for name, amount in sorted(wanted.items())
        if amount and used[name] + amount > offered.get(name, 0)
    ]
    return found


def score(pod: Object, node: Object, on_node: list[Object]) -> float:
    """How good a node is that passed: the emptier the better, PreferNoSchedule taints count against it."""
    offered, used = allocatable(node), used_by(on_node)
    wanted = pod_requests(pod.get("spec") or {})
    parts = []
    for name, floor in (("cpu", 100), ("memory", 200 * 2**20 * 1000)):
        total = offered.get(name) or 1
        # Pods without requests count with a small default, as in upstream's scoring.
        parts.append(1 - (used[name] + (wanted[name] or floor) + floor * len(on_node) * (not used[name])) / total)
    tolerations = (pod.get("spec") or {}).get("tolerations") or ()
    avoided = sum(
        1
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint.get("effect") == "PreferNoSchedule" and not any(tolerates(item, taint) for item in tolerations)
    )
    owner = _owner(pod)
    siblings = sum(1 for other in on_node if owner and _owner(other) == owner)
    return sum(parts) / len(parts) - avoided - 0.5 * siblings - 0.001 * len(on_node)


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or []
    return str(owners[0].get("uid", "")) if owners else ""


def failure_message(
    reasons: dict[str, list[str]], problem: str = "", nodes: int = 0, *, ineligible: str = "", preempted: bool = False
) -> str:
    """The text of FailedScheduling (`framework.FitError`), from each node's reasons.

    `problem`: what already kept the pod from all `nodes`, before any was looked at. `ineligible`: why others cannot be
    pushed out; `preempted`: some have been.
    """
    total = nodes or len(reasons)
    if not total:
        return "no nodes available to schedule pods"
    counts = Counter(reason for found in reasons.values() for reason in found)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    message = f"0/{total} nodes are available: {problem or listed}."
    if preempted:
        return message
    if ineligible:
        return f"{message} no new claims to deallocate, preemption: {ineligible}"
    helpless = total if problem else sum(1 for found in reasons.values() if not curable(found))
    victims = total - helpless
    parts = []
    if helpless:
        parts.append(f"{helpless} Preemption is not helpful for scheduling")
    if victims:
        parts.append(f"{victims} No preemption victims found for incoming pod")
    preemption = f"preemption: 0/{total} nodes are available: {', '.join(sorted(parts))}."
    return f"{message} no new claims to deallocate, {preemption}"


def curable(reasons: list[str]) -> bool:
    """Whether a node would do if others were not there."""
    return all(reason.startswith(_CURABLE) and reason != podaffinity.NO_LABEL for reason in reasons)
