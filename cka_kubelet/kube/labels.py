"""Label selectors and field selectors, written as in a URL or as a LabelSelector object."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Labels = Mapping[str, str]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(\s*(.*?)\s*\)$")
_COMPARE = re.compile(r"^([^=!<>\s]+)\s*(==|=|!=|>|<)\s*(.*)$")
_NAME = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?)?$")


class SelectorError(ValueError):
    """The selector does not parse; str() says where, in upstream's manner."""


class Requirement(NamedTuple):
    """One condition. `operator` is in, notin, exists, !, gt or lt."""

    key: str
    operator: str
    values: frozenset[str]

    def matches(self, labels: Labels) -> bool:
        """Whether these labels fulfil it."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case _:
                return _compare(value, self.operator, next(iter(self.values)))


def _compare(value: str | None, operator: str, bound: str) -> bool:
    try:
        have, limit = int(value or ""), int(bound)
    except ValueError:
        return False
    return have > limit if operator == "gt" else have < limit


Selector = tuple[Requirement, ...]


def parse(text: str) -> Selector:
    """Requirements of `a=b,c in (d,e),!f`. Raises SelectorError."""
    return tuple(_requirement(part.strip()) for part in _split(text) if part.strip())


def matches(selector: Selector, labels: Labels | None) -> bool:
    """Whether the labels fulfil every requirement; the empty selector matches everything."""
    have = labels or {}
    return all(requirement.matches(have) for requirement in selector)


def from_object(selector: Mapping[str, Any] | None) -> Selector | None:
    """A LabelSelector object's requirements; None for a missing selector, which matches nothing."""
    if selector is None:
        return None
    found = [Requirement(k, "in", frozenset((v,))) for k, v in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or ():
        operator = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}
        found.append(Requirement(item["key"], operator[item["operator"]], frozenset(item.get("values") or ())))
    return tuple(found)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        values = frozenset(value.strip() for value in found[3].split(","))
        return Requirement(_key(found[1]), found[2], values)
    if found := _COMPARE.match(part):
        operator = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[found[2]]
        if not _NAME.match(found[3]):
            raise SelectorError(f"unable to parse requirement: values[0][{found[1]}]: Invalid value: {found[3]!r}")
        return Requirement(_key(found[1]), operator, frozenset((found[3],)))
    if part.startswith("!"):
        return Requirement(_key(part[1:].strip()), "!", frozenset())
    return Requirement(_key(part), "exists", frozenset())


def _key(key: str) -> str:
    if not key or not _NAME.match(key):
        raise SelectorError(f'unable to parse requirement: <nil>: Invalid value: "{key}": name part must be non-empty')
    return key


class FieldRequirement(NamedTuple):
    """One condition of a field selector."""

    path: str
    equal: bool
    value: str


def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """Requirements of `spec.nodeName=a,status.phase!=Failed`. Raises SelectorError."""
    found = []
    for part in text.split(","):
        if not part:
            continue
        pieces = re.match(r"^([^=!]+)(==|=|!=)(.*)$", part)
        if pieces is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        found.append(FieldRequirement(pieces[1], pieces[2] != "!=", pieces[3]))
    return tuple(found)


def matches_fields(selector: tuple[FieldRequirement, ...], get: Callable[[str], str]) -> bool:
    """Whether an object fulfils the selector; `get` gives the text of a field."""
    return all((get(requirement.path) == requirement.value) is requirement.equal for requirement in selector)
