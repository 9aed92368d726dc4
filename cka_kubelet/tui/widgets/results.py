"""Graded lines: verdict, name, points, and what was expected and found."""

from collections.abc import Sequence

from textual.content import Content

from cka_kubelet.tui.protocols import ResultLine, Verdict
from cka_kubelet.tui.state import printable

_MARKS = {
    Verdict.PASS: ("✓ PASS ", "$success"),
    Verdict.FAIL: ("✗ FAIL ", "$error"),
    Verdict.ERROR: ("! ERROR", "$warning"),
}

_NAME_COLUMN = 12


def points_text(points: float) -> str:
    """`7`, `7.5`, `6.7`: at most one decimal."""
    return f"{round(points, 1):g}"


def result_lines(lines: Sequence[ResultLine], *, points: bool) -> Content:
    """All lines below their categories; a passed one shows what was found, the others what was expected too."""
    if not lines:
        return Content("Nothing was checked.")
    parts: list[Content] = []
    for category in dict.fromkeys(line.category for line in lines):
        own = [line for line in lines if line.category == category]
        if category:
            parts += [Content(), _heading(category, own, points)] if parts else [_heading(category, own, points)]
        parts += [_line(line, points and not category) for line in own]
    return Content("\n").join(parts)


def _heading(category: str, lines: Sequence[ResultLine], points: bool) -> Content:
    got, of = sum(line.points for line in lines), sum(line.maximum for line in lines)
    right = f"{points_text(got)} of {points_text(of)}" if points and of else ""
    return Content.assemble(
        (f"{printable(category).upper():<{_NAME_COLUMN}}", "bold $secondary"), (right, "$secondary")
    )


def _line(line: ResultLine, points: bool) -> Content:
    mark, colour = _MARKS[line.verdict]
    head = Content.assemble((mark, f"bold {colour}"), "  ", (printable(line.name), "bold"))
    if points and line.maximum:
        head = Content.assemble(head, (f"   {points_text(line.points)} of {points_text(line.maximum)}", "$secondary"))
    parts = [head]
    if line.expected and line.verdict is not Verdict.PASS:
        parts.append(_detail("expected", line.expected))
    if line.found:
        parts.append(_detail("found", line.found))
    if line.verdict is Verdict.ERROR:
        parts.append(_detail("note", "could not be graded; this never counts as wrong"))
    return Content("\n").join(parts)


def _detail(name: str, text: str) -> Content:
    return Content.assemble((f"         {name:<9} ", "$secondary"), (printable(text).replace("\n", " "), "$foreground"))
