"""From verdicts to points."""

import pytest

from cka_kubelet.labspec import catalogue
from cka_kubelet.labspec.model import Evidence
from cka_kubelet.scoring import grading
from cka_kubelet.scoring.result import Category, Line, Score, Verdict

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


def graded(exam: bool = False, penalty: float = 0, **verdicts: list[Verdict]) -> Score:
    every: dict[Category, list[Verdict]] = {
        "symptom": [PASS],
        "evidence": [PASS, PASS],
        "cause": [PASS, PASS, PASS],
        "repair": [PASS, PASS],
        "lasting": [PASS, PASS],
    }
    every.update(verdicts)  # type: ignore[typeddict-item, arg-type]
    lines = [Line(c, f"{c}{i}", v) for c, found in every.items() for i, v in enumerate(found)]
    return grading.score(lines, exam=exam, penalty=penalty, seconds=60)


@pytest.mark.parametrize(
    ("score", "points", "maximum", "verdict"),
    [
        (graded(), 100, 100, PASS),
        (graded(symptom=[FAIL], evidence=[FAIL, FAIL], cause=[FAIL, FAIL, FAIL]), 45, 100, PASS),
        (graded(lasting=[FAIL, PASS]), 92.5, 100, FAIL),
        (graded(repair=[FAIL, FAIL], lasting=[FAIL, FAIL]), 55, 100, FAIL),
        (graded(repair=[ERROR, PASS]), 85, 85, ERROR),
        (graded(repair=[ERROR, FAIL]), 70, 85, FAIL),
        (graded(evidence=[ERROR, PASS]), 90, 90, PASS),
        (graded(penalty=15), 85, 100, PASS),
        (graded(exam=True, penalty=15), 45, 45, PASS),
        (graded(exam=True, cause=[FAIL, FAIL, FAIL]), 45, 45, PASS),
    ],
)
def test_points(score: Score, points: float, maximum: float, verdict: Verdict) -> None:
    assert (score.points, score.maximum, score.verdict) == (points, maximum, verdict)


def test_hints_never_take_more_than_there_is() -> None:
    nothing = {c: [FAIL] for c in ("symptom", "evidence", "cause", "repair", "lasting")}
    assert graded(penalty=30, **nothing).points == 0


@pytest.mark.parametrize(
    ("when", "repaired", "verdict"),
    [(5.0, 9.0, PASS), (10.0, 9.0, PASS), (10.1, 9.0, FAIL), (None, 9.0, FAIL), (99.0, float("inf"), PASS)],
)
def test_evidence_counts_until_the_repair(when: float | None, repaired: float, verdict: Verdict) -> None:
    lab = catalogue.find("notready-1").lab

    def at(rule: Evidence) -> float | None:
        return when

    assert {line.verdict for line in grading.evidence_lines(lab, at, repaired)} == {verdict}
    assert grading.symptom_line(lab, at, repaired).verdict is verdict


def test_a_cause_must_be_named_exactly() -> None:
    lab = catalogue.find("notready-1").lab
    right = {key: getattr(lab.cause, key).answer for key in grading.CAUSE_KEYS}
    assert {line.verdict for line in grading.cause_lines(lab, right)} == {PASS}
    wrong = grading.cause_lines(lab, {**right, "reason": "it is masked"})
    assert [line.verdict for line in wrong] == [PASS, PASS, FAIL]
    assert {line.verdict for line in grading.cause_lines(lab, {})} == {FAIL}
