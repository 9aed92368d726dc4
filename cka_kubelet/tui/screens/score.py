"""The score and the debrief."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Markdown, Static

from cka_kubelet.tui.protocols import LabInfo, Score, Verdict
from cka_kubelet.tui.screens.base import Dialog
from cka_kubelet.tui.state import clock_text, printable
from cka_kubelet.tui.widgets.results import points_text, result_lines

_BAR = 40
_WORDS = {
    Verdict.PASS: ("Passed", "$success"),
    Verdict.FAIL: ("Not passed", "$error"),
    Verdict.ERROR: ("Could not be graded", "$warning"),
}


class ScoreScreen(Dialog[bool]):
    """Gives True to finish (the nodes are restored), False to look around once more."""

    escape_result = False

    def __init__(self, lab: LabInfo, score: Score) -> None:
        super().__init__()
        self._lab, self._score = lab, score

    def compose(self) -> ComposeResult:
        with Vertical(classes="card wide-card"):
            yield Static(printable(f"{self._lab.name} · {self._lab.title}"), classes="subtitle", markup=False)
            yield Static(self._headline(), classes="verdict")
            with VerticalScroll(classes="tall", id="score-scroll"):
                yield Static(result_lines(self._score.lines, points=True))
                if self._score.debrief:
                    yield Static("")
                    yield Markdown(printable(self._score.debrief), open_links=False)
            with Horizontal(classes="buttons"):
                yield Button("Look around", id="stay")
                yield Button("Finish and restore", id="finish", variant="primary")

    def _headline(self) -> Content:
        score = self._score
        share = score.points / score.maximum if score.maximum else 0.0
        filled = round(share * _BAR)
        word, colour = _WORDS[score.verdict]
        first = Content.assemble(
            (word, f"bold {colour}"),
            (f"   {points_text(score.points)} of {points_text(score.maximum)} points", "bold"),
            (f"   in {clock_text(score.seconds)}", "$secondary"),
            (f"   hints −{points_text(score.penalty)}" if score.penalty else "", "$secondary"),
        )
        return Content("\n").join([first, Content.assemble(("━" * filled, colour), ("━" * (_BAR - filled), "$panel"))])

    def on_mount(self) -> None:
        self.query_one("#finish", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "finish")
