"""exec, attach, port-forward: byte streams through the runtime's streaming server."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import struct
import sys
import termios
import threading
import tty
from collections.abc import Awaitable, Callable, Iterator

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.crictl import log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.containers import failures, listed
from cka_kubelet.crictl.errors import Failure, ShowHelp, join, wrap
from cka_kubelet.crictl.spdy import Connection, Stream

_PROTOCOL = "v4.channel.k8s.io"
_SELECTORS = ("name", "pod", "image", "state", "label", "latest", "last")


async def execute(context: Context) -> None:
    """crictl exec"""
    if not context.args:
        raise ShowHelp
    runtime, images = await context.runtime(), await context.images()
    quiet = context.get("quiet")
    if context.get("ignore-errors") and not quiet:
        log.warning("The `--ignore-errors` option has been set all errors returned by the command will be ignored.")
    ids, command, announce = context.args[:1], context.args[1:], False
    if context.given(*_SELECTORS):
        with wrap("listing containers"):
            ids = [c.id for c in await listed(context, runtime, images)]
        command, announce = context.args, not quiet and not context.get("parallel")
        if not ids:
            log.error("No containers found per filter flags")
            raise ShowHelp
    elif not command:
        raise ShowHelp
    errors = await failures(*(_execute(context, runtime, container_id, command, announce) for container_id in ids))
    if not context.get("ignore-errors"):
        join(errors)


async def _execute(context: Context, runtime: CRIClient, container_id: str, command: list[str], announce: bool) -> None:
    if announce:
        print(f"{container_id}:", flush=True)
    if context.get("sync"):
        with wrap(f"execing command in container {container_id} synchronously"):
            answer = await runtime.exec_sync(container_id, command, context.get("timeout"))
            if answer.exit_code:
                words, error = " ".join(command), answer.stderr.decode("utf-8", "replace")
                raise Failure(f"command '{words}' exited with {answer.exit_code}: {error}")
        for data in (answer.stdout, answer.stderr):
            sys.stdout.buffer.write(data + b"\n")
        return
    terminal, stdin = context.get("tty"), context.get("interactive")
    request = pb.ExecRequest(
        container_id=container_id, cmd=command, tty=terminal, stdin=stdin, stdout=True, stderr=not terminal
    )
    with wrap(f"execing command in container {container_id}"):
        await _stream(await runtime.exec(request), stdin=stdin, terminal=terminal)


async def attach(context: Context) -> None:
    """crictl attach"""
    if not context.args or not context.args[0]:
        raise Failure("ID cannot be empty")
    if len(context.args) != 1:
        raise ShowHelp
    runtime = await context.runtime()
    terminal, stdin = context.get("tty"), context.get("stdin")
    request = pb.AttachRequest(
        container_id=context.args[0], tty=terminal, stdin=stdin, stdout=True, stderr=not terminal
    )
    with wrap("attaching running container failed"):
        await _stream(await runtime.attach(request), stdin=stdin, terminal=terminal)


async def _stream(url: str, *, stdin: bool, terminal: bool) -> None:
    """Copy this process's streams to and from the URL until the command has ended. Raises Failure when it failed."""
    if terminal and not stdin:
        raise Failure("tty=true must be specified with interactive=true")
    if terminal and not sys.stdin.isatty():
        raise Failure("input is not a terminal")
    connection = await Connection.open(_complete(url), _PROTOCOL)
    reading = asyncio.create_task(connection.run())
    with _raw_terminal() if terminal else contextlib.nullcontext():
        try:
            await _copy(connection, stdin=stdin, terminal=terminal)
        finally:
            connection.close()
            reading.cancel()


def _complete(url: str) -> str:
    """A URL without host is the kubelet's to serve."""
    return url if "://" in url else f"http://127.0.0.1:10250{url}"


async def _copy(connection: Connection, *, stdin: bool, terminal: bool) -> None:
    error = await connection.stream({"streamtype": "error"})
    feeder = None
    if stdin:
        feeder = asyncio.create_task(_feed(await connection.stream({"streamtype": "stdin"})))
    outputs = [_drain(await connection.stream({"streamtype": "stdout"}), 1)]
    if terminal:
        await _send_sizes(await connection.stream({"streamtype": "resize"}))
    else:
        outputs.append(_drain(await connection.stream({"streamtype": "stderr"}), 2))
    try:
        message, *_ = await asyncio.gather(_collect(error), *outputs)
    finally:
        if feeder is not None:
            feeder.cancel()
    _check(message)


async def _collect(stream: Stream) -> bytes:
    parts = b""
    while (data := await stream.data.get()) is not None:
        parts += data[: 1 << 20]
    return parts


async def _drain(stream: Stream, fd: int) -> bytes:
    while (data := await stream.data.get()) is not None:
        while data:
            data = data[os.write(fd, data) :]
    return b""


def _check(message: bytes) -> None:
    """The error stream's Status: nothing or Success when all went well (remotecommand v4)."""
    if not message:
        return
    try:
        status = json.loads(message)
        causes = {c.get("reason"): c.get("message") for c in (status.get("details") or {}).get("causes") or []}
    except (ValueError, AttributeError):
        raise Failure(message.decode("utf-8", "replace")) from None
    if status.get("status") == "Success":
        return
    if status.get("reason") == "NonZeroExitCode" and causes.get("ExitCode"):
        raise Failure(f"command terminated with exit code {causes['ExitCode']}")
    raise Failure(str(status.get("message", "")))


async def _feed(stream: Stream) -> None:
    """Standard input to the stream. A thread reads, because regular files and pipes cannot all be polled."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes]()
    room = threading.Semaphore(16)

    def read() -> None:
        data = b"x"
        while data:
            room.acquire()
            try:
                data = os.read(0, 32768)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop is gone: the program is ending
                loop.call_soon_threadsafe(queue.put_nowait, data)

    threading.Thread(target=read, daemon=True).start()
    while data := await queue.get():
        await stream.write(data)
        room.release()
    await stream.finish()


def _terminal_size() -> bytes:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8))
    return json.dumps({"Width": columns, "Height": rows}).encode() + b"\n"


async def _send_sizes(stream: Stream) -> None:
    """The terminal's size now, and at each change."""
    tasks: set[asyncio.Task[None]] = set()

    def send() -> None:
        task = asyncio.create_task(stream.write(_terminal_size()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, send)
    await stream.write(_terminal_size())


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


async def port_forward(context: Context) -> None:
    """crictl port-forward"""
    if len(context.args) < 2:
        raise ShowHelp
    runtime = await context.runtime()
    pod_id, *specifications = context.args
    ports = [_ports(text) for text in specifications]
    with wrap("port forward"):
        if not pod_id:
            raise Failure("ID cannot be empty")
        url = await runtime.port_forward(pb.PortForwardRequest(pod_sandbox_id=pod_id))
        connection = await Connection.open(_complete(url), "portforward.k8s.io")
        with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is the usual end
            await _forward(connection, ports)


def _ports(text: str) -> tuple[int, int]:
    local, _, remote = text.rpartition(":")
    if not remote.isdigit() or not (local or "0").isdigit() or not 0 < int(remote) < 65536:
        raise Failure(f"port forward: invalid port format '{text}'")
    return int(local or (0 if ":" in text else remote)), int(remote)


async def _forward(connection: Connection, ports: list[tuple[int, int]]) -> None:
    numbers = iter(range(1 << 31))

    def handler(remote: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            print(f"Handling connection for {writer.get_extra_info('sockname')[1]}", flush=True)
            headers = {"port": str(remote), "requestid": str(next(numbers))}
            error = await connection.stream({"streamtype": "error", **headers})
            await error.finish()
            await _relay(await connection.stream({"streamtype": "data", **headers}), reader, writer)

        return serve

    for local, remote in ports:
        try:
            server = await asyncio.start_server(handler(remote), "127.0.0.1", local)
        except OSError as e:
            reason = f"bind: {os.strerror(e.errno or 0).lower()}"
            problem = f"Listeners failed to create with the following errors: [listen tcp4 127.0.0.1:{local}: {reason}]"
            raise Failure(f"unable to listen on any of the requested ports: {problem}") from e
        local = server.sockets[0].getsockname()[1]
        print(f"Forwarding from 127.0.0.1:{local} -> {remote}", flush=True)
    await connection.run()
    raise Failure("lost connection to pod")


async def _relay(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def upload() -> None:
        while data := await reader.read(32768):
            await stream.write(data)
        await stream.finish()

    sending = asyncio.create_task(upload())
    try:
        while (data := await stream.data.get()) is not None:
            writer.write(data)
            await writer.drain()
    except OSError:
        return  # the local client is gone
    finally:
        sending.cancel()
        writer.close()
