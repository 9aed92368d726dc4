"""Pods that want to be near others, far from them, or spread: InterPodAffinity and PodTopologySpread. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cka_kubelet.kube import labels

Object = dict[str, Any]

NOT_NEAR = "node(s) didn't match pod affinity rules"
NOT_FAR = "node(s) didn't match pod anti-affinity rules"
OTHERS_REFUSE = "node(s) didn't satisfy existing pods anti-affinity rules"
NOT_SPREAD = "node(s) didn't match pod topology spread constraints"
NO_LABEL = f"{NOT_SPREAD} (missing required label)"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _terms(pod: Object, which: str) -> list[Object]:
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get(which) or {}
    return list(affinity.get(_REQUIRED) or ())


def _constraints(pod: Object) -> list[Object]:
    found = (pod.get("spec") or {}).get("topologySpreadConstraints") or ()
    return [item for item in found if item.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"]


def _picks(term: Object, owner: Object, other: Object) -> bool:
    """Whether a term of `owner`'s means the pod `other`."""
    namespace = other["metadata"].get("namespace", "")
    everywhere = term.get("namespaceSelector") == {}
    if not everywhere and namespace not in (term.get("namespaces") or [owner["metadata"].get("namespace", "")]):
        return False
    selector = labels.from_object(term.get("labelSelector"))
    return selector is not None and labels.matches(selector, other["metadata"].get("labels"))


def _domain(node: Object, key: str) -> str | None:
    value = (node["metadata"].get("labels") or {}).get(key)
    return None if value is None else str(value)


class Neighbours:
    """Where all pods are. `nodes` by name, `by_node` the pods of each, `eligible` the nodes a pod's spread counts."""

    def __init__(
        self,
        nodes: Mapping[str, Object],
        by_node: Mapping[str, list[Object]],
        eligible: Callable[[Object, Object], bool],
    ) -> None:
        self._nodes = nodes
        self._by_node = by_node
        self._eligible = eligible

    def against(self, pod: Object, node: Object) -> list[str]:
        """Why the pod cannot be on the node; empty when it can."""
        spread = self._spread(pod, node)
        if spread:
            return [spread]
        if not self._near(pod, node):
            return [NOT_NEAR]
        if any(self._shares(node, term, pod) for term in _terms(pod, "podAntiAffinity")):
            return [NOT_FAR]
        return [OTHERS_REFUSE] if self._refused_by_others(pod, node) else []

    def _placed(self) -> Iterator[tuple[Object, Object]]:
        for name, pods in self._by_node.items():
            node = self._nodes.get(name)
            if node is not None:
                for pod in pods:
                    yield node, pod

    def _shares(self, node: Object, term: Object, owner: Object) -> bool:
        """Whether a pod that the term means is in the node's domain."""
        key = str(term.get("topologyKey", ""))
        domain = _domain(node, key)
        if domain is None:
            return False
        return any(_domain(where, key) == domain and _picks(term, owner, other) for where, other in self._placed())

    def _near(self, pod: Object, node: Object) -> bool:
        terms = _terms(pod, "podAffinity")
        if any(_domain(node, str(term.get("topologyKey", ""))) is None for term in terms):
            return False
        if all(self._shares(node, term, pod) for term in terms):
            return True
        # The first of a group that wants to be together has nobody to be with yet.
        alone = not any(_picks(term, pod, other) for _, other in self._placed() for term in terms)
        return alone and all(_picks(term, pod, pod) for term in terms)

    def _refused_by_others(self, pod: Object, node: Object) -> bool:
        for where, other in self._placed():
            for term in _terms(other, "podAntiAffinity"):
                key = str(term.get("topologyKey", ""))
                domain = _domain(node, key)
                if domain is not None and _domain(where, key) == domain and _picks(term, other, pod):
                    return True
        return False

    def _spread(self, pod: Object, node: Object) -> str:
        constraints = _constraints(pod)
        keys = [str(item.get("topologyKey", "")) for item in constraints]
        if any(_domain(node, key) is None for key in keys):
            return NO_LABEL
        for constraint, key in zip(constraints, keys, strict=True):
            counts = self._counts(pod, constraint, key, keys)
            fewest = min(counts.values(), default=0)
            if len(counts) < int(constraint.get("minDomains") or 1):
                fewest = 0
            own = 1 if _counts_for(constraint, pod, pod) else 0
            skew = counts[_domain(node, key) or ""] + own - fewest
            if skew > int(constraint.get("maxSkew", 1)):
                return NOT_SPREAD
        return ""

    def _counts(self, pod: Object, constraint: Object, key: str, keys: list[str]) -> Counter[str]:
        """How many pods that count are in each domain."""
        counts: Counter[str] = Counter()
        for name, node in self._nodes.items():
            if any(_domain(node, each) is None for each in keys) or not self._eligible(pod, node):
                continue
            domain = _domain(node, key) or ""
            counts[domain] += sum(1 for other in self._by_node.get(name, ()) if _counts_for(constraint, pod, other))
        return counts


def _counts_for(constraint: Object, pod: Object, other: Object) -> bool:
    mine, its = pod["metadata"], other["metadata"]
    if its.get("deletionTimestamp") or mine.get("namespace") != its.get("namespace"):
        return False
    own, have = mine.get("labels") or {}, its.get("labels") or {}
    if any(own.get(key) != have.get(key) for key in constraint.get("matchLabelKeys") or () if key in own):
        return False
    selector = labels.from_object(constraint.get("labelSelector"))
    return selector is not None and labels.matches(selector, have)
