"""A terminal whose output is also evidence."""

from cka_kubelet.remote.shell import Terminal
from cka_kubelet.sessions.recorder import Stream


class RecordedTerminal(Terminal):
    """Passes everything through and shows the recorder what the learner sees. `stream` knows of prompts."""

    def __init__(self, inner: Terminal, stream: Stream) -> None:
        self._inner = inner
        self.stream = stream

    def read(self, timeout: float) -> bytes | None:
        data = self._inner.read(timeout)
        if data:
            self.stream.feed(data)
        return data

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def resize(self, columns: int, rows: int) -> None:
        self._inner.resize(columns, rows)

    def close(self) -> None:
        self._inner.close()
