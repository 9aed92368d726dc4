"""Checks of the taints a node registers with (pkg/util/taints)."""

import re
from typing import Any

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return len(name) <= 63 and bool(_NAME.fullmatch(name)) and (not slash or bool(_PREFIX.fullmatch(prefix)))


def invalid_taints(taints: list[dict[str, Any]]) -> list[str]:
    """What is wrong with `registerWithTaints`, a text for each fault."""
    errors = []
    for taint in taints:
        key, value, effect = (str(taint.get(name) or "") for name in ("key", "value", "effect"))
        good_value = not value or (len(value) <= 63 and bool(_NAME.fullmatch(value)))
        if not _qualified(key) or not good_value or effect not in _EFFECTS:
            errors.append(f"invalid taint: {{{key} {value} {effect} {taint.get('timeAdded') or '<nil>'}}}")
        if taint.get("timeAdded"):
            errors.append("invalid configuration: taint.TimeAdded is not nil")
    return errors
