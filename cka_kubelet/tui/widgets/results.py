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


def points_text(points: float) -> str:
    """`7`, `7.5`: no trailing zero."""
    return f"{points:g}"


def result_lines(lines: Sequence[ResultLine], *, points: bool) -> Content:
    """All lines; a passed one shows what was found, the others what was expected too."""
    if not lines:
        return Content("Nothing was checked.")
    column = max(len(line.name) for line in lines)
    return Content("\n").join([_line(line, points, column) for line in lines])


def _line(line: ResultLine, points: bool, column: int) -> Content:
    mark, colour = _MARKS[line.verdict]
    parts = [Content.assemble((mark, f"bold {colour}"), "  ", (f"{printable(line.name):<{column}}", "bold"))]
    if points and line.maximum:
        got = "–" if line.verdict is Verdict.ERROR else points_text(line.points)
        parts[0] = Content.assemble(parts[0], (f"   {got:>3} / {points_text(line.maximum)}", "$secondary"))
    if line.expected and line.verdict is not Verdict.PASS:
        parts.append(_detail("expected", line.expected))
    if line.found:
        parts.append(_detail("found", line.found))
    if line.verdict is Verdict.ERROR:
        parts.append(_detail("note", "could not be graded; this never counts as wrong"))
    return Content("\n").join(parts)


def _detail(name: str, text: str) -> Content:
    return Content.assemble((f"         {name:<9} ", "$secondary"), (printable(text).replace("\n", " "), "$foreground"))
