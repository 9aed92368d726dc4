"""Prometheus' text format, version 0.0.4. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One value; `at` in milliseconds, or None."""

    labels: Labels
    value: float
    at: int | None = None
    suffix: str = ""


def family(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> str:
    """One metric family in the text format; "" without samples."""
    lines = []
    for sample in samples:
        labels = ",".join(f'{k}="{_escape(v)}"' for k, v in sorted(sample.labels.items()))
        stamp = f" {sample.at}" if sample.at is not None else ""
        lines.append(
            f"{name}{sample.suffix}{{{labels}}} {_number(sample.value)}{stamp}"
            if labels
            else f"{name}{sample.suffix} {_number(sample.value)}{stamp}"
        )
    if not lines:
        return ""
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e21 else repr(float(value))
