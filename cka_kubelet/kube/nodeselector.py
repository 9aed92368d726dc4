"""Node selectors: of pods' node affinity and of PersistentVolumes (component-helpers' nodeaffinity)."""

from typing import Any

from cka_kubelet.kube import labels

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def matches(terms: list[dict[str, Any]], node: dict[str, Any]) -> bool:
    """Whether one of the nodeSelectorTerms fits the node. An empty term fits none. Raises KeyError for nonsense."""
    return any(_term_matches(term, node) for term in terms)


def _term_matches(term: dict[str, Any], node: dict[str, Any]) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    have = node["metadata"].get("labels") or {}
    names = {"metadata.name": str(node["metadata"]["name"])}
    return labels.matches(_requirements(expressions), have) and labels.matches(_requirements(fields), names)


def _requirements(items: list[dict[str, Any]]) -> labels.Selector:
    return tuple(
        labels.Requirement(item["key"], _OPERATORS[item["operator"]], frozenset(item.get("values") or ()))
        for item in items
    )
