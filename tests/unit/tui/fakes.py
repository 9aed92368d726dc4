"""A lab run that keeps state and logs its calls, and terminals: scripted, and a real local pty."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Iterator, Sequence

from cka_kubelet.errors import LabError
from cka_kubelet.remote.shell import Terminal
from cka_kubelet.tui.protocols import (
    Choice,
    LabInfo,
    NodeState,
    Phase,
    Question,
    ResultLine,
    Score,
    SymptomState,
    Verdict,
)

BRIEF = """\
`node01` went **NotReady** a minute ago and nobody knows why.

- Find the cause.
- Bring the node back so that it *stays* Ready, also after a reboot.

Your terminal starts on `controlplane`; F2 takes you to `node01`.
"""

DEBRIEF = """\
## What happened
The kubelet was stopped **and** disabled. The API server saw no heartbeat for the grace period and set Ready to Unknown.

## The expert's path
1. `kubectl get nodes` — NotReady, reason *NodeStatusUnknown*: the kubelet is silent.
2. `systemctl status kubelet` — inactive (dead); **disabled**.
3. `systemctl enable --now kubelet`

## Train next
`notready-5`: the same symptom, another cause.
"""

LAB = LabInfo(
    name="notready-1",
    title="A node is NotReady",
    brief=BRIEF,
    minutes=(3, 8),
    hint_prices=(2, 3, 5),
    questions=(
        Question(
            "component",
            "Which component was at fault?",
            (Choice("kubelet", "kubelet"), Choice("containerd", "containerd"), Choice("cni", "CNI plug-in")),
        ),
        Question(
            "reason",
            "What was wrong with it?",
            (
                Choice("stopped", "It was stopped and disabled"),
                Choice("crash", "It exits at start because of a flag"),
                Choice("cert", "Its client certificate has expired"),
            ),
        ),
    ),
)

LINES = (
    ResultLine("that node01 is NotReady", Verdict.PASS, 10, 10, "seen on any node", "seen at 0:12", "symptom"),
    ResultLine("that the kubelet is not running", Verdict.PASS, 10, 10, "seen on node01", "seen at 0:41", "evidence"),
    ResultLine("that it is disabled", Verdict.FAIL, 0, 10, "seen before the repair", "never", "evidence"),
    ResultLine("component", Verdict.PASS, 12.5, 12.5, "kubelet", "kubelet", "cause"),
    ResultLine("reason", Verdict.PASS, 12.5, 12.5, "It was stopped", "It was stopped", "cause"),
    ResultLine("node01 is Ready", Verdict.PASS, 30, 30, "Ready, lease fresh", "Ready, lease 3 s old", "repair"),
    ResultLine("kubelet.service is enabled", Verdict.FAIL, 0, 7.5, "enabled", "disabled", "lasting"),
    ResultLine("survives a reboot", Verdict.ERROR, 0, 0, "Ready within 60 s", "SSH did not answer", "lasting"),
)


class FakeTerminal(Terminal):
    """Gives what `say` queues; keeps what was written and every size it was told."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.written = bytearray()
        self.sizes = [(columns, rows)]
        self.closed = False
        self._out: list[bytes | None] = []
        self._ready = threading.Condition()

    def say(self, data: bytes | None) -> None:
        """Queue output; None ends the shell."""
        with self._ready:
            self._out.append(data)
            self._ready.notify()

    def read(self, timeout: float) -> bytes | None:
        with self._ready:
            if not self._ready.wait_for(lambda: self._out or self.closed, timeout):
                return b""
            return self._out.pop(0) if self._out else None

    def write(self, data: bytes) -> None:
        self.written += data

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def close(self) -> None:
        with self._ready:
            self.closed = True
            self._ready.notify()


class PtyTerminal(Terminal):
    """A real program on a local pseudo-terminal."""

    def __init__(self, argv: Sequence[str], columns: int = 80, rows: int = 24) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:  # pragma: no cover - the child
            os.environ.update(TERM="xterm-256color", PS1="$ ", LC_ALL="C.UTF-8")
            os.execvp(argv[0], list(argv))  # noqa: S606 - a pty needs fork and exec
        self.resize(columns, rows)

    def read(self, timeout: float) -> bytes | None:
        try:
            if not select.select([self._fd], [], [], timeout)[0]:
                return b""
            return os.read(self._fd, 65536) or None
        except (OSError, ValueError):
            return None

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        if self._fd >= 0:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._fd)
            self._fd = -1


class FakeRun:
    """A run on two nodes. Set an attribute named `<method>_error` to have that method raise it."""

    def __init__(self, lab: LabInfo = LAB, nodes: Sequence[str] = ("controlplane", "node01")) -> None:
        self.lab = lab
        self.nodes = nodes
        self.calls: list[str] = []
        self.answers: dict[str, str] = {}
        self.terminals: dict[str, FakeTerminal] = {}
        self.errors: dict[str, LabError] = {}
        self.hold = threading.Event()
        """Preparing waits for it before its last phase."""
        self.hold.set()
        self.ready = "Unknown"
        self.seen: SymptomState | None = None
        self.started = time.time()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.errors:
            raise self.errors[name]

    def prepare(self) -> Iterator[Phase]:
        for name, detail in (
            ("nodes", "controlplane and node01 from image cka-node-4f1c"),
            ("baseline", "7 checks pass on the healthy cluster"),
            ("inject", "undo is journalled"),
        ):
            yield Phase(name, "running")
            yield Phase(name, "done", detail)
        yield Phase("symptom", "running", "waiting for node01 to turn NotReady")
        self.hold.wait(30)
        self._called("prepare")
        yield Phase("symptom", "done", "node01 is NotReady")

    def open_terminal(self, node: str, columns: int, rows: int) -> Terminal:
        self._called(f"open_terminal {node}")
        terminal = self.terminals[node] = FakeTerminal(columns, rows)
        terminal.say(f"root@{node}:~# ".encode())
        return terminal

    def symptom(self) -> SymptomState | None:
        return self.seen

    def node_states(self) -> Sequence[NodeState]:
        self._called("node_states")
        message = "Kubelet stopped posting node status."
        return (
            NodeState("controlplane", "True", "KubeletReady", "", self.started - 760, roles="control-plane"),
            NodeState("node01", self.ready, "NodeStatusUnknown", message, self.started - 48),  # type: ignore[arg-type]
        )

    def hint(self) -> str:
        self._called("hint")
        return "Who posts a node's status? Is it **running**?"

    def check(self) -> Sequence[ResultLine]:
        self._called("check")
        return LINES[-3:]

    def submit(self, answers: dict[str, str]) -> Score:
        self.answers = answers
        self._called("submit")
        return Score(LINES, 73, 92.5, Verdict.FAIL, 252, 2, DEBRIEF)

    def restore(self) -> Iterator[Phase]:
        self._called("restore")
        yield Phase("undo", "running")
        yield Phase("undo", "done", "2 changes undone")
        yield Phase("compare", "done", "byte-identical")
