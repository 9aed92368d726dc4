"""HTTP/1.1 server on asyncio and h11: keep-alive, streamed bodies, upgrades, client certificates.

A handler gets a `Request` and gives a `Response`, or a `Hijack` to take the raw connection over (SPDY, WebSocket).
A streamed body is closed as soon as the client goes away.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

import h11

from cka_kubelet.kube import klog, sslbuffers, tlsserver
from cka_kubelet.kube.tlsserver import PeerCertificate

_READ = 65536
_MAX_HEAD = 1 << 20  # net/http's DefaultMaxHeaderBytes
_HEAD_SECONDS = 32.0  # k8s.io/apiserver's ReadHeaderTimeout
_IDLE_SECONDS = 90.0
_TLS_SECONDS = 10.0
_PLAIN_ON_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_INTERNAL_ERROR_ALERT = b"\x15\x03\x03\x00\x02\x02\x50"
"""A fatal alert, as TLS 1.2 and 1.3 send it before any key: asyncio closes without sending OpenSSL's own."""
_TLS_HANDSHAKE = 0x16

Headers = list[tuple[str, str]]


class BodyTooLargeError(Exception):
    """The request's body is longer than the handler wants to read; `limit` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body is longer than {limit} bytes")
        self.limit = limit


@dataclass(slots=True)
class Request:
    """One request. `path` is decoded; header names are lower case; `peer` is None without a verified certificate."""

    method: str
    path: str
    query: dict[str, list[str]]
    raw_query: str
    headers: Headers
    peer: PeerCertificate | None
    remote: str
    bad_certificate: str
    _read: Callable[[int], Awaitable[bytes]]
    raw_path: str = ""

    def header(self, name: str) -> str:
        """First value of a header (lower-case name), "" when absent."""
        return next((value for key, value in self.headers if key == name), "")

    def arg(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        return self.query.get(name, [default])[0]

    async def read(self, limit: int = 3 << 20) -> bytes:
        """The whole body. Raises BodyTooLargeError beyond `limit` bytes."""
        return await self._read(limit)


@dataclass(slots=True)
class Response:
    """An answer. A body that is an iterator is sent chunk by chunk, each flushed at once."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | AsyncIterator[bytes] = b""


@dataclass(slots=True)
class Hijack:
    """Take over the connection: `callback` writes everything, the status line included; closed when it returns."""

    callback: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


Handler = Callable[[Request], Awaitable[Response | Hijack]]


@dataclass
class Server:
    """A listening server. `port` is the real one when 0 was asked for.

    `tls_problem` gives why no handshake can be done now, None when it can; clients then get TLS's internal_error.
    """

    sock: socket.socket
    handler: Handler
    ssl_context: ssl.SSLContext | None
    tls_problem: Callable[[], str | None] = lambda: None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _accepting: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.sock.getsockname()[1])

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """As asyncio.Server has it."""
        return (self.sock,)

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Stop accepting and drop every connection."""
        for task in (self._accepting, *self._tasks):
            if task is not None:
                task.cancel()
        self.sock.close()

    async def wait_closed(self) -> None:
        """Until every connection's task has ended."""
        await asyncio.gather(*(task for task in (self._accepting, *self._tasks) if task), return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(self.sock)
            except OSError as error:
                klog.error("server.go:3495", "http: Accept error", err=error)
                await asyncio.sleep(0.1)  # out of descriptors: Go waits as well (5 ms to 1 s)
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._connection(client, str(address[0]), int(address[1])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connection(self, client: socket.socket, remote: str, port: int) -> None:
        try:
            opened = await self._open(client)
        except (OSError, ssl.SSLError, TimeoutError, EOFError) as error:
            host = remote.removeprefix("::ffff:")
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            reason = tlsserver.handshake_problem(error)
            klog.raw("I", "log.go:245", f"http: TLS handshake error from {where}: {reason}")
            opened = None
        if opened is None:
            client.close()
            return
        reader, writer = opened
        try:
            await _Session(self.handler, reader, writer, remote).run()
        except (OSError, EOFError, TimeoutError, h11.ProtocolError):
            pass  # the client went away
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _open(self, client: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection's streams, TLS done; None when plain HTTP came to the TLS port (and was answered)."""
        loop = asyncio.get_running_loop()
        if self.ssl_context is not None:
            async with asyncio.timeout(_TLS_SECONDS):
                first = await _peek(client)
            if not first:
                return None
            if first[0] != _TLS_HANDSHAKE:
                await loop.sock_recv(client, _READ)  # or the answer is lost to a reset
                await loop.sock_sendall(client, _PLAIN_ON_TLS)
                return None
            problem = self.tls_problem()
            if problem is not None:
                await loop.sock_recv(client, _READ)
                await loop.sock_sendall(client, _INTERNAL_ERROR_ALERT)
                raise EOFError(problem)
        reader = asyncio.StreamReader(limit=_READ)
        protocol = asyncio.StreamReaderProtocol(reader)
        timeout = _TLS_SECONDS if self.ssl_context is not None else None
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, client, ssl=self.ssl_context, ssl_handshake_timeout=timeout
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _peek(client: socket.socket) -> bytes:
    """The first byte, left in the socket's buffer."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_reader(client, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(client)


class _Session:
    """Requests of one connection, one after the other."""

    def __init__(
        self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: str
    ) -> None:
        self._handler = handler
        self._reader = reader
        self._writer = writer
        self._remote = remote
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._peer, self._bad_certificate = tlsserver.peer_certificate(writer)

    async def run(self) -> None:
        wait = _HEAD_SECONDS
        while True:
            try:
                async with asyncio.timeout(wait):
                    event = await self._next_event()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint)
                return
            if not isinstance(event, h11.Request):
                return
            answer = await self._handler(self._request(event))
            if isinstance(answer, Hijack):
                await self._hijack(answer)
                return
            try:
                await self._send(answer, event.method == b"HEAD")
                await self._skip_body()
                self._h11.start_next_cycle()
            except h11.LocalProtocolError:
                return  # one of the two wants the connection closed
            wait = _IDLE_SECONDS

    async def _next_event(self) -> object:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._writer.write(self._h11.send(go_on))
            self._h11.receive_data(await self._reader.read(_READ))

    def _request(self, event: h11.Request) -> Request:
        raw_path, _, raw_query = event.target.decode("latin-1").partition("?")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        return Request(
            method=event.method.decode("ascii"),
            path=unquote(raw_path),
            query=parse_qs(raw_query, keep_blank_values=True),
            raw_query=raw_query,
            headers=headers,
            peer=self._peer,
            remote=self._remote,
            bad_certificate=self._bad_certificate,
            _read=self._read_body,
            raw_path=raw_path,
        )

    async def _read_body(self, limit: int) -> bytes:
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > limit:
                    raise BodyTooLargeError(limit)
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            else:
                raise EOFError  # noqa: TRY004  # not a wrong type: the client hung up

    async def _skip_body(self) -> None:
        """Read past a body that the handler left, up to a point; beyond that the connection is not reused."""
        left = 256 * 1024
        while self._h11.their_state is h11.SEND_BODY and left > 0:
            event = await self._next_event()
            left -= len(event.data) if isinstance(event, h11.Data) else 0
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return

    async def _send(self, answer: Response, head_only: bool) -> None:
        headers = [*answer.headers, ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))]
        body = answer.body
        if isinstance(body, bytes):
            headers.append(("content-length", str(len(body))))
        self._writer.write(self._h11.send(h11.Response(status_code=answer.status, headers=headers)))
        if isinstance(body, bytes):
            if body and not head_only:
                self._writer.write(self._h11.send(h11.Data(data=body)))
        else:
            await self._writer.drain()
            await self._stream(body)
        self._writer.write(self._h11.send(h11.EndOfMessage()))
        await self._writer.drain()

    async def _stream(self, body: AsyncIterator[bytes]) -> None:
        sending = asyncio.create_task(self._send_chunks(body))
        watching = asyncio.create_task(self._client_gone())
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise EOFError
            sending.result()
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)
            closer = getattr(body, "aclose", None)
            if closer is not None:
                await closer()

    async def _send_chunks(self, body: AsyncIterator[bytes]) -> None:
        async for chunk in body:
            if chunk:
                self._writer.write(self._h11.send(h11.Data(data=chunk)))
                await self._writer.drain()

    async def _client_gone(self) -> None:
        """Returns when the client has closed; what it sends meanwhile is kept for the next request."""
        held = 0
        while held < _MAX_HEAD:
            data = await self._reader.read(_READ)
            if not data:
                return
            held += len(data)
            self._h11.receive_data(data)

    async def _hijack(self, answer: Hijack) -> None:
        leftover, _ = self._h11.trailing_data
        if leftover:
            # Nobody sends more before the 101 that the callback is about to write, so the buffer behind is empty.
            self._reader.feed_data(leftover)
        await answer.callback(self._reader, self._writer)

    async def _refuse(self, status: int) -> None:
        text = f"{status} Bad Request".encode()
        self._writer.write(b"HTTP/1.1 " + text + b"\r\nContent-Type: text/plain; charset=utf-8\r\n")
        self._writer.write(b"Connection: close\r\n\r\n" + text)
        await self._writer.drain()


async def serve(
    handler: Handler,
    host: str | None,
    port: int,
    ssl_context: ssl.SSLContext | None = None,
    *,
    backlog: int = 128,
    tls_problem: Callable[[], str | None] = lambda: None,
) -> Server:
    """Listen on `host`:`port` (0: any free one; host None, "" or "::": every address) and answer with `handler`.

    Raises OSError when the port is taken. `tlsserver.server_context` makes a fitting `ssl_context`.
    """
    sslbuffers.small()
    server = Server(_listen(host or "::", port, backlog), handler, ssl_context, tls_problem)
    server.start()
    return server


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if host in ("::", "0.0.0.0"):  # noqa: S104  # Go listens on both families for either
        family, host = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "")
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        family, host = socket.AF_INET, ""
        sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
