"""Playing a lab's commands through a real, recorded terminal, as a learner would type them."""

from collections.abc import Callable, Sequence

from cka_kubelet.clock import Clock
from cka_kubelet.engine.recorded import RecordedTerminal
from cka_kubelet.engine.run import LabRun
from cka_kubelet.errors import NodeError
from cka_kubelet.labspec.model import Command

COMMAND_SECONDS = 90.0
PROMPT_SECONDS = 15.0
Show = Callable[[str, bytes], None]
"""Called with (node, output) as it comes."""


class Player:
    """One terminal per node, opened when it is first needed. `show` gets every byte that a learner would see."""

    def __init__(self, run: LabRun, clock: Clock, show: Show = lambda node, data: None) -> None:
        self._run = run
        self._clock = clock
        self._show = show
        self._terminals: dict[str, RecordedTerminal] = {}

    def play(self, commands: Sequence[Command]) -> list[int]:
        """Type each line at its node's prompt and wait for its end; gives the exit statuses. Raises NodeError."""
        return [self._type(command) for command in commands]

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def _type(self, command: Command) -> int:
        terminal = self._terminals.get(command.on) or self._open(command.on)
        finished, prompts = terminal.stream.finished, terminal.stream.prompts
        terminal.write(command.run.encode() + b"\n")
        self._read_until(
            terminal,
            lambda: terminal.stream.finished > finished and terminal.stream.prompts > prompts,
            COMMAND_SECONDS,
            f"`{command.run[:80]}` on {command.on} did not end",
        )
        return terminal.stream.status

    def _open(self, node: str) -> RecordedTerminal:
        terminal = self._run.open_terminal(node, 140, 40)
        self._terminals[node] = terminal
        self._read_until(terminal, lambda: terminal.stream.prompts > 0, PROMPT_SECONDS, f"{node} showed no prompt")
        return terminal

    def _read_until(self, terminal: RecordedTerminal, done: Callable[[], bool], seconds: float, failure: str) -> None:
        deadline = self._clock.monotonic() + seconds
        while not done():
            if self._clock.monotonic() > deadline:
                raise NodeError(f"{failure} within {seconds:g} s", "Try it by hand: `cka-kubelet nodes shell`.")
            data = terminal.read(0.2)
            if data is None:
                raise NodeError(f"{failure}: its shell ended")
            self._show(terminal.stream.node, data)
