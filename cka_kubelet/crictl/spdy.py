"""A SPDY/3.1 client connection, as far as the runtime's streaming server needs one.

Kubernetes' remote command protocol opens one SPDY stream for each of error, stdin, stdout, stderr and resize. Headers
of the server's answers carry nothing of use and are skipped; ours are compressed without SPDY's dictionary, which
zlib allows. Format: the SPDY protocol, draft 3.1.
"""

import asyncio
import os
import ssl
import struct
import zlib
from urllib.parse import urlsplit

from cka_kubelet.crictl.errors import Failure
from cka_kubelet.kube.gofmt import quote

_SYN_STREAM, _RST_STREAM, _PING, _GOAWAY = 1, 3, 6, 7
_FIN = 1
_CHUNK = 32 * 1024
_MAX_FRAME = (1 << 24) - 1


class Stream:
    """One stream. `data` yields what the server sends: bytes, then None at the end."""

    def __init__(self, connection: "Connection", stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id
        self.data: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)

    async def write(self, data: bytes) -> None:
        """Send; waits while the connection is full."""
        for at in range(0, len(data), _CHUNK):
            await self._connection.send_data(self._id, data[at : at + _CHUNK], fin=False)

    async def finish(self) -> None:
        """Tell the server that no more will come."""
        await self._connection.send_data(self._id, b"", fin=True)


class Connection:
    """An upgraded connection. Make one with `Connection.open`, start reading with `run`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._over = False
        self._compressor = zlib.compressobj()

    @classmethod
    async def open(cls, url: str, protocol: str) -> "Connection":
        """POST to the URL with an upgrade to SPDY/3.1. Raises Failure in upstream's words."""
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 10250
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=_tls(parts.scheme))
        except OSError as e:
            reason = os.strerror(e.errno).lower() if e.errno else str(e)
            raise Failure(f"error sending request: Post {quote(url)}: dial tcp {host}:{port}: connect: {reason}") from e
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = (f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: SPDY/3.1")
        head = "\r\n".join((*lines, f"X-Stream-Protocol-Version: {protocol}", "Content-Length: 0", "", ""))
        writer.write(head.encode())
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as e:
            writer.close()
            raise Failure("unable to upgrade connection: unexpected EOF") from e
        if answer.split(b" ")[1:2] != [b"101"]:
            body = await reader.read(4096)
            writer.close()
            raise Failure(f"unable to upgrade connection: {body.decode('utf-8', 'replace').strip()}")
        return cls(reader, writer)

    async def stream(self, headers: dict[str, str]) -> Stream:
        """Open a stream with these headers."""
        stream_id, self._next = self._next, self._next + 2
        stream = self._streams[stream_id] = Stream(self, stream_id)
        if self._over:
            await stream.data.put(None)
            return stream
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.encode(), value.encode()):
                block += struct.pack(">I", len(text)) + text
        packed = self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        await self._control(_SYN_STREAM, struct.pack(">IIH", stream_id, 0, 0) + packed)
        return stream

    async def send_data(self, stream_id: int, data: bytes, *, fin: bool) -> None:
        self._writer.write(struct.pack(">II", stream_id, (_FIN if fin else 0) << 24 | len(data)) + data)
        await self._drain()

    async def run(self) -> None:
        """Read frames and hand them to their streams until the connection ends."""
        try:
            while True:
                first, second = struct.unpack(">II", await self._reader.readexactly(8))
                payload = await self._reader.readexactly(second & _MAX_FRAME)
                if not await self._frame(first, second >> 24, payload):
                    return
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._over = True
            for stream in self._streams.values():
                await stream.data.put(None)

    async def _frame(self, first: int, flags: int, payload: bytes) -> bool:
        """Act on one frame; False when the server says goodbye."""
        if not first >> 31:
            if payload and first in self._streams:
                await self._streams[first].data.put(payload)
            if flags & _FIN:
                await self._end(first)
            return True
        kind = first & 0xFFFF
        if kind == _PING:
            await self._control(_PING, payload)
        elif kind == _RST_STREAM and len(payload) >= 4:
            await self._end(struct.unpack(">I", payload[:4])[0])
        return kind != _GOAWAY

    async def _end(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            await stream.data.put(None)

    async def _control(self, kind: int, payload: bytes) -> None:
        self._writer.write(struct.pack(">HHI", 0x8003, kind, len(payload)) + payload)
        await self._drain()

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError:
            return  # the reader learns of it and ends the streams

    def close(self) -> None:
        self._writer.close()


def _tls(scheme: str) -> ssl.SSLContext | None:
    """Upstream does not verify the streaming server unless it is told how to."""
    if scheme != "https":
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
