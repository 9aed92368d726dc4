"""`Shell` over SSH. The only module that imports paramiko.

One connection per node carries commands and SFTP; each terminal has a connection of its own, so that a large copy
never delays a key press. The host key is compared with the one pinned when the node was made: no trust on first use,
no known_hosts of the user's, no agent, no X11, no password.
"""

import contextlib
import logging
import shlex
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from cka_kubelet.errors import CommandError, HostKeyError, NodeError, NodeUnreachableError
from cka_kubelet.remote.shell import OUTPUT_LIMIT, Result, Terminal

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its tracebacks are ours to word, as errors below

_CHANNELS = 8  # sshd allows 10 sessions a connection (MaxSessions); SFTP needs one of them
_WRITE_SCRIPT = (
    'umask 077; mkdir -p -- "$(dirname -- "$1")"; t=$(mktemp -- "$1.XXXXXX"); trap \'rm -f -- "$t"\' EXIT; '
    'cat >"$t"; chmod "$2" "$t"; sync "$t"; mv -fT -- "$t" "$1"; trap - EXIT'
)
_SFTP_SERVERS = "/usr/lib/openssh/sftp-server"


@dataclass(frozen=True)
class SSHTarget:
    """Where a node's sshd is and how to know that it is the right one.

    `host_key` is `type base64`, as in a .pub file. `sudo`: the user is not root, so commands run through `sudo -n`.
    """

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str
    sudo: bool = False

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def _check_host_key(name: str, target: SSHTarget, seen: paramiko.PKey) -> None:
    if target.host_key.split()[:2] != [seen.get_name(), seen.get_base64()]:
        raise HostKeyError(
            f"node {name} ({target}) shows another {seen.get_name()} host key than the one pinned when it was made",
            "Made it anew yourself? `cka-kubelet nodes destroy` forgets it. Otherwise somebody answers in its place.",
        )


def _connect(name: str, target: SSHTarget, timeout: float) -> paramiko.Transport:
    """An authenticated transport. Raises NodeUnreachableError, HostKeyError."""
    try:
        sock = socket.create_connection((target.host, target.port), timeout=timeout)
    except OSError as err:
        raise NodeUnreachableError(
            f"node {name} ({target}) cannot be reached: {err.strerror or err}",
            "Is it running? `cka-kubelet nodes` shows what exists, `cka-kubelet doctor` what is wrong.",
        ) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a short command waits 40 ms for a delayed ACK
    transport = paramiko.Transport(sock)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    transport.daemon = True
    try:
        # Ask for the pinned key's own type, so that a node with several host keys shows the right one.
        options = transport.get_security_options()
        kind = target.host_key.split()[0]
        options.key_types = [kind] if kind in options.key_types else options.key_types
        transport.start_client(timeout=timeout)
        _check_host_key(name, target, transport.get_remote_server_key())
        transport.auth_publickey(target.user, paramiko.Ed25519Key.from_private_key_file(str(target.key_file)))
        transport.set_keepalive(15)
    except HostKeyError:
        transport.close()
        raise
    except paramiko.AuthenticationException:
        transport.close()
        raise NodeUnreachableError(
            f"node {name} ({target}) refuses the key {target.key_file}",
            f"Put {target.key_file}.pub into the user's ~/.ssh/authorized_keys there, or make the node anew.",
        ) from None
    except (paramiko.SSHException, EOFError, OSError) as err:
        transport.close()
        raise NodeUnreachableError(
            f"node {name} ({target}): SSH could not be agreed: {err or type(err).__name__}",
            "If it has just started, try again; otherwise look at `journalctl -u ssh` there.",
        ) from None
    return transport


def seen_host_key(host: str, port: int, timeout: float = 10.0) -> str:
    """The host key an sshd shows, `type base64`, for asking a person whether it is the right one. Nobody logs in."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as sock:
            transport = paramiko.Transport(sock)
            transport.daemon = True
            transport.banner_timeout = transport.handshake_timeout = timeout
            try:
                transport.start_client(timeout=timeout)
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (paramiko.SSHException, EOFError, OSError) as err:
        raise NodeUnreachableError(
            f"{host}:{port} cannot be reached by SSH: {err or type(err).__name__}",
            "Is the host up, and is sshd running?",
        ) from None
    return f"{key.get_name()} {key.get_base64()}"


class SSHTerminal(Terminal):
    """Root's login shell on a pseudo-terminal over a connection of its own; by sudo when we log in as another user."""

    def __init__(self, transport: paramiko.Transport, columns: int, rows: int, *, sudo: bool) -> None:
        self._transport = transport
        # A small window: what is under way when Ctrl-C is pressed is what one waits for under a flood of output.
        self._channel = transport.open_session(window_size=131072, max_packet_size=32768, timeout=10)
        self._channel.get_pty("xterm-256color", columns, rows)
        if sudo:
            self._channel.exec_command("exec sudo -n -i")
        else:
            self._channel.invoke_shell()

    def read(self, timeout: float) -> bytes | None:
        self._channel.settimeout(timeout)
        try:
            return self._channel.recv(65536) or None
        except TimeoutError:
            return b""
        except OSError:
            return None

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a shell that has ended is reported by read()
            self._channel.settimeout(None)
            self._channel.sendall(data)

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(OSError, paramiko.SSHException):
            self._channel.resize_pty(columns, rows)

    def close(self) -> None:
        self._channel.close()
        self._transport.close()


class SSHShell:
    """`Shell` on a node reached by SSH. Connects on first use and again after a lost connection."""

    def __init__(self, name: str, target: SSHTarget, *, connect_timeout: float = 10.0) -> None:
        self._name = name
        self._target = target
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_CHANNELS)
        self._transport: paramiko.Transport | None = None

    @property
    def name(self) -> str:
        return self._name

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float = 30.0,
        check: bool = True,
        limit: int = OUTPUT_LIMIT,
    ) -> Result:
        words = [*(["sudo", "-n", "--"] if self._target.sudo else []), *argv]
        with self._session() as channel:
            try:
                channel.exec_command(shlex.join(words))
                result = _finish(channel, tuple(argv), input, timeout, limit)
            except TimeoutError:
                raise CommandError(
                    f"{self._name}: `{shlex.join(argv)}` did not end within {timeout:g} s",
                    "The node may be overloaded or the program hung; look at it with `cka-kubelet nodes shell`.",
                ) from None
            except (paramiko.SSHException, EOFError, OSError) as err:
                raise self._lost(err) from None
        if check and not result.ok:
            said = (result.stderr or result.stdout).decode("utf-8", "replace").strip()
            raise CommandError(
                f"{self._name}: `{_short(argv)}` ended with status {result.returncode}: {_printable(said)[-400:]}"
            )
        return result

    def script(self, text: str, *, timeout: float = 60.0, check: bool = True) -> Result:
        return self.run(["sh", "-eu"], input=text.encode(), timeout=timeout, check=check)

    def read_file(self, path: str, *, limit: int = OUTPUT_LIMIT) -> bytes:
        with self._session() as channel:
            try:
                sftp = self._sftp(channel)
                about = sftp.lstat(path)
                if about.st_mode is None or not stat.S_ISREG(about.st_mode):
                    raise NodeError(f"{self._name}: {path} is not a regular file", "Put the file itself in its place.")
                if (about.st_size or 0) > limit:
                    raise NodeError(f"{self._name}: {path} has {about.st_size} bytes; at most {limit} are fetched")
                with sftp.open(path, "rb") as file:
                    file.prefetch(about.st_size)
                    return file.read(limit)
            except FileNotFoundError:
                raise FileNotFoundError(f"{self._name}: {path}") from None
            except (paramiko.SSHException, EOFError) as err:
                raise self._lost(err) from None
            except OSError as err:
                raise NodeError(f"{self._name}: {path} cannot be read: {err.strerror or err}") from None

    def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self.run(["sh", "-euc", _WRITE_SCRIPT, "sh", path, f"{mode:04o}"], input=data, timeout=120)

    def open_terminal(self, columns: int = 80, rows: int = 24) -> Terminal:
        transport = _connect(self._name, self._target, self._connect_timeout)
        try:
            return SSHTerminal(transport, columns, rows, sudo=self._target.sudo)
        except (paramiko.SSHException, EOFError, OSError) as err:
            transport.close()
            raise self._lost(err) from None

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection made from the node, as a socket here. Raises NodeUnreachableError."""
        channel = self._open_channel("direct-tcpip", (host, port))
        here, there = socket.socketpair()
        for carry in (_carry_in, _carry_out):
            threading.Thread(target=carry, args=(channel, there), name=f"{self._name}-{port}", daemon=True).start()
        return here

    def close(self) -> None:
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def _lost(self, err: Exception) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"node {self._name} ({self._target}): the connection was lost: {err or type(err).__name__}",
            "If the node is restarting, wait a moment and try again.",
        )

    @contextlib.contextmanager
    def _session(self) -> Iterator[paramiko.Channel]:
        with self._slots:
            channel = self._open_channel()
            try:
                yield channel
            finally:
                channel.close()

    def _open_channel(self, kind: str = "session", to: tuple[str, int] | None = None) -> paramiko.Channel:
        for attempt in (1, 2):  # a connection that died while idle shows only when it is used
            with self._lock:
                if self._transport is None or not self._transport.is_active():
                    self._transport = _connect(self._name, self._target, self._connect_timeout)
                transport = self._transport
            try:
                return transport.open_channel(kind, to, ("127.0.0.1", 0) if to else None, timeout=self._connect_timeout)
            except paramiko.ChannelException as err:
                raise self._lost(err) from None  # the connection is fine; what was asked of it is refused
            except (paramiko.SSHException, EOFError, OSError) as err:
                transport.close()
                if attempt == 2:
                    raise self._lost(err) from None
        raise AssertionError("unreachable")

    def _sftp(self, channel: paramiko.Channel) -> paramiko.SFTPClient:
        if self._target.sudo:
            channel.exec_command(f"sudo -n {_SFTP_SERVERS}")
        else:
            channel.invoke_subsystem("sftp")
        return paramiko.SFTPClient(channel)


def _carry_in(channel: paramiko.Channel, sock: socket.socket) -> None:
    """Node → here, until either side ends."""
    with contextlib.suppress(OSError):
        while piece := channel.recv(65536):
            sock.sendall(piece)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def _carry_out(channel: paramiko.Channel, sock: socket.socket) -> None:
    """Here → node; the last one out closes both."""
    with contextlib.suppress(OSError):
        while piece := sock.recv(65536):
            channel.sendall(piece)
    channel.close()
    sock.close()


def _finish(channel: paramiko.Channel, argv: tuple[str, ...], data: bytes, timeout: float, limit: int) -> Result:
    """Feed stdin and drain both outputs at once until the command ends. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    stdout, stderr, cut = bytearray(), bytearray(), threading.Event()
    readers = [
        threading.Thread(target=_drain, args=(receive, into, limit, cut), daemon=True)
        for receive, into in ((channel.recv, stdout), (channel.recv_stderr, stderr))
    ]
    for thread in (*readers, threading.Thread(target=_feed, args=(channel, data), daemon=True)):
        thread.start()
    for thread in readers:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise TimeoutError
    if not channel.status_event.wait(max(0.1, deadline - time.monotonic())):
        raise TimeoutError
    code = channel.recv_exit_status()
    if code == -1 and not (channel.transport and channel.transport.is_active()):
        raise EOFError("the connection closed before the command ended")
    return Result(argv, code, bytes(stdout), bytes(stderr), cut.is_set())


def _drain(receive: Callable[[int], bytes], into: bytearray, limit: int, cut: threading.Event) -> None:
    """Read to the end, keep the first `limit` bytes: a node that never stops printing must not fill our memory."""
    with contextlib.suppress(OSError):
        while piece := receive(65536):
            room = limit - len(into)
            into += piece[:room]
            if len(piece) > room:
                cut.set()


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a program may end before it has read everything; its status tells
        channel.sendall(data)
        channel.shutdown_write()


def _short(argv: Sequence[str]) -> str:
    line = shlex.join(argv)
    return line if len(line) <= 120 else line[:117] + "…"


def _printable(text: str) -> str:
    """Node output inside a message of ours: control characters (terminal escapes) are shown, not sent."""
    return "".join(c if c.isprintable() or c in "\n " else f"\\x{ord(c):02x}" for c in text)
