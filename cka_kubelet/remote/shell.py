"""A host one can run commands on. Everything above `remote/` knows nodes only through these protocols."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

OUTPUT_LIMIT = 8 * 1024 * 1024
"""Bytes of stdout, and of stderr, kept per command; the rest is read and dropped. A node's output is hostile."""


@dataclass(frozen=True)
class Result:
    """How a command ended. `stdout` and `stderr` are raw bytes, cut at the limit (`truncated` says so)."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    @property
    def text(self) -> str:
        """stdout as text; invalid UTF-8 becomes U+FFFD."""
        return self.stdout.decode("utf-8", "replace")


class Terminal(Protocol):
    """A pseudo-terminal with a login shell at its other end. Thread-safe: one reader, any writers."""

    def read(self, timeout: float) -> bytes | None:
        """Up to 64 KiB of output; b"" when nothing came within `timeout` seconds; None when the shell has ended."""
        ...

    def write(self, data: bytes) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    def close(self) -> None: ...


class Shell(Protocol):
    """Commands and files on one node, as root. Thread-safe.

    Raises NodeUnreachableError when the connection is gone and cannot be made again, CommandError when `check` is
    true and the command's exit status is not 0.
    """

    @property
    def name(self) -> str:
        """The node's name, for messages."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float = 30.0,
        check: bool = True,
        limit: int = OUTPUT_LIMIT,
    ) -> Result:
        """Run one program. Each word of `argv` is quoted for the node's shell: nothing is ever interpolated."""
        ...

    def script(self, text: str, *, timeout: float = 60.0, check: bool = True) -> Result:
        """Run a POSIX shell script of ours (never a learner's string), sent on stdin to `sh -eu`."""
        ...

    def read_file(self, path: str, *, limit: int = OUTPUT_LIMIT) -> bytes:
        """A regular file's bytes over SFTP. Raises FileNotFoundError; NodeError for anything but a regular file."""
        ...

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection made from the node, as a socket here. Raises NodeUnreachableError."""
        ...

    def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Replace a file atomically (temporary file beside it, fsync, rename). Parent directories are made."""
        ...

    def open_terminal(self, columns: int = 80, rows: int = 24) -> Terminal:
        """A login shell on a new pseudo-terminal (TERM=xterm-256color). No agent, no X11 forwarding."""
        ...

    def close(self) -> None: ...
