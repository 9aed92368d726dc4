"""Lists of processors such as `0-3,7` (k8s.io/utils/cpuset)."""

import re

from cka_kubelet.kube.gofmt import quote

_NUMBER = re.compile(r"[+-]?\d+")


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
    return int(text)


def parse(text: str) -> frozenset[int]:
    """The processors in a list; none in an empty one. Raises ValueError with upstream's message."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        start = _number(first)
        end = _number(last) if dash else start
        if start > end:
            raise ValueError(f"invalid range {quote(part)} ({start} > {end})")
        found.update(range(start, end + 1))
    return frozenset(found)


def text(processors: frozenset[int]) -> str:
    """`0-3,7` again, in order, "" for none."""
    parts: list[list[int]] = []
    for number in sorted(processors):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
