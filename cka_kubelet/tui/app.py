"""The app: one lab run from preparing to restored. Holds the state, starts the workers, moves between screens."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import ClassVar, TypeVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.geometry import Size

from cka_kubelet.clock import Clock, SystemClock
from cka_kubelet.errors import LabError
from cka_kubelet.tui.carrier import Carried, carry
from cka_kubelet.tui.menu import LabCommands
from cka_kubelet.tui.protocols import LabRun, NodeState, Phase, ResultLine, Score, SymptomState
from cka_kubelet.tui.screens.progress import ProgressScreen
from cka_kubelet.tui.state import LabState, Outcome, PhaseBoard
from cka_kubelet.tui.theme import DARK, LIGHT

T = TypeVar("T")


class LabApp(App[Outcome], inherit_bindings=False):  # Textual's Ctrl+Q would take the shell's XON
    """`LabApp(run).run()` plays one lab and gives its `Outcome`; None when the terminal went away."""

    TITLE = "cka-kubelet"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {LabCommands}
    ENABLE_COMMAND_PALETTE = True
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-high")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "ask_to_leave", "Quit", show=False),
        Binding("f9,ctrl+backslash", "command_palette", "Menu", show=False, priority=True),
    ]

    def __init__(
        self, run: LabRun, *, clock: Clock | None = None, poll_seconds: float = 1.0, light: bool = False
    ) -> None:
        super().__init__()
        self._lab_run = run
        self.clock: Clock = clock or SystemClock()
        self.state = LabState(run.lab, list(run.nodes))
        self._poll_seconds = poll_seconds
        self._light = light
        self._leaving = threading.Event()
        self._ended = threading.Event()
        self._restoring = False
        self.window = Size(80, 24)
        """The terminal's size; `App.size` lags behind while a resize is handled."""

    # -- from start to hand-over

    def on_mount(self) -> None:
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = LIGHT.name if self._light else DARK.name
        lab = self.state.lab
        self.push_screen(
            ProgressScreen(
                f"{lab.name} · {lab.title}",
                "Preparing the nodes",
                "F12 quits. Your terminal opens by itself.",
                self.state.preparing,
                may_leave=True,
            )
        )
        self.call_after_refresh(self._fit)
        self._restore_when_told_to_end()
        self._carry("preparing", self._prepare, self._prepared, self._not_prepared)

    def _carry(
        self, name: str, work: Callable[[], T], done: Callable[[T], object], failed: Callable[[LabError], object]
    ) -> None:
        carry(name, work, self.post_message, done, failed)

    def on_carried(self, message: Carried) -> None:
        message.deliver()

    def _report(self, board: PhaseBoard, phases: Iterator[Phase]) -> None:
        """On a worker: pass phases on as they come. Stops between two of them when the learner leaves."""
        for phase in phases:
            self.post_message(Carried(partial(board.report, phase, self.clock.monotonic())))
            if board is self.state.preparing and self._leaving.is_set():
                return

    def _prepare(self) -> None:
        self._report(self.state.preparing, iter(self._lab_run.prepare()))

    def _prepared(self, _: None) -> None:
        if self._leaving.is_set():
            self._restore()
            return
        from cka_kubelet.tui.screens.lab import LabScreen

        self.state.nodes = list(self._lab_run.nodes)  # a provider may know them only now
        self.state.started = self.clock.monotonic()
        self._unwind()
        self.switch_screen(LabScreen())
        start = self.state.lab.start_on
        self.call_after_refresh(self.show_node, start if start in self.state.nodes else self.state.nodes[0])
        self.call_after_refresh(self._fit)
        threading.Thread(target=self._poll, name="node-states", daemon=True).start()

    def _not_prepared(self, error: LabError) -> None:
        """The engine has rolled back what it did; nothing is left to restore."""
        self._unwind()
        self._show_error(error, lambda: self._end(Outcome(error=error, restored=True)))

    def _unwind(self) -> None:
        """Close dialogs that belong to what has just ended."""
        while len(self.screen_stack) > 2:
            self.pop_screen()

    # -- the nodes

    def _poll(self) -> None:
        while not self._ended.is_set():
            try:
                states: Sequence[NodeState] = self._lab_run.node_states()
                deliver = partial(self._set_nodes, states, "")
            except LabError as err:
                deliver = partial(self._set_nodes, self.state.node_states, err.message)
            self.post_message(Carried(deliver))
            with contextlib.suppress(LabError):  # what cannot be seen now stays as it was last seen
                self.post_message(Carried(partial(self._set_symptom, self._lab_run.symptom())))
            self._ended.wait(self._poll_seconds)

    def _set_nodes(self, states: Sequence[NodeState], error: str) -> None:
        self.state.node_states, self.state.node_error = states, error
        self._show_state()

    def _set_symptom(self, symptom: SymptomState | None) -> None:
        self.state.symptom = symptom
        self._show_state()

    def _show_state(self) -> None:
        from cka_kubelet.tui.screens.lab import LabScreen

        for screen in self.screen_stack:
            if isinstance(screen, LabScreen):
                screen.show_state()

    def show_node(self, node: str) -> None:
        """Put this node's terminal on show; open it the first time."""
        from cka_kubelet.tui.session import TerminalSession
        from cka_kubelet.tui.widgets.terminal import TerminalView

        view = self.query_one_of_lab(TerminalView)
        session = self.state.sessions.get(node)
        if session is None:
            session = TerminalSession(
                node, partial(self._lab_run.open_terminal, node), lambda: view.notify_changed(new)
            )
            new = session
            self.state.sessions[node] = session
        self.state.node = node
        view.show(session)
        self._show_state()

    def query_one_of_lab(self, kind: type[T]) -> T:
        """A widget of the lab screen, whatever lies over it."""
        return self.screen_stack[1].query_one(kind)  # type: ignore[type-var]  # T is a widget here

    def next_node(self) -> None:
        nodes = list(self.state.nodes)
        self.show_node(nodes[(nodes.index(self.state.node) + 1) % len(nodes)])

    def restart_shell(self) -> None:
        old = self.state.sessions.pop(self.state.node, None)
        if old is not None:
            old.close()
        self.show_node(self.state.node)

    # -- hints, checks, help

    def show_help(self) -> None:
        from cka_kubelet.tui.screens.dialogs import HelpDialog

        self.push_screen(HelpDialog(self.state.lab.exam))

    def ask_for_hint(self) -> None:
        from cka_kubelet.tui.screens.base import ConfirmDialog

        state = self.state
        if not state.hints_left or state.score is not None:
            self.notify("No hint is left." if state.score is None else "The lab has been submitted.")
            return
        price = state.lab.hint_prices[len(state.hints)]
        number, total = len(state.hints) + 1, len(state.lab.hint_prices)
        text = f"Hint {number} of {total} costs {price} point{'s' if price != 1 else ''}. It stays beside the task."
        dialog = ConfirmDialog("Take a hint?", text, "Take it", "Not now", default_yes=True)
        self.push_screen(
            dialog, lambda yes: self._carry("hint", self._lab_run.hint, self._hinted, self.tell) if yes else None
        )

    def _hinted(self, text: str) -> None:
        from cka_kubelet.tui.screens.lab import LabScreen

        self.state.hints.append(text)
        for screen in self.screen_stack:
            if isinstance(screen, LabScreen):
                self.call_next(screen.show_hint, len(self.state.hints), text)
        self._show_state()

    def check(self) -> None:
        self._work("Checking the nodes", "check", self._lab_run.check, self._checked)

    def _checked(self, lines: Sequence[ResultLine]) -> None:
        from cka_kubelet.tui.screens.dialogs import CheckDialog

        self.push_screen(CheckDialog(lines))

    def _work(self, text: str, name: str, work: Callable[[], T], done: Callable[[T], object]) -> None:
        """Carry `work` behind a dialog that says what is being done."""
        from cka_kubelet.tui.screens.base import WorkingDialog

        dialog = WorkingDialog(text)
        self.push_screen(dialog)

        def finish(then: Callable[[T], object], result: T) -> None:
            if dialog in self.screen_stack:
                dialog.dismiss()
            self.call_after_refresh(then, result)

        self._carry(name, work, partial(finish, done), partial(finish, self.tell))  # type: ignore[arg-type]

    def tell(self, error: LabError) -> None:
        """Show an error that leaves the lab as it is."""
        self._show_error(error, lambda: None)

    def _show_error(self, error: LabError, then: Callable[[], None]) -> None:
        from cka_kubelet.tui.screens.dialogs import ErrorScreen

        self.push_screen(ErrorScreen(error), lambda _: then())

    # -- submit and score

    def ask_to_submit(self) -> None:
        from cka_kubelet.tui.screens.dialogs import SubmitDialog

        if self.state.score is not None:
            self._show_score()
            return
        self.push_screen(SubmitDialog(self.state.lab.questions, self.state.answers), self._submit)

    def _submit(self, answers: dict[str, str] | None) -> None:
        if answers is None:
            return
        self.state.answers = answers
        self._work("Grading", "submit", partial(self._lab_run.submit, answers), self._scored)

    def _scored(self, score: Score) -> None:
        self.state.score = score
        self.state.submitted = self.clock.monotonic()
        self._show_state()
        self._show_score()

    def _show_score(self) -> None:
        from cka_kubelet.tui.screens.score import ScoreScreen

        if self.state.score is not None:
            screen = ScoreScreen(self.state.lab, self.state.score)
            self.push_screen(screen, lambda finish: self._restore() if finish else None)

    # -- the end

    def _restore_when_told_to_end(self) -> None:
        """A closed window or `kill` is a learner who leaves: restore, then end."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):  # not the main thread, Windows
            loop.add_signal_handler(signal.SIGTERM, self._leave, True)
            loop.add_signal_handler(signal.SIGHUP, self._window_closed)

    def _window_closed(self) -> None:
        """Restore without a screen, then end the process: Textual's driver may wait for ever on a terminal that is
        gone. Restoring is safe to repeat, so it does not matter how far the app had come."""

        def restore_and_end() -> None:
            code = Outcome().exit_code
            try:
                for _ in self._lab_run.restore():
                    pass
            except LabError as err:
                code = err.exit_code  # the journal still knows what is pending; `cka-kubelet restore` finishes it
            os._exit(code)

        threading.Thread(target=restore_and_end, name="window-closed").start()

    def action_ask_to_leave(self) -> None:
        self.ask_to_leave()

    def ask_to_leave(self) -> None:
        """Confirm, then restore the nodes and end."""
        from cka_kubelet.tui.screens.base import ConfirmDialog

        if self._restoring or isinstance(self.screen, ConfirmDialog):
            return
        text = "The nodes are restored to what they were."
        if self.state.started is not None and self.state.score is None:
            text += " What you repaired is not graded."
        self.push_screen(ConfirmDialog("Leave the lab?", text, "Leave", "Stay"), self._leave)

    def _leave(self, yes: bool | None) -> None:
        if not yes:
            return
        self._leaving.set()
        if self.state.started is not None:
            self._restore()
            return
        for screen in self.screen_stack:
            if isinstance(screen, ProgressScreen):
                screen.say("Stopping after this step; then everything is undone.")

    def _restore(self) -> None:
        if self._restoring:
            return
        self._restoring = True
        self._close_sessions()
        self._unwind()
        screen = ProgressScreen(
            f"{self.state.lab.name} · restoring",
            "Everything the lab changed is undone",
            "Please wait; this takes a few seconds.",
            self.state.restoring,
            may_leave=False,
        )
        self.switch_screen(screen)
        work = partial(self._report, self.state.restoring, iter(self._lab_run.restore()))
        self._carry("restoring", work, self._restored, self._not_restored)

    def _restored(self, _: None) -> None:
        self._end(Outcome(self.state.score, restored=True))

    def _not_restored(self, error: LabError) -> None:
        self._show_error(error, lambda: self._end(Outcome(self.state.score, restored=False, error=error)))

    def _close_sessions(self) -> None:
        self._ended.set()
        for session in self.state.sessions.values():
            session.close()

    def _end(self, outcome: Outcome) -> None:
        self._close_sessions()
        self.exit(outcome, return_code=outcome.exit_code)

    # -- the window

    def on_resize(self, event: events.Resize) -> None:
        self.window = event.size
        self._fit()

    def _fit(self) -> None:
        """Cover everything while the window is too small to work in."""
        from cka_kubelet.tui.screens.dialogs import TooSmallScreen, too_small

        if too_small(self.window) and not isinstance(self.screen, TooSmallScreen) and len(self.screen_stack) > 1:
            self.push_screen(TooSmallScreen())
