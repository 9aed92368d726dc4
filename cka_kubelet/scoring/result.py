"""What a grading gives. PASS and FAIL are grades; ERROR means "could not be graded" and is never counted as wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

Category = Literal["baseline", "symptom", "evidence", "cause", "repair", "lasting"]


class Verdict(Enum):
    """The three ways a line can end."""

    PASS = "PASS"  # noqa: S105 - a grade
    FAIL = "FAIL"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Line:
    """One graded line. `expected` and `found` are for people; `points` of `maximum` (0 of 0 where none are given)."""

    category: Category
    name: str
    verdict: Verdict
    expected: str = ""
    found: str = ""
    points: float = 0.0
    maximum: float = 0.0


@dataclass(frozen=True)
class Score:
    """The whole result. `verdict`: PASS when repair and lasting hold; ERROR when that could not be told.

    `penalty`: points taken for hints, already taken off `points`. An ERROR line's maximum is left out of `maximum`.
    `seconds`: from hand-over to submission.
    """

    lines: Sequence[Line]
    points: float
    maximum: float
    penalty: float
    verdict: Verdict
    seconds: float

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    def category(self, name: Category) -> list[Line]:
        """The lines of one category."""
        return [line for line in self.lines if line.category == name]

    def points_of(self, name: Category) -> float:
        return sum(line.points for line in self.category(name))


def outcome(lines: Sequence[Line]) -> Verdict:
    """PASS when all pass; FAIL when one fails; else ERROR."""
    verdicts = {line.verdict for line in lines}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.ERROR if Verdict.ERROR in verdicts else Verdict.PASS
