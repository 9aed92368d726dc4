"""Pictures of the app: `python -m tests.unit.tui.screenshots DIRECTORY [--light]` draws every screen with a fake run.

`shoot_lab` draws the lab screen of any run, a real one too, with commands typed at the first node's prompt; README's
docs/screenshot.svg is made so.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cka_kubelet.remote.shell import Terminal
from cka_kubelet.tui.app import LabApp
from cka_kubelet.tui.protocols import LabRun
from cka_kubelet.tui.state import Outcome
from tests.unit.tui.fakes import FakeRun
from tests.unit.tui.waiting import until

_PROMPT = b"\x1b[1;32mroot@%s\x1b[0m:\x1b[1;34m~\x1b[0m# "
_SCREEN = b"""\
\x1b[1mNAME           STATUS     ROLES           AGE   VERSION\x1b[0m\r
controlplane   Ready      control-plane   12m   v1.36.2+cka\r
node01         NotReady   <none>          12m   v1.36.2+cka\r
"""
_STATUS = b"""\
\xe2\x97\x8b kubelet.service - kubelet: The Kubernetes Node Agent\r
     Loaded: loaded (/usr/lib/systemd/system/kubelet.service; \x1b[0;1;33mdisabled\x1b[0m; \
preset: \x1b[0;1;32menabled\x1b[0m)\r
    Drop-In: /usr/lib/systemd/system/kubelet.service.d\r
             \xe2\x94\x94\xe2\x94\x8010-kubeadm.conf\r
     Active: inactive (dead)\r
       Docs: https://kubernetes.io/docs/\r
"""


class ScriptedRun(FakeRun):
    """A run whose terminals already show some work."""

    def open_terminal(self, node: str, columns: int, rows: int) -> Terminal:
        terminal = super().open_terminal(node, columns, rows)
        fake = self.terminals[node]
        prompt = _PROMPT % node.encode()
        fake.say(b"\x1b[2J\x1b[H" + prompt + b"k get nodes\r\n" + _SCREEN)
        fake.say(prompt + b"ssh node01 systemctl status kubelet\r\n" + _STATUS + prompt)
        return terminal


async def shoot_lab(run: LabRun, path: Path, commands: Sequence[str], *, size: tuple[int, int] = (128, 36)) -> Outcome:
    """Prepare `run`, type `commands`, save the lab screen as SVG, then leave, which restores the nodes.

    Raises TimeoutError when the lab is not handed over within three minutes or a prompt does not come back in one.
    """
    app = LabApp(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.sessions and app.state.node_states, 180)
        session = app.state.sessions[app.state.node]

        def idle() -> bool:
            rows = [row for row in session.emulator.text() if row] if session.emulator is not None else []
            return bool(rows) and rows[-1].endswith(("#", "$"))

        await until(pilot, idle, 60)
        session.send(b"clear\r")
        for command in commands:
            await pilot.pause(0.5)
            await until(pilot, idle, 60)
            session.send(command.encode() + b"\r")
        await pilot.pause(1)
        await until(pilot, idle, 60)
        await pilot.pause(0.5)
        app.save_screenshot(path.name, str(path.parent))
        await pilot.press("f12", "left", "enter")
        await until(pilot, lambda: app.return_value is not None, 180)
    return app.return_value or Outcome()


async def _shoot(directory: Path, light: bool) -> None:
    run = ScriptedRun()
    run.hold.clear()
    app = LabApp(run, light=light)
    async with app.run_test(size=(128, 36)) as pilot:

        async def save(name: str, *keys: str) -> None:
            await pilot.press(*keys)
            await pilot.pause(0.4)
            app.save_screenshot(f"{name}.svg", str(directory))

        await save("preparing")
        run.hold.set()
        await save("lab")
        await save("menu", "f9")
        await pilot.press("escape")
        await save("hint", "f4")
        await pilot.press("enter")
        await save("hinted")
        await save("check", "f5")
        await pilot.press("enter")
        await save("help", "f1")
        await pilot.press("enter")
        await save("submit", "f10")
        await pilot.press("space", "tab", "space", "tab", "tab", "enter")
        await save("score")
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await save("narrow")
        await save("narrow-panel", "f3")
        await pilot.resize_terminal(40, 10)
        await save("small")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(_shoot(target, "--light" in sys.argv))
