"""The terminal widget with real programs on a local pseudo-terminal."""

import asyncio
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from cka_kubelet.remote.shell import Terminal
from cka_kubelet.tui.session import TerminalSession
from cka_kubelet.tui.theme import DARK
from cka_kubelet.tui.widgets.terminal import TerminalView
from tests.unit.tui.fakes import FakeTerminal, PtyTerminal
from tests.unit.tui.waiting import until


class Host(App[None]):
    """Nothing but a terminal."""

    def __init__(self, opener: Callable[[int, int], Terminal]) -> None:
        super().__init__()
        self._opener = opener

    def compose(self) -> ComposeResult:
        yield TerminalView()

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name
        view = self.query_one(TerminalView)
        self.session = TerminalSession("node01", self._opener, lambda: view.notify_changed(self.session))
        view.show(self.session)
        view.focus()

    def text(self) -> list[str]:
        return self.session.emulator.text() if self.session.emulator is not None else []

    def painted(self) -> list[str]:
        """What the widget really shows."""
        view = self.query_one(TerminalView)
        return [view.render_line(y).text.rstrip() for y in range(view.size.height)]

    def on_unmount(self) -> None:
        self.session.close()


def bash(columns: int, rows: int) -> Terminal:
    return PtyTerminal(["bash", "--norc", "--noprofile"], columns, rows)


async def type_line(pilot: Pilot[None], line: str) -> None:
    names = {" ": "space", "-": "minus", "/": "slash", ".": "full_stop", "$": "dollar_sign"}
    await pilot.press(*(names.get(c, c) for c in line), "enter")


async def test_bash_echoes_colours_and_ends() -> None:
    app = Host(bash)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "$" in "".join(app.text()))
        await type_line(pilot, "tput setaf 1 tput setaf 2")
        await type_line(pilot, "stty size")
        await until(pilot, lambda: "24 80" in app.painted())
        await pilot.press("ctrl+d")
        await until(pilot, lambda: app.session.state == "ended")


async def test_resize_reaches_the_program() -> None:
    app = Host(bash)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "$" in "".join(app.text()))
        await pilot.resize_terminal(101, 31)
        await pilot.pause(0.1)
        await type_line(pilot, "stty size")
        await until(pilot, lambda: "31 101" in app.painted())


@pytest.mark.parametrize(
    ("argv", "leave"),
    [(["less"], "q"), (["vim", "-u", "NONE", "-i", "NONE", "-n"], "escape colon q exclamation_mark enter")],
    ids=["less", "vim"],
)
async def test_full_screen_programs(argv: list[str], leave: str, tmp_path: Path) -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed here")
    lines = [f"line {number}" for number in range(200)]
    (tmp_path / "text").write_text("\n".join(lines) + "\n")
    app = Host(lambda columns, rows: PtyTerminal(["env", "-C", str(tmp_path), *argv, "text"], columns, rows))

    def top() -> list[str]:
        return app.painted()[:20]

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: top() == lines[:20])
        assert app.session.emulator and app.session.emulator.alternate_screen
        await pilot.press("ctrl+d")
        await until(pilot, lambda: top()[0] in lines[1:] and top() == lines[lines.index(top()[0]) :][:20])
        await pilot.press("g", "g")
        await until(pilot, lambda: top() == lines[:20])
        await pilot.press(*leave.split())
        await until(pilot, lambda: app.session.state == "ended")


async def test_a_megabyte_never_freezes_the_app() -> None:
    terminal = FakeTerminal()
    app = Host(lambda columns, rows: terminal)
    line = b"\x1b[32m" + b"y" * 90 + b"\x1b[0m\r\n"
    data = (line * 12_000)[: 1 << 20]
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.session.state == "open")
        for start in range(0, len(data), 65536):
            terminal.say(data[start : start + 65536])
        terminal.say(b"\r\nEND")
        # the event loop's own work between two turns, whatever else the machine is doing
        gaps, last = [], time.thread_time()
        while "END" not in app.text():
            await asyncio.sleep(0.001)
            now = time.thread_time()
            gaps.append(now - last)
            last = now
        print(f"1 MB: longest gap {max(gaps) * 1000:.0f} ms, p99 {sorted(gaps)[int(len(gaps) * 0.99)] * 1000:.0f} ms")
        assert max(gaps) < 0.5
        await until(pilot, lambda: "END" in app.painted())


async def test_the_echo_is_painted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From output arriving to the screen being painted: no frame timer in between. README has the measured times."""
    terminal = FakeTerminal()
    app = Host(lambda columns, rows: terminal)
    painted: list[float] = []
    flush = TerminalView._flush
    monkeypatch.setattr(TerminalView, "_flush", lambda view: (flush(view), painted.append(time.monotonic())))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.session.state == "open")
        delays = []
        for number in range(20):
            await pilot.pause(0.03)
            painted.clear()
            began = time.monotonic()
            terminal.say(b"\r%d" % number)
            await until(pilot, lambda: painted)
            assert app.painted()[0] == str(number)
            delays.append(painted[0] - began)
        print(f"output to paint: median {statistics.median(delays) * 1000:.1f} ms")
        assert statistics.median(delays) < 0.05  # 2 ms on an idle machine


async def test_wheel_scrolls_back_and_typing_returns() -> None:
    terminal = FakeTerminal()
    app = Host(lambda columns, rows: terminal)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state == "open")
        terminal.say(b"".join(b"line %d\r\n" % n for n in range(200)))
        await until(pilot, lambda: "line 199" in app.painted())
        await pilot.press("shift+pageup")
        await until(pilot, lambda: "line 160" in app.painted())
        terminal.say(b"more\r\n")  # the view holds still while output arrives
        await pilot.pause(0.1)
        assert "line 160" in app.painted()
        await pilot.press("x")
        await until(pilot, lambda: "more" in app.painted())
        assert bytes(terminal.written) == b"x"


async def test_paste_and_mouse_reach_the_program() -> None:
    terminal = FakeTerminal()
    app = Host(lambda columns, rows: terminal)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state == "open")
        terminal.say(b"\x1b[?2004h\x1b[?1000;1006hready")
        await until(pilot, lambda: "ready" in app.painted())
        app.query_one(TerminalView).post_message(events.Paste("two\nlines"))
        await until(pilot, lambda: bytes(terminal.written) == b"\x1b[200~two\rlines\x1b[201~")
        terminal.written.clear()
        await pilot.click(TerminalView, offset=(4, 2))
        await until(pilot, lambda: bytes(terminal.written) == b"\x1b[<0;5;3M\x1b[<0;5;3m")
