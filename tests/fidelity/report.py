"""What the bench prints: each fault's differences, then a table and totals against the goals. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fidelity.comparing import ASPECTS, Comparison

LINES_PRESENT = 0.95
"""Share of upstream's distinct lines that must be there; everything else must be there whole."""


@dataclass
class Outcome:
    """One fault: its comparisons, and the lines that came at another pace."""

    fault: str
    aspects: Mapping[str, Comparison]
    paces: Sequence[str] = field(default_factory=list)

    def text(self) -> str:
        """The fault's name and every fact that is missing, extra or excused."""
        lines = [self.fault]
        for aspect, one in self.aspects.items():
            lines.append(f"  {aspect:10} {_counts(one)}")
            lines += [f"    missing  {fact}" for fact in one.missing]
            lines += [f"    extra    {fact}" for fact in one.extra]
            lines += [f"    excused  {fact}  ({reason})" for fact, reason in one.excused]
        lines += [f"    pace     {pace}" for pace in self.paces]
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """The same, for programs."""
        aspects = {aspect: vars(one) for aspect, one in self.aspects.items()}
        return {"fault": self.fault, "aspects": aspects, "paces": list(self.paces)}


def _counts(one: Comparison) -> str:
    counts = f"{len(one.matched)} matched, {len(one.missing)} missing, {len(one.extra)} extra"
    return counts + (f", {len(one.excused)} excused" if one.excused else "")


def totals(outcomes: Iterable[Outcome]) -> dict[str, Comparison]:
    """Aspect → all faults together."""
    together = {aspect: Comparison() for aspect in ASPECTS}
    for outcome in outcomes:
        for aspect, one in outcome.aspects.items():
            for name, facts in vars(one).items():
                getattr(together[aspect], name).extend(facts)
    return together


def below_goal(together: Mapping[str, Comparison]) -> list[str]:
    """The aspects that miss their goal: lines need 95 % and none invented, all others everything and nothing more."""
    return [
        aspect
        for aspect, one in together.items()
        if one.extra or present(one) < (LINES_PRESENT if aspect == "lines" else 1.0)
    ]


def present(one: Comparison) -> float:
    """Share of what was expected that is there; 1.0 when nothing was expected."""
    expected = len(one.matched) + len(one.missing)
    return len(one.matched) / expected if expected else 1.0


def table(outcomes: Sequence[Outcome]) -> str:
    """One row a fault, `missing+extra` for each aspect, and the totals."""
    width = max((len(outcome.fault) for outcome in outcomes), default=5)
    rows = ["  ".join([f"{'fault':{width}}", *(f"{aspect:>10}" for aspect in ASPECTS)])]
    for outcome in outcomes:
        cells = (f"{len(one.missing)}+{len(one.extra)}" for one in outcome.aspects.values())
        rows.append("  ".join([f"{outcome.fault:{width}}", *(f"{'·' if c == '0+0' else c:>10}" for c in cells)]))
    together = totals(outcomes)
    rows.append("  ".join([f"{'present':{width}}", *(f"{present(one):>10.1%}" for one in together.values())]))
    rows += [f"{aspect:10} {_counts(one)}" for aspect, one in together.items()]
    return "\n".join(rows)
