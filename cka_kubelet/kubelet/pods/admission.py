"""Whether this node takes a pod: pure; the texts are lifecycle/predicate.go's and eviction's."""

from typing import Any, NamedTuple

from cka_kubelet.kube.taints import tolerates
from cka_kubelet.kubelet.pods import objects, resources, sysctls

Node = dict[str, Any]
_ANY = "0.0.0.0"  # noqa: S104  # compared, not bound


class Rejection(NamedTuple):
    """Why not: the pod's status.reason and, prefixed, status.message; also the event's."""

    reason: str
    message: str


SHUTDOWN = Rejection("NodeShutdown", "Pod was rejected as the node is shutting down.")
"""For every pod while the machine goes down (pkg/kubelet/nodeshutdown)."""


def predicates(
    pod: objects.Pod, others: list[objects.Pod], node: Node | None, allocatable: dict[str, int]
) -> Rejection | None:
    """None when the node can take the pod beside `others`, all that have not ended yet (lifecycle/predicate.go).

    `allocatable`: milli CPU, bytes of memory, number of pods; what is missing there is not checked. Resources are no
    reason to refuse a critical pod.
    """
    wrong = _unsupported(pod, node)
    if wrong is not None:
        return wrong
    lacking = None if critical(pod) else too_big(pod, others, allocatable)
    return lacking or _misplaced(pod, others, node)


def _misplaced(pod: objects.Pod, others: list[objects.Pod], node: Node | None) -> Rejection | None:
    """The scheduler's filters that the kubelet asks again; a pod may have come past the scheduler."""
    if node is not None and not matches_node(pod, node):
        return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if ports_taken(pod, others):
        return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    if node is not None and not objects.is_static(pod):
        taints = [t for t in (node.get("spec") or {}).get("taints") or () if t["effect"] == "NoExecute"]
        if not all(_tolerated(pod, taint) for taint in taints):
            return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _failed(predicate: str, why: str) -> Rejection:
    return Rejection(predicate, f"Predicate {predicate} failed: {why}")


def _tolerated(pod: objects.Pod, taint: dict[str, Any]) -> bool:
    return any(tolerates(toleration, taint) for toleration in pod["spec"].get("tolerations") or ())


def ports_taken(pod: objects.Pod, others: list[objects.Pod]) -> bool:
    """Whether another pod has one of the pod's host ports; 0.0.0.0, the default, clashes with every address."""
    used = [entry for other in others for entry in _host_ports(other)]
    return any(
        have[1:] == want[1:] and (have[0] == want[0] or _ANY in (have[0], want[0]))
        for want in _host_ports(pod)
        for have in used
    )


def _host_ports(pod: objects.Pod) -> list[tuple[str, str, int]]:
    """(address, protocol, port) of containers and sidecars; on the host's network every port is the host's."""
    shared = objects.host_network(pod)
    lasting = [*objects.containers(pod), *(c for c in objects.init_containers(pod) if objects.is_sidecar(c))]
    found = []
    for port in (p for container in lasting for p in container.get("ports") or ()):
        number = port.get("hostPort") or (port.get("containerPort") if shared else 0)
        if number:
            found.append((port.get("hostIP") or _ANY, port.get("protocol") or "TCP", int(number)))
    return found


def _unsupported(pod: objects.Pod, node: Node | None) -> Rejection | None:
    """What no node like this can run, critical or not."""
    if (pod["metadata"].get("labels") or {}).get("kubernetes.io/os", "linux") != "linux":
        text = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
        return Rejection("PodOSSelectorNodeLabelDoesNotMatch", text)
    if (pod["spec"].get("os") or {}).get("name", "linux") != "linux":
        return Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    strict = (pod["spec"].get("securityContext") or {}).get("supplementalGroupsPolicy") == "Strict"
    features = ((node or {}).get("status") or {}).get("features") or {}
    if strict and node is not None and not features.get("supplementalGroupsPolicy"):
        text = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return Rejection("SupplementalGroupsPolicyNotSupported", text)
    return None


def refused_sysctls(pod: objects.Pod, unsafe: list[str]) -> Rejection | None:
    """None when the node lets the pod set its sysctls; else for critical pods too."""
    problem = sysctls.forbidden(pod, unsafe)
    return Rejection("SysctlForbidden", f"forbidden sysctl: {problem}") if problem else None


def critical(pod: objects.Pod) -> bool:
    """Static pods and those of a system priority (types.IsCriticalPod)."""
    priority = pod["spec"].get("priority") or 0
    named = pod["spec"].get("priorityClassName") in ("system-node-critical", "system-cluster-critical")
    return objects.is_static(pod) or priority >= 2_000_000_000 or named


def under_pressure(pod: objects.Pod, pressure: set[str]) -> Rejection | None:
    """None when the conditions of the node let the pod in; `pressure` are those that hold (pkg/kubelet/eviction)."""
    conditions = sorted(pressure)
    if not conditions or critical(pod):
        return None
    if conditions == ["MemoryPressure"]:
        taint = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}
        if objects.qos_class(pod) != "BestEffort" or _tolerated(pod, taint):
            return None
    return Rejection("Evicted", f"The node had condition: [{' '.join(conditions)}]. ")


def too_big(pod: objects.Pod, others: list[objects.Pod], allocatable: dict[str, int]) -> Rejection | None:
    """None when the pod's requests fit beside the others' (`allocatable` as in `admit`)."""
    if "pods" in allocatable and len(others) + 1 > allocatable["pods"]:
        return _out_of("pods", 1, len(others), allocatable["pods"])
    wanted = resources.pod_requests(pod)
    if not any(wanted.values()):
        return None
    used = dict.fromkeys(wanted, 0)
    for other in others:
        for resource, value in resources.pod_requests(other).items():
            used[resource] += value
    for resource, value in wanted.items():
        if value and resource in allocatable and used[resource] + value > allocatable[resource]:
            return _out_of(resource, value, used[resource], allocatable[resource])
    return None


def _out_of(resource: str, wanted: int, used: int, capacity: int) -> Rejection:
    text = f"Node didn't have enough resource: {resource}, requested: {wanted}, used: {used}, capacity: {capacity}"
    return Rejection(f"OutOf{resource}", text)


def matches_node(pod: objects.Pod, node: Node) -> bool:
    """spec.nodeSelector and the required node affinity against the node's labels and name."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(_term(t, labels, node["metadata"]["name"]) for t in affinity.get("nodeSelectorTerms") or [])


def _term(term: dict[str, Any], labels: dict[str, str], name: str) -> bool:
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_holds(e, labels) for e in expressions) and all(_holds(f, {"metadata.name": name}) for f in fields)


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value, operator = labels.get(expression["key"]), expression["operator"]
    values = [str(v) for v in expression.get("values") or []]
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        number, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
