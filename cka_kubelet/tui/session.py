"""One embedded terminal: the channel to the node, the emulator, and the two threads between them. Knows no widget."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal

from cka_kubelet.errors import LabError
from cka_kubelet.remote.shell import Terminal

if TYPE_CHECKING:
    from cka_kubelet.tui.emulator import Emulator

State = Literal["connecting", "open", "ended", "failed"]
Opener = Callable[[int, int], Terminal]
"""Opens the channel: (columns, rows) → Terminal. Takes its time; raises LabError."""

_READ_TIMEOUT = 0.5  # seconds until a reader notices that its session was closed


class TerminalSession:
    """A shell on a node, alive until `close`. `changed` is called from its threads whenever there is something to show.

    Reading stops while the emulator is fed, so that a node which prints without end is slowed down by the channel's own
    window instead of filling memory.
    """

    def __init__(self, node: str, opener: Opener, changed: Callable[[], None]) -> None:
        self.node = node
        self.state: State = "connecting"
        self.error: LabError | None = None
        self.emulator: Emulator | None = None
        self._opener = opener
        self._changed = changed
        self._outbox: SimpleQueue[bytes | tuple[int, int] | None] = SimpleQueue()
        self._size = (80, 24)
        self._closed = threading.Event()
        self._terminal: Terminal | None = None

    def start(self, columns: int, rows: int) -> None:
        """Connect in the background at this size."""
        self._size = (columns, rows)
        threading.Thread(target=self._run, name=f"terminal-{self.node}", daemon=True).start()

    def send(self, data: bytes) -> None:
        """Queue bytes for the shell. Never blocks."""
        if data and self.state == "open":
            self._outbox.put(data)

    def resize(self, columns: int, rows: int) -> None:
        """Tell emulator and shell the window's new size."""
        if (columns, rows) == self._size:
            return
        self._size = (columns, rows)
        if self.emulator is not None:
            self.emulator.resize(columns, rows)
        self._outbox.put((columns, rows))

    def close(self) -> None:
        """End the shell and both threads. Safe to repeat."""
        self._closed.set()
        self._outbox.put(None)

    def _run(self) -> None:
        from cka_kubelet.tui.emulator import Emulator  # late: the first paint must not wait for it

        size = self._size
        self.emulator = Emulator(*size)
        try:
            terminal = self._terminal = self._opener(*size)
        except LabError as err:
            self.error, self.state = err, "failed"
            self._changed()
            return
        if self._size != size:
            self.emulator.resize(*self._size)
            terminal.resize(*self._size)
        self.state = "open"
        self._changed()
        threading.Thread(target=self._write, args=(terminal,), name=f"keys-{self.node}", daemon=True).start()
        self._read(terminal, self.emulator)
        self.state = "ended"
        self._outbox.put(None)
        self._changed()

    def _read(self, terminal: Terminal, emulator: "Emulator") -> None:
        while not self._closed.is_set():
            data = terminal.read(_READ_TIMEOUT)
            if data is None:
                return
            if data:
                self.send(emulator.feed(data))
                self._changed()

    def _write(self, terminal: Terminal) -> None:
        try:
            while (item := self._outbox.get()) is not None:
                if isinstance(item, tuple):
                    terminal.resize(*item)
                else:
                    terminal.write(item)
        finally:
            terminal.close()
