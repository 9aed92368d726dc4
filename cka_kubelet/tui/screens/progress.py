"""Preparing a lab, and restoring the nodes: phases as they happen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Static

from cka_kubelet.tui.screens.base import app_of
from cka_kubelet.tui.state import PhaseBoard, printable
from cka_kubelet.tui.widgets.progress import PhaseList


class ProgressScreen(Screen[None]):
    """Shows a board of phases until the app switches to the next screen."""

    BINDINGS: ClassVar[list[BindingType]] = [("ctrl+c,f12,escape", "leave", "Quit")]

    def __init__(self, title: str, subtitle: str, foot: str, board: PhaseBoard, *, may_leave: bool) -> None:
        super().__init__(classes="page")
        self._texts = (title, subtitle, foot)
        self._board = board
        self._may_leave = may_leave

    def compose(self) -> ComposeResult:
        title, subtitle, foot = self._texts
        with Vertical(classes="card"):
            yield Static(printable(title), classes="title", markup=False)
            yield Static(printable(subtitle), classes="subtitle", markup=False)
            yield PhaseList(self._board, app_of(self).clock.monotonic)
            yield Static(foot, id="foot", classes="foot", markup=False)

    def say(self, text: str) -> None:
        """Replace the line at the foot."""
        self.query_one("#foot", Static).update(text)

    def action_leave(self) -> None:
        """Ask, then stop preparing and restore. A restore itself is not stopped: it is short and must finish."""
        if self._may_leave:
            app_of(self).ask_to_leave()
