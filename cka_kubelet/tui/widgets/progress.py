"""Phases with their seconds, live: shown while a lab is prepared and while the nodes are restored."""

from collections.abc import Callable

from textual.content import Content
from textual.widgets import Static

from cka_kubelet.tui.state import PhaseBoard, PhaseRow, printable

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"waiting": ("·", "$secondary"), "done": ("✓", "$success"), "failed": ("✗", "$error")}
_LONGEST_NAME = 24


class PhaseList(Static):
    """One line a phase. Reads the board, keeps nothing."""

    def __init__(self, board: PhaseBoard, now: Callable[[], float]) -> None:
        super().__init__(id="phases")
        self._board = board
        self._now = now

    def on_mount(self) -> None:
        self.set_interval(0.1, self.show)
        self.show()

    def show(self) -> None:
        now = self._now()
        column = max((len(row.phase.name) for row in self._board.rows), default=0)
        lines = [_line(row, now, self.size.width or 66, min(column, _LONGEST_NAME)) for row in self._board.rows]
        self.update(Content("\n").join(lines))


def _line(row: PhaseRow, now: float, width: int, column: int) -> Content:
    phase = row.phase
    mark, colour = _MARKS.get(phase.state, (_SPINNER[int(now * 10) % len(_SPINNER)], "$primary"))
    seconds = f"{row.seconds(now):.1f} s" if phase.state != "waiting" else ""
    name = printable(phase.name)[:column]
    room = max(0, width - column - 14)
    detail = printable(phase.detail).replace("\n", " ")
    detail = detail if len(detail) <= room else detail[: max(0, room - 1)] + "…"
    name_style = "$secondary" if phase.state == "waiting" else "bold" if phase.state == "running" else ""
    return Content.assemble(
        (f"{mark} ", colour),
        (f"{name:<{column}}  ", name_style),
        (f"{detail:<{room}} ", "$secondary"),
        (f"{seconds:>8}", "$secondary"),
    )
