"""The app from preparing to restored, driven by keys."""

import os
import signal
from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from cka_kubelet.errors import LabStartError, NodeUnreachableError, RestoreError
from cka_kubelet.tui.app import LabApp
from cka_kubelet.tui.protocols import LabInfo, SymptomState
from cka_kubelet.tui.screens.base import ConfirmDialog
from cka_kubelet.tui.screens.dialogs import CheckDialog, ErrorScreen, HelpDialog, SubmitDialog, TooSmallScreen
from cka_kubelet.tui.screens.lab import LabScreen
from cka_kubelet.tui.screens.progress import ProgressScreen
from cka_kubelet.tui.screens.score import ScoreScreen
from cka_kubelet.tui.state import Outcome
from cka_kubelet.tui.widgets.terminal import TerminalView
from tests.unit.tui.fakes import LAB, FakeRun
from tests.unit.tui.waiting import until

P = Pilot[Outcome]


def on(app: LabApp, kind: type) -> Callable[[], bool]:
    return lambda: isinstance(app.screen, kind)


async def at_prompt(pilot: P, app: LabApp) -> TerminalView:
    await until(pilot, on(app, LabScreen))
    view = app.screen.query_one(TerminalView)
    await until(pilot, lambda: view.session and view.session.emulator and view.session.emulator.text()[0])
    return view


async def test_a_lab_from_preparing_to_restored() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f10")
        await until(pilot, on(app, SubmitDialog))
        await pilot.press("space", "tab", "down", "space", "tab", "tab", "enter")
        await until(pilot, on(app, ScoreScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_value is not None)
    assert run.answers == {"component": "kubelet", "reason": "crash"}
    assert app.return_value is not None
    assert app.return_value.restored
    assert app.return_value.exit_code == 1
    assert run.calls[-1] == "restore"
    assert all(terminal.closed for terminal in run.terminals.values())


async def test_keys_reach_the_shell_and_functions_do_not() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("l", "s", "enter", "ctrl+c", "ctrl+q", "ctrl+p", "up", "alt+b", "tab", "escape")
        terminal = run.terminals["controlplane"]
        await until(pilot, lambda: len(terminal.written) >= 13)
        assert bytes(terminal.written) == b"ls\r\x03\x11\x10\x1b[A\x1bb\t\x1b"
        await pilot.press("f1")
        await until(pilot, on(app, HelpDialog))


async def test_each_node_keeps_its_shell() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await at_prompt(pilot, app)
        await pilot.press("f2")
        await until(pilot, lambda: "node01" in run.terminals)
        await until(pilot, lambda: view.session.emulator and "node01" in view.session.emulator.text()[0])
        await pilot.press("x", "f2", "y")
        await until(pilot, lambda: run.terminals["controlplane"].written == b"y")
        assert run.terminals["node01"].written == b"x"
        assert [call for call in run.calls if call.startswith("open")] == [
            "open_terminal controlplane",
            "open_terminal node01",
        ]


async def test_an_ended_shell_can_be_opened_again() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await at_prompt(pilot, app)
        first = run.terminals["controlplane"]
        first.say(None)
        await until(pilot, lambda: view.session and view.session.state == "ended")
        await pilot.pause()
        await pilot.press("f6")
        await until(pilot, lambda: run.terminals["controlplane"] is not first)


async def test_a_node_that_cannot_be_reached_is_said_beside_the_terminal() -> None:
    run = FakeRun()
    run.errors["open_terminal controlplane"] = NodeUnreachableError("node controlplane is gone", "Wait.")
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(app, LabScreen))
        notice = app.screen.query_one("#notice")
        await until(pilot, lambda: "is gone" in str(notice.render()))


async def test_a_hint_has_a_price_and_stays() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f4")
        await until(pilot, on(app, ConfirmDialog))
        await pilot.press("escape")
        await pilot.pause()
        assert "hint" not in run.calls
        await pilot.press("f4", "enter")
        await until(pilot, lambda: app.state.hints)
        assert app.state.hint_cost == 2
        await until(pilot, lambda: len(app.screen.query("#hints > *")) == 2)


async def test_check_shows_lines_and_grades_nothing() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f5")
        await until(pilot, on(app, CheckDialog))
        await pilot.press("enter")
        await until(pilot, on(app, LabScreen))
        assert app.state.score is None


async def test_an_exam_has_neither_hint_nor_check() -> None:
    run = FakeRun(LabInfo(LAB.name, LAB.title, LAB.brief, LAB.minutes, (), LAB.questions, exam=True))
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f4", "f5")
        await pilot.pause()
        assert isinstance(app.screen, LabScreen)
        assert "check" not in run.calls


async def test_leaving_restores() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f12")
        await until(pilot, on(app, ConfirmDialog))
        await pilot.press("left", "enter")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == Outcome(restored=True)
    assert app.return_value.exit_code == 130


async def test_leaving_while_preparing_restores_too() -> None:
    run = FakeRun()
    run.hold.clear()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.state.preparing.rows) == 4)
        await pilot.press("ctrl+c")
        await until(pilot, on(app, ConfirmDialog))
        await pilot.press("left", "enter")
        await pilot.pause()
        run.hold.set()
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == Outcome(restored=True)


async def test_kill_restores() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == Outcome(restored=True)


async def test_a_lab_that_cannot_start_says_why() -> None:
    run = FakeRun()
    run.errors["prepare"] = error = LabStartError("node01 stayed Ready", "Try again.")
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(app, ErrorScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert app.return_value.error is error
    assert app.return_value.exit_code == 7


async def test_a_restore_that_fails_is_never_silent() -> None:
    run = FakeRun()
    run.errors["restore"] = error = RestoreError("kubelet.conf could not be put back", "`cka-kubelet restore`")
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f12", "left", "enter")
        await until(pilot, on(app, ErrorScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == Outcome(restored=False, error=error)


async def test_the_cluster_being_away_does_not_stop_the_lab() -> None:
    run = FakeRun()
    run.errors["node_states"] = NodeUnreachableError("the API server does not answer", "Look at it.")
    app = LabApp(run, poll_seconds=0.01)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await until(pilot, lambda: "does not answer" in app.state.node_error)
        del run.errors["node_states"]
        await until(pilot, lambda: app.state.node_states)
        assert app.state.node_error == ""


async def test_a_symptom_that_is_no_node_stands_above_the_nodes() -> None:
    run = FakeRun()
    run.seen = SymptomState("kubectl logs web", "fails", False, "dial tcp\x1b[2J: i/o timeout")
    app = LabApp(run, poll_seconds=0.01)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        await until(pilot, lambda: "kubectl logs web" in str(app.screen.query_one("#symptom").render()))
        shown = str(app.screen.query_one("#symptom").render())
        assert "fails" in shown
        assert "i/o timeout" in shown
        assert "\x1b" not in shown
        run.seen = SymptomState("kubectl logs web", "works", True, "a log line")
        await until(pilot, lambda: "works" in str(app.screen.query_one("#symptom").render()))
        assert "a log line" not in str(app.screen.query_one("#symptom").render())


async def test_a_node_cannot_style_or_break_the_panel() -> None:
    run = FakeRun()
    run.started = 0
    app = LabApp(run, poll_seconds=0.01)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_prompt(pilot, app)
        run.ready = "[red]\x1b]0;x\x07\u202e"
        await until(pilot, lambda: app.state.node_states[1].status.startswith("[red]"))
        await pilot.pause()
        assert "\x1b" not in str(app.screen.query_one("#nodes").render())


@pytest.mark.parametrize("size", [(40, 10), (59, 40), (120, 14), (1, 1)])
async def test_a_window_too_small_says_so_and_recovers(size: tuple[int, int]) -> None:
    app = LabApp(FakeRun())
    async with app.run_test(size=size) as pilot:
        await until(pilot, on(app, TooSmallScreen))
        await pilot.resize_terminal(100, 30)
        await at_prompt(pilot, app)
        await pilot.resize_terminal(*size)
        await until(pilot, on(app, TooSmallScreen))


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (100, 30), (120, 40), (250, 80)])
async def test_the_terminal_has_room_at_every_size(size: tuple[int, int]) -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=size) as pilot:
        view = await at_prompt(pilot, app)
        columns, rows = run.terminals["controlplane"].sizes[-1]
        assert columns >= min(78, size[0] - 2)
        assert rows >= size[1] - 4
        await pilot.press("f3")
        await pilot.pause()
        assert app.screen.query_one("#panel").display == (size[0] < 118)
        assert view.session is not None


async def test_progress_shows_seconds() -> None:
    run = FakeRun()
    run.hold.clear()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.state.preparing.rows) == 4)
        assert isinstance(app.screen, ProgressScreen)
        await pilot.pause(0.25)
        text = str(app.screen.query_one("#phases").render())
        assert "✓ baseline" in text
        assert "0." in text
        run.hold.set()
        await at_prompt(pilot, app)


async def test_long_debriefs_scroll_while_a_button_has_the_focus() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_prompt(pilot, app)
        await pilot.press("f10", "tab", "tab", "tab", "enter")
        await until(pilot, on(app, ScoreScreen))
        await pilot.pause(0.2)
        await pilot.press("pagedown")
        await pilot.pause()
        assert app.screen.query_one("#score-scroll").scroll_y > 0


async def test_selecting_copies() -> None:
    run = FakeRun()
    app = LabApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await at_prompt(pilot, app)
        run.terminals["controlplane"].say(b"\x1b[2J\x1b[Hfirst line\r\nsecond line")
        await until(pilot, lambda: "second line" in view.render_line(1).text)
        await pilot.mouse_down(view, offset=(7, 0))
        await pilot.hover(view, offset=(9, 1))
        await pilot.mouse_up(view, offset=(7, 1))
        await until(pilot, lambda: app.clipboard)
        assert app.clipboard.split("\n")[0] == "line"
        await pilot.press("x")
        await pilot.pause()
        assert view.text_selection is None
