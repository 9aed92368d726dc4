"""The lab: task and nodes on the left, the terminal on the right, the clock above, the keys below."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Markdown, Static

from cka_kubelet.tui.commands import COMMANDS, MENU
from cka_kubelet.tui.screens.base import app_of
from cka_kubelet.tui.state import band_colour, clock_text, printable
from cka_kubelet.tui.widgets.nodes import node_dots, node_lines, symptom_lines
from cka_kubelet.tui.widgets.terminal import TerminalView


class NodeTab(Static):
    """A node's name above the terminals; a click puts its terminal on show."""

    ALLOW_SELECT = False

    def __init__(self, node: str) -> None:
        super().__init__(printable(node), markup=False)
        self.node = node

    def on_click(self) -> None:
        app_of(self).show_node(self.node)


class LabScreen(Screen[None]):
    """Reads the app's state; every action is carried out by the app."""

    BINDINGS: ClassVar[list[BindingType]] = [*(command.binding for command in COMMANDS), MENU]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide")]  # noqa: RUF012 - Textual declares it so

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        lab = app_of(self).state.lab
        with Horizontal(id="bar"):
            yield Static(
                Content.assemble((printable(lab.name), "bold $primary"), "  ", (printable(lab.title), "")),
                id="bar-title",
            )
            yield Static(id="bar-nodes")
            yield Static(id="bar-clock")
        with Horizontal(id="work"):
            with Vertical(id="panel"):
                with VerticalScroll(id="brief-box", can_focus=False):
                    yield Static("TASK", classes="heading")
                    yield Markdown(printable(lab.brief), id="brief", open_links=False)
                    yield Vertical(id="hints")
                yield Static(id="symptom")
                yield Static("NODES", classes="heading")
                yield Static(id="nodes")
                yield Static(id="score-note")
            with Vertical(id="desk"):
                with Horizontal(id="tabs"):
                    yield from (NodeTab(name) for name in app_of(self).state.nodes)
                yield Static(id="notice", markup=False)
                yield TerminalView(id="terminal")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(0.5, self._tick)
        self.show_state()
        self.query_one(TerminalView).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what does not apply: hints and checks in an exam, switching on one node."""
        state = app_of(self).state
        command = next((command for command in COMMANDS if command.action == action), None)
        if command is not None and not command.in_exam and state.lab.exam:
            return False
        if action == "next_node" and len(state.nodes) < 2:
            return False
        if action == "restart_shell":
            session = state.sessions.get(state.node)
            return session is not None and session.state in ("ended", "failed")
        return True

    # -- showing

    def _put(self, selector: str, content: Content) -> bool:
        """Update a part if it changed; a new layout only if its shape did. True when it changed."""
        old = self._shown.get(selector)
        if old is not None and (old.plain, old.spans) == (content.plain, content.spans):
            return False
        self._shown[selector] = content
        shape = [list(map(len, text.plain.split("\n"))) for text in (old or Content(), content)]
        self.query_one(selector, Static).update(content, layout=shape[0] != shape[1])
        return True

    def show_state(self) -> None:
        """Bring every part in line with the state. Cheap: called on every change."""
        if not self.query("#tabs"):  # pushed, but its parts are not there yet; on_mount shows the state
            return
        self._show_tabs()
        self._show_notice()
        self._tick()

    def _tick(self) -> None:
        app = app_of(self)
        state, now = app.state, app.clock.now()
        seconds = state.elapsed(app.clock.monotonic())
        quick, slow = state.lab.minutes
        clock = Content.assemble(
            (f"{clock_text(seconds)}", f"bold ${band_colour(seconds, state.lab.minutes)}"),
            (f"  of {quick}–{slow} min", "$secondary"),
        )
        self._put("#bar-clock", clock)
        self._put("#symptom", symptom_lines(state.symptom, now) if state.symptom is not None else Content())
        known = {node.name: node for node in state.node_states}
        self._put("#bar-nodes", node_dots(list(known.values())))
        lines = [node_lines(node, now) for node in known.values()]
        if state.node_error:
            lines.append(Content.styled(printable(state.node_error), "$warning"))
        self._put("#nodes", Content("\n\n").join(lines) if lines else Content("asking …"))
        self._put("#score-note", self._note())

    def _note(self) -> Content:
        state = app_of(self).state
        if state.score is not None:
            return Content.styled("Submitted. F10 shows the score again.", "$accent")
        if state.lab.exam:
            return Content.styled("Exam mode: no hints, no checks.", "$secondary")
        total = len(state.lab.hint_prices)
        cost = f"  −{state.hint_cost} points" if state.hint_cost else ""
        return Content.assemble((f"Hints {len(state.hints)} of {total}{cost}", "$secondary"))

    def _show_tabs(self) -> None:
        state = app_of(self).state
        for tab in self.query(NodeTab):
            tab.set_class(tab.node == state.node, "-here")

    def _show_notice(self) -> None:
        state = app_of(self).state
        session = state.sessions.get(state.node)
        text = ""
        if session is not None and session.state == "connecting":
            text = f"Connecting to {session.node} …"
        elif session is not None and session.state == "ended":
            text = f"The shell on {session.node} has ended. F6 opens a new one."
        elif session is not None and session.error is not None:
            text = f"{session.error.message}\n{session.error.hint} F6 tries again."
        elif session is not None and session.emulator is not None and session.emulator.scrolled:
            text = f"{session.emulator.scrolled} lines back. Any key returns to the prompt."
        if self._put("#notice", Content(printable(text))):
            self.query_one("#notice").set_class(bool(text), "-shown")
            self.refresh_bindings()

    async def show_hint(self, number: int, text: str) -> None:
        """Add a hint under the task."""
        box = self.query_one("#hints", Vertical)
        await box.mount(Static(f"HINT {number}", classes="heading"), Markdown(printable(text), open_links=False))
        self.query_one("#brief-box", VerticalScroll).scroll_end(animate=False)
        self.set_class(self.has_class("-narrow"), "-panel-shown")

    def on_terminal_view_changed(self, event: TerminalView.Changed) -> None:
        self._show_notice()

    def on_text_selected(self, event: events.TextSelected) -> None:
        """Selecting copies, as terminals on Linux do."""
        text = self.get_selected_text()
        if text and text.strip():
            self.app.copy_to_clipboard(text)
            self.notify("Copied.", timeout=1.5)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self.query_one(TerminalView).focus()

    # -- actions

    def action_help(self) -> None:
        app_of(self).show_help()

    def action_next_node(self) -> None:
        app_of(self).next_node()

    def action_toggle_panel(self) -> None:
        self.toggle_class("-panel-shown" if self.has_class("-narrow") else "-panel-hidden")
        self.query_one(TerminalView).focus()

    def action_hint(self) -> None:
        app_of(self).ask_for_hint()

    def action_check(self) -> None:
        app_of(self).check()

    def action_restart_shell(self) -> None:
        app_of(self).restart_shell()

    def action_submit(self) -> None:
        app_of(self).ask_to_submit()

    def action_leave(self) -> None:
        app_of(self).ask_to_leave()
