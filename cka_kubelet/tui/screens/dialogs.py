"""The dialogs over a lab: check result, submit, help, error, window too small."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Button, RadioButton, RadioSet, Static

from cka_kubelet.errors import LabError
from cka_kubelet.tui.commands import COMMANDS
from cka_kubelet.tui.protocols import Question, ResultLine, Verdict
from cka_kubelet.tui.screens.base import Dialog, app_of
from cka_kubelet.tui.state import printable
from cka_kubelet.tui.widgets.results import result_lines

MIN_COLUMNS, MIN_ROWS = 60, 15
_CARD_COLUMNS = 64


class CheckDialog(Dialog[None]):
    """Where the repair stands."""

    def __init__(self, lines: Sequence[ResultLine]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        passed = sum(line.verdict is Verdict.PASS for line in self._lines)
        with Vertical(classes="card"):
            yield Static(f"Check: {passed} of {len(self._lines)} hold", classes="title", markup=False)
            yield Static("Nothing was graded. The clock runs on.", classes="subtitle", markup=False)
            with VerticalScroll(classes="tall"):
                yield Static(result_lines(self._lines, points=False))
            with Horizontal(classes="buttons"):
                yield Button("Back", id="close")

    def on_mount(self) -> None:
        self.fit_card(len(result_lines(self._lines, points=False).plain.split("\n")))
        self.query_one("#close", Button).focus()

    def on_button_pressed(self) -> None:
        self.dismiss(None)


class SubmitDialog(Dialog[dict[str, str] | None]):
    """The cause: one choice per question. Gives the answers, or None to go back."""

    def __init__(self, questions: Sequence[Question], answers: dict[str, str]) -> None:
        super().__init__()
        self._questions = questions
        self._answers = answers

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Static("What was the cause?", classes="title")
            yield Static(
                "Tab moves between questions, ↑↓ and Space choose. Leave open what you do not know.",
                classes="subtitle",
                markup=False,
            )
            with VerticalScroll(classes="tall", can_focus=False):
                for index, question in enumerate(self._questions):
                    yield Static(printable(question.text), classes="question", markup=False)
                    with RadioSet(id=f"question-{index}"):
                        for choice in question.choices:
                            chosen = self._answers.get(question.key) == choice.value
                            yield RadioButton(Content(printable(choice.label)), chosen)
            with Horizontal(classes="buttons"):
                yield Button("Not yet", id="no")
                yield Button("Submit", id="yes", variant="primary")

    def on_mount(self) -> None:
        self.fit_card(sum(2 + len(question.choices) for question in self._questions))
        first = self.query(RadioSet)
        (first.first() if first else self.query_one("#yes")).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self._chosen() if event.button.id == "yes" else None)

    def _chosen(self) -> dict[str, str]:
        answers = {}
        for index, question in enumerate(self._questions):
            pressed = self.query_one(f"#question-{index}", RadioSet).pressed_index
            if pressed >= 0:
                answers[question.key] = question.choices[pressed].value
        return answers


class HelpDialog(Dialog[None]):
    """The keys, from the same list that binds them."""

    def __init__(self, exam: bool) -> None:
        super().__init__()
        self._exam = exam

    def compose(self) -> ComposeResult:
        lines = [
            Content.assemble(
                (f"{command.key_text:>6}  ", "bold $accent"), (f"{command.label:<11}", "bold"), command.help
            )
            for command in COMMANDS
            if command.in_exam or not self._exam
        ]
        lines.append(
            Content.assemble(
                ("    F9  ", "bold $accent"), ("Menu       ", "bold"), "All of these by name; Ctrl+\\ too."
            )
        )
        with Vertical(classes="card wide-card"):
            yield Static("How a lab goes", classes="title", markup=False)
            with VerticalScroll(classes="tall"):
                yield Static(
                    "Something on a node is broken. Find out what, repair it so that it survives a reboot, then submit "
                    "the cause. The terminal is a real shell on a real node: do there what you would do at work.\n",
                    markup=False,
                )
                yield Static(Content("\n").join(lines))
                yield Static(
                    "\nThe mouse wheel and Shift+PgUp scroll back. Selecting with the mouse copies. "
                    "Every other key goes to the shell.",
                    markup=False,
                )
            with Horizontal(classes="buttons"):
                yield Button("Back", id="close")

    def on_mount(self) -> None:
        self.query_one("#close", Button).focus()

    def on_button_pressed(self) -> None:
        self.dismiss(None)


class ErrorScreen(Dialog[None]):
    """What happened and what to do next."""

    def __init__(self, error: LabError, button: str = "Close") -> None:
        super().__init__()
        self._error = error
        self._button = button

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Static("That did not work", classes="title", markup=False)
            with VerticalScroll(classes="tall"):
                yield Static(printable(self._error.message), markup=False)
                if self._error.hint:
                    yield Static("\n" + printable(self._error.hint), classes="subtitle", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self._button, id="close")

    def on_mount(self) -> None:
        paragraphs = (self._error.message + "\n" + self._error.hint).split("\n")
        self.fit_card(sum(1 + len(paragraph) // _CARD_COLUMNS for paragraph in paragraphs))
        self.query_one("#close", Button).focus()

    def on_button_pressed(self) -> None:
        self.dismiss(None)


def too_small(size: Size) -> bool:
    """Nobody could work in a window of this size."""
    return size.width < MIN_COLUMNS or size.height < MIN_ROWS


class TooSmallScreen(ModalScreen[None]):
    """The window is too small to work in. Goes away by itself when the window grows."""

    BINDINGS: ClassVar[list[BindingType]] = [("ctrl+c,f12,q", "app.ask_to_leave", "Quit")]

    def compose(self) -> ComposeResult:
        yield Static(self._text(), id="too-small", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        for text in self.query("#too-small").results(Static):
            text.update(self._text())
        self._leave_when_large()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._leave_when_large()

    def _leave_when_large(self) -> None:
        if self.is_current and not too_small(app_of(self).window):
            self.dismiss(None)

    def _text(self) -> str:
        size = app_of(self).window
        return (
            f"This window is {size.width}×{size.height}.\nThe lab needs {MIN_COLUMNS}×{MIN_ROWS},\nbetter 120×36.\n\n"
            "Make it larger,\nor use a smaller font.\nThe lab waits."
        )
