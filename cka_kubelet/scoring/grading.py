"""From what was seen, answered and found to a score."""

from collections.abc import Callable, Mapping, Sequence

from cka_kubelet.labspec.model import CATEGORIES, Evidence, Lab
from cka_kubelet.scoring import symptoms
from cka_kubelet.scoring.result import Category, Line, Score, Verdict, outcome

EvidenceAt = Callable[[Evidence], float | None]
"""When a rule first held, in seconds since the epoch; None if never."""
CAUSE_KEYS = ("component", "file", "reason")


def symptom_rule(lab: Lab) -> Evidence:
    """The symptom is credited to a learner on whose screen it stood, by whatever command, before it was gone."""
    return Evidence(what=f"that {symptoms.described(lab.symptom)}", saw=symptoms.on_screen(lab.symptom))


def symptom_line(lab: Lab, at: EvidenceAt, repaired: float) -> Line:
    """Whether the learner saw the symptom."""
    return _seen("symptom", symptom_rule(lab), at, repaired)


def evidence_lines(lab: Lab, at: EvidenceAt, repaired: float) -> list[Line]:
    """One line for each thing that a good diagnosis comes across. `repaired`: since when the symptom is gone."""
    return [_seen("evidence", rule, at, repaired) for rule in lab.evidence]


def _seen(category: Category, rule: Evidence, at: EvidenceAt, repaired: float) -> Line:
    when = at(rule)
    where = f"on {rule.on}" if rule.on else "on any node"
    expected = f"seen or asked {where}" + (" before the repair" if rule.before_repair else "")
    if when is None:
        return Line(category, rule.what, Verdict.FAIL, expected, "never")
    if rule.before_repair and when > repaired + 1.0:  # the API server's times are whole seconds
        return Line(category, rule.what, Verdict.FAIL, expected, "only after the repair")
    return Line(category, rule.what, Verdict.PASS, expected, "seen")


def cause_lines(lab: Lab, answers: Mapping[str, str]) -> list[Line]:
    """One line for each question about the cause."""
    found = []
    for key in CAUSE_KEYS:
        question = getattr(lab.cause, key)
        given = answers.get(key, "")
        verdict = Verdict.PASS if given == question.answer else Verdict.FAIL
        found.append(Line("cause", key, verdict, question.answer, given or "no answer"))
    return found


def score(lines: Sequence[Line], *, exam: bool, penalty: float, seconds: float) -> Score:
    """Points from verdicts. Exam: only repair and lasting count, as in the CKA. ERROR takes its line out of the sum."""
    counted = [c for c in CATEGORIES if not exam or c in ("repair", "lasting")]
    graded: list[Line] = []
    for category in counted:
        own = [line for line in lines if line.category == category]
        for line in own:
            weight = CATEGORIES[category] / len(own)
            points = weight if line.verdict is Verdict.PASS else 0.0
            maximum = 0.0 if line.verdict is Verdict.ERROR else weight
            graded.append(
                Line(line.category, line.name, line.verdict, line.expected, line.found, round(points, 2), maximum)
            )
    ended = outcome([line for line in graded if line.category in ("repair", "lasting")])
    total = round(sum(line.points for line in graded), 1)
    taken = 0.0 if exam else min(penalty, total)
    maximum = round(sum(line.maximum for line in graded), 1)
    return Score(graded, round(total - taken, 1), maximum, taken, ended, seconds)


def not_looked_at(category: Category, name: str, expected: str) -> Line:
    """A line that no longer matters, because one before it failed."""
    return Line(category, name, Verdict.FAIL, expected, "not looked at after the first failure")


def not_repaired(name: str, expected: str, repair: Verdict) -> Line:
    """A lasting line when there is nothing yet that could last; an ungraded repair makes it ungraded too."""
    verdict = Verdict.ERROR if repair is Verdict.ERROR else Verdict.FAIL
    found = "not looked at, because the repair could not be graded" if verdict is Verdict.ERROR else "not repaired yet"
    return Line("lasting", name, verdict, expected, found)
