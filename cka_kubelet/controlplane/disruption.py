"""May a pod be evicted? PodDisruptionBudgets, counted when asked."""

from typing import Any

from cka_kubelet.controlplane.store import Store
from cka_kubelet.kube import apistatus, labels
from cka_kubelet.kube.apistatus import Cause, StatusError

Object = dict[str, Any]


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _number(value: object, total: int, *, up: bool) -> int:
    text = str(value)
    if text.endswith("%"):
        percent = int(text[:-1]) * total
        return -(-percent // 100) if up else percent // 100
    return int(text)


def budget_status(store: Store, budget: Object) -> Object:
    """disruptionsAllowed, currentHealthy, desiredHealthy and expectedPods of a budget, as of now."""
    spec, namespace = budget.get("spec") or {}, budget["metadata"]["namespace"]
    selector = labels.from_object(spec.get("selector"))
    found = []
    if selector is not None:
        candidates = store.list("pods", namespace)
        found = [pod for pod in candidates if labels.matches(selector, pod["metadata"].get("labels"))]
    healthy = sum(1 for pod in found if is_ready(pod) and not pod["metadata"].get("deletionTimestamp"))
    if "maxUnavailable" in spec:
        desired = max(len(found) - _number(spec["maxUnavailable"], len(found), up=True), 0)
    else:
        desired = _number(spec.get("minAvailable", 1), len(found), up=True)
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(healthy - desired, 0) if found else 0,
        "expectedPods": len(found),
    }


def allowed_by_budgets(store: Store, pod: Object) -> StatusError | None:
    """None when the eviction may go on, else the answer to give (429)."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending"):
        return None
    for budget in store.list("poddisruptionbudgets.policy", pod["metadata"]["namespace"]):
        selector = labels.from_object((budget.get("spec") or {}).get("selector"))
        if selector is None or not labels.matches(selector, pod["metadata"].get("labels")):
            continue
        status = budget_status(store, budget)
        if status["disruptionsAllowed"] > 0:
            continue
        name = budget["metadata"]["name"]
        text = f"The disruption budget {name} needs {status['desiredHealthy']} healthy pods and has "
        cause = Cause("DisruptionBudget", text + f"{status['currentHealthy']} currently", "")
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        return apistatus.too_many_requests(message, causes=[cause])
    return None
