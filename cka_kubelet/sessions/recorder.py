"""What the learner saw and ran, from the bytes of their terminals. Memory is bounded whatever a node prints.

Lines are matched as they come, so that nothing has to be kept for later. Command lines, exit codes and host names come
from the OSC 633 marks of the nodes' shells (VS Code's shell integration).
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

MAX_LINE = 4096
MAX_OSC = 8192
KEPT_LINES = 2000
KEPT_COMMANDS = 2000
_CSI_ENDS_LINE = frozenset(b"HfEFABdJ")
_SSH = re.compile(r"\s*ssh\s+(?:-\S+\s+)*(?:\w+@)?(?P<host>[a-z][a-z0-9-]{0,62})\s+(?P<command>\S.*)")
"""One command on another node; a shell there announces itself."""
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|\\)")


@dataclass(frozen=True)
class Command:
    """One command line. `time` and `ended`: seconds since the epoch; `status` None while it runs."""

    time: float
    node: str
    line: str
    status: int | None = None
    ended: float | None = None


@dataclass
class Rule:
    """Something to look out for. `first` is when it first held."""

    saw: Sequence[re.Pattern[str]]
    ran: Sequence[re.Pattern[str]]
    node: str | None
    first: float | None = None


class Recorder:
    """Collects from all terminals of one run. Thread-safe."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self.lines: deque[tuple[float, str, str]] = deque(maxlen=KEPT_LINES)
        self.commands: deque[Command] = deque(maxlen=KEPT_COMMANDS)

    def watch(self, saw: Sequence[str], ran: Sequence[str], node: str | None) -> Rule:
        """Look out for this from now on; any of the patterns is enough."""
        rule = Rule([re.compile(p) for p in saw], [re.compile(p) for p in ran], node)
        with self._lock:
            self._rules.append(rule)
        return rule

    def stream(self, node: str) -> "Stream":
        """The recorder's end of one terminal that was opened on `node`."""
        return Stream(self, node)

    def saw(self, node: str, line: str) -> None:
        if not line.strip():
            return
        with self._lock:
            now = self._now()
            self.lines.append((now, node, line))
            for rule in self._rules:
                if rule.first is None and rule.node in (None, node) and any(p.search(line) for p in rule.saw):
                    rule.first = now

    def ran(self, node: str, line: str) -> None:
        with self._lock:
            now = self._now()
            self.commands.append(Command(now, node, line))
            for rule in self._rules:
                if rule.first is None and rule.node in (None, node) and any(p.search(line) for p in rule.ran):
                    rule.first = now

    def ended(self, node: str, status: int) -> None:
        with self._lock:
            for index in range(len(self.commands) - 1, max(-1, len(self.commands) - 20), -1):
                command = self.commands[index]
                if command.node == node and command.status is None:
                    self.commands[index] = Command(command.time, node, command.line, status, self._now())
                    return


@dataclass
class Stream:
    """A terminal's bytes, cut into lines and marks. Fed by one thread."""

    recorder: Recorder
    node: str
    finished: int = 0
    """How many commands have ended in this terminal: the mark D."""
    prompts: int = 0
    """How many prompts it has shown: the mark A."""
    status: int = 0
    """The exit status of the last command that ended."""
    _state: Literal["text", "escape", "csi", "osc", "osc-escape", "string", "string-escape"] = "text"
    _line: bytearray = field(default_factory=bytearray)
    _osc: bytearray = field(default_factory=bytearray)
    _column: int = 0
    _in_command: bool = False

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; they may be cut anywhere."""
        for byte in data:
            if self._state == "text":
                self._text(byte)
            else:
                self._control(byte)

    def _text(self, byte: int) -> None:
        if byte == 0x1B:
            self._state = "escape"
        elif byte == 0x0A:
            self._flush()
        elif byte == 0x0D:
            self._column = 0
        elif byte == 0x08:
            self._column = max(0, self._column - 1)
        elif byte == 0x09:
            self._put(0x20)
        elif byte >= 0x20 and byte != 0x7F:
            self._put(byte)

    def _put(self, byte: int) -> None:
        if self._column < len(self._line):
            self._line[self._column] = byte
        elif len(self._line) < MAX_LINE:
            self._line.append(byte)
        self._column = min(self._column + 1, MAX_LINE)

    def _flush(self) -> None:
        text = self._line.decode("utf-8", "replace")
        self._line.clear()
        self._column = 0
        self.recorder.saw(self.node, "".join(c for c in text if c.isprintable()))

    def _control(self, byte: int) -> None:
        if self._state == "escape":
            self._state = {0x5B: "csi", 0x5D: "osc"}.get(byte, "text")  # type: ignore[assignment]
            if byte in b"PX^_":
                self._state = "string"
            elif byte in b"()*+ #%":
                self._state = "string-escape"  # one more byte belongs to it
        elif self._state == "csi":
            if 0x40 <= byte <= 0x7E:
                self._state = "text"
                if byte in _CSI_ENDS_LINE and self._line:
                    self._flush()
                elif byte == 0x4B:  # erase to the end of the line: what follows replaces it
                    del self._line[self._column :]
            elif byte == 0x1B:
                self._state = "escape"
        elif self._state == "osc":
            self._take_osc(byte)
        elif self._state == "string":
            if byte in (0x07, 0x9C, 0x18):
                self._state = "text"
            elif byte == 0x1B:
                self._state = "string-escape"
        elif self._state == "osc-escape":
            self._mark()
            self._state = "text"
        else:
            self._state = "text"

    def _take_osc(self, byte: int) -> None:
        if byte == 0x07:
            self._mark()
            self._state = "text"
        elif byte == 0x1B:
            self._state = "osc-escape"
        elif byte in (0x18, 0x1A):
            self._osc.clear()
            self._state = "text"
        elif len(self._osc) < MAX_OSC:
            self._osc.append(byte)

    def _mark(self) -> None:
        text = self._osc.decode("utf-8", "replace")
        self._osc.clear()
        if not text.startswith("633;"):
            return
        kind, _, rest = text[4:].partition(";")
        if kind == "P" and rest.startswith("Host="):
            self.node = rest[5:][:64].partition(".")[0]
        elif kind == "E":
            self._flush()
            self._in_command = True
            line = _unescape(rest.partition(";")[0])
            self.recorder.ran(self.node, line)
            if remote := _SSH.match(line):  # what it prints comes from there; the next prompt's Host mark ends that
                self.node = remote["host"]
                self.recorder.ran(self.node, remote["command"])
        elif kind == "D":
            self._flush()
            self.status = int(rest) if rest.isdigit() else 0
            if self._in_command:
                self._in_command = False
                self.finished += 1
                self.recorder.ended(self.node, self.status)
        elif kind == "A":
            self.prompts += 1


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)[:MAX_LINE]
