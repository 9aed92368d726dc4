"""One HTTP/2 connection, with many gRPC streams on it. Error texts are grpc-go 1.7x's."""

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote_to_bytes

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes

from cka_kubelet.cri.errors import CODES, ConnectError, RpcError, quote

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one received message; upstream's CRI client sets the same limit."""

PREFACE_TIMEOUT = 10.0
"""Seconds in which a server that accepted must send its SETTINGS; upstream's kubelet was seen to give up after 10."""

_RST_CODES = {
    ErrorCodes.REFUSED_STREAM: "Unavailable",
    ErrorCodes.CANCEL: "Canceled",
    ErrorCodes.FLOW_CONTROL_ERROR: "ResourceExhausted",
    ErrorCodes.ENHANCE_YOUR_CALM: "ResourceExhausted",
    ErrorCodes.INADEQUATE_SECURITY: "PermissionDenied",
    ErrorCodes.HTTP_1_1_REQUIRED: "Internal",
    ErrorCodes.STREAM_CLOSED: "Unknown",
    ErrorCodes.CONNECT_ERROR: "Internal",
    ErrorCodes.COMPRESSION_ERROR: "Internal",
    ErrorCodes.FRAME_SIZE_ERROR: "Internal",
    ErrorCodes.PROTOCOL_ERROR: "Internal",
    ErrorCodes.INTERNAL_ERROR: "Internal",
    ErrorCodes.NO_ERROR: "Internal",
    ErrorCodes.SETTINGS_TIMEOUT: "Internal",
}
_HTTP_CODES = {400: "Internal", 401: "Unauthenticated", 403: "PermissionDenied", 404: "Unimplemented"} | dict.fromkeys(
    (429, 502, 503, 504), "Unavailable"
)


_NO_HTTP2 = (
    "http2: failed reading the frame payload: http2: frame too large, note that the frame header looked like an "
    "HTTP/1.1 header"
)


class Stream:
    """One call: messages in, and at the end a status. Feed methods are the connection's; callers use `message()`."""

    __slots__ = ("_buffer", "_messages", "_waiter", "error", "finished", "id", "last", "outgoing")

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.outgoing = memoryview(b"")
        self.last = False
        self.finished = False
        self.error: RpcError | None = None
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    async def message(self) -> bytes | None:
        """The next message; None at the end of a call that went well. Raises RpcError as soon as the call failed."""
        while not self._messages:
            if self.error is not None:
                raise self.error
            if self.finished:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._messages.popleft()

    def feed(self, data: bytes) -> None:
        """Raw DATA bytes; cuts them into messages. Raises RpcError on what no gRPC server would send."""
        self._buffer += data
        while len(self._buffer) >= 5:
            if self._buffer[0] == 1:
                raise RpcError("Internal", "grpc: compressed flag set with identity or empty encoding")
            if self._buffer[0] > 1:
                raise RpcError("Internal", f"grpc: received unexpected payload format {self._buffer[0]}")
            size = int.from_bytes(self._buffer[1:5], "big")
            if size > MAX_MESSAGE:
                raise RpcError(
                    "ResourceExhausted", f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE})"
                )
            if len(self._buffer) < size + 5:
                return
            self._messages.append(bytes(self._buffer[5 : size + 5]))
            del self._buffer[: size + 5]
            self._wake()

    def finish(self, error: RpcError | None) -> None:
        """No more messages will come."""
        if not self.finished:
            self.finished, self.error = True, error
            self._buffer.clear()
            self.outgoing = memoryview(b"")
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """A live HTTP/2 connection. Make one with `Connection.open`; `closed` becomes true once and for ever."""

    def __init__(
        self, route: str, on_close: Callable[["Connection"], None], authority: str = "localhost", scheme: str = "http"
    ) -> None:
        self.closed = False
        self.heard = 0.0
        """When the server last sent something, on the loop's clock."""
        self._route = route
        self._origin = [(":scheme", scheme), (":authority", authority)]
        self._on_close = on_close
        self._streams: dict[int, Stream] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._goaway = ""
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)

    @classmethod
    async def open(cls, path: str, on_close: Callable[["Connection"], None]) -> "Connection":
        """Dial and wait for the server's SETTINGS. Raises ConnectError in grpc-go's words."""
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(lambda: cls(f"unix @->{path}", on_close), path)
        except OSError as e:
            text = os.strerror(e.errno).lower() if e.errno else str(e)
            raise ConnectError(f"transport: Error while dialing: dial unix {path}: connect: {text}") from None
        await connection.greeted()
        return connection

    async def greeted(self) -> None:
        """Wait for the server's SETTINGS. Raises ConnectError; the connection is closed then."""
        try:
            async with asyncio.timeout(PREFACE_TIMEOUT):
                await self._ready
        except asyncio.CancelledError:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise ConnectError(
                f"error reading server preface: read {self._route}: use of closed network connection"
            ) from None

    def start(self, path: str, message: bytes, timeout: float | None, *, last: bool = True) -> Stream:
        """Send a request message on a new stream. `timeout` goes into grpc-timeout, seconds.

        Without `last` more messages may follow, with `send`.
        """
        headers = [
            (":method", "POST"),
            (":path", path),
            *self._origin,
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-python-h2"),
            ("te", "trailers"),
        ]
        if timeout is not None:
            headers.append(("grpc-timeout", _grpc_timeout(timeout)))
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers)
        except h2.exceptions.H2Error as e:
            raise RpcError("Unavailable", str(e)) from None
        stream = self._streams[stream_id] = Stream(stream_id)
        self.send(stream, message, last=last)
        return stream

    def send(self, stream: Stream, message: bytes, *, last: bool = False) -> None:
        """Send one more message on a stream that was started without `last`."""
        frame = b"\0" + len(message).to_bytes(4, "big") + message
        stream.outgoing, stream.last = memoryview(bytes(stream.outgoing) + frame), last
        self._send(stream)
        self._flush()

    def ping(self) -> None:
        """Ask the server for a sign of life; `heard` moves when it comes."""
        self._h2.ping(b"cka-ping")
        self._flush()

    def cancel(self, stream: Stream) -> None:
        """Give up on a call; the server is told."""
        if self._streams.pop(stream.id, None) is not None and not self.closed:
            self._reset(stream.id, ErrorCodes.CANCEL)
            self._flush()

    def close(self) -> None:
        """Close at once. Calls in flight fail."""
        self.fail("transport is closing")

    def lost(self, reason: str) -> None:
        """The connection has ended; `reason` is what reading from it gave."""
        self.fail(f"{'error reading from server' if self._ready.done() else 'error reading server preface'}: {reason}")

    def hung_up(self) -> bool:
        """Whether the server has closed, told or not: grpc-go's reader knows before the next call can be sent."""
        if not self.closed and self._poll is not None and self._poll.poll(0):
            self.fail("error reading from server: EOF")
        return self.closed

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        if not self._ready.done() and data.startswith(b"HTTP/"):
            self.fail(f"error reading server preface: {_NO_HTTP2}")
            return
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except Exception as e:  # h2, hpack and hyperframe raise many kinds on hostile bytes; each ends the connection
            self.lost(str(e))
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "EOF"  # also after a write that failed: grpc-go leaves the word to its reader
        if isinstance(exc, OSError) and exc.errno and not isinstance(exc, BrokenPipeError):
            reason = f"read {self._route}: read: {os.strerror(exc.errno).lower()}"
        self.lost(reason)

    # events

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            if not self._ready.done():
                self._ready.set_result(None)
            self._send_all()
        elif isinstance(event, h2.events.WindowUpdated):
            self._send_all()
        elif isinstance(event, h2.events.DataReceived):
            self._data(event)
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            headers = dict(cast(list[tuple[str, str]], event.headers))  # str because of header_encoding
            self._headers(event.stream_id, headers, isinstance(event, h2.events.ResponseReceived))
        elif isinstance(event, h2.events.StreamEnded):
            self._end(event.stream_id, RpcError("Internal", "server closed the stream without sending trailers"))
        elif isinstance(event, h2.events.StreamReset):
            self._end(event.stream_id, _reset_error(event.error_code))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._terminated(event)

    def _terminated(self, event: h2.events.ConnectionTerminated) -> None:
        code = event.error_code
        self._goaway = f"code: {code.name if isinstance(code, ErrorCodes) else code}"
        if event.additional_data:
            self._goaway += f", debug data: {quote(event.additional_data.decode('utf-8', 'replace'))}"
        self.fail("error reading from server: EOF")

    def _data(self, event: h2.events.DataReceived) -> None:
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            try:
                stream.feed(event.data)
            except RpcError as e:
                self._end(stream.id, e)
                self._reset(stream.id, ErrorCodes.CANCEL)

    def _headers(self, stream_id: int, headers: dict[str, str], first: bool) -> None:
        if stream_id not in self._streams:
            return
        kind = headers.get("content-type", "")
        if first and not kind.startswith("application/grpc"):
            self._end(stream_id, _not_grpc(headers.get(":status", ""), kind))
            self._reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif (status := headers.get("grpc-status")) is not None:
            self._end(stream_id, _status(status, headers.get("grpc-message", "")))

    def _end(self, stream_id: int, error: RpcError | None) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.finish(error)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.H2Error:
            return  # it has ended already

    def fail(self, desc: str) -> None:
        """Close; calls in flight fail. `desc` is what happened to the connection."""
        if self.closed:
            return
        self.closed = True
        if not self._ready.done():
            self._ready.set_exception(ConnectError(desc))
        text = str(ConnectError(desc))
        if self._goaway:
            text = f"closing transport due to: {text}, received prior goaway: {self._goaway}"
        for stream in list(self._streams.values()):
            stream.finish(RpcError("Unavailable", text))
        self._streams.clear()
        if self._transport is not None:
            self._transport.close()
        self._on_close(self)

    # sending

    def _send_all(self) -> None:
        for stream in list(self._streams.values()):
            if stream.outgoing:
                self._send(stream)

    def _send(self, stream: Stream) -> None:
        """As much of a request as flow control lets through now; the rest goes when the window opens."""
        try:
            while stream.outgoing:
                size = min(self._h2.local_flow_control_window(stream.id), self._h2.max_outbound_frame_size)
                if size <= 0:
                    return
                chunk, stream.outgoing = bytes(stream.outgoing[:size]), stream.outgoing[size:]
                self._h2.send_data(stream.id, chunk, end_stream=stream.last and not stream.outgoing)
        except h2.exceptions.H2Error as e:
            self._end(stream.id, RpcError("Internal", str(e)))

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self.closed:
            self._transport.write(data)


def _grpc_timeout(seconds: float) -> str:
    """The grpc-timeout header: at most 8 digits (grpc PROTOCOL-HTTP2.md)."""
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds}m" if milliseconds < 100_000_000 else f"{min(99_999_999, round(seconds))}S"


def _reset_error(code: ErrorCodes | int | None) -> RpcError:
    """What a RST_STREAM means (grpc-go http2ErrConvTab)."""
    name = f"unknown error code 0x{code or 0:x}"
    status = "Unknown"
    if isinstance(code, ErrorCodes):
        name, status = code.name, _RST_CODES.get(code, "Unknown")
    return RpcError(status, f"stream terminated by RST_STREAM with error code: {name}")


def _status(number: str, message: str) -> RpcError | None:
    """The trailers' status; None when it is OK. grpc-message is percent-encoded UTF-8."""
    if number == "0":
        return None
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        problem = f"strconv.ParseInt: parsing {quote(number)}: invalid syntax"
        return RpcError("Unknown", f"transport: malformed grpc-status: {problem}")
    code = int(number)
    name = CODES[code] if code < len(CODES) else f"Code({code})"
    return RpcError(name, unquote_to_bytes(message).decode("utf-8", "replace"))


def _not_grpc(status: str, kind: str) -> RpcError:
    """An answer that is HTTP but not gRPC."""
    problem = f"transport: received unexpected content-type {quote(kind)}" if kind else ""
    problem = problem or "malformed header: missing HTTP content-type"
    if not status.isascii() or not status.isdigit():
        return RpcError("Internal", f"malformed header: missing HTTP status; {problem}")
    number = int(status)
    phrase = HTTPStatus(number).phrase if number in HTTPStatus._value2member_map_ else ""
    text = f"unexpected HTTP status code received from server: {number} ({phrase}); {problem}"
    return RpcError(_HTTP_CODES.get(number, "Unknown"), text)
