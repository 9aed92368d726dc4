"""exec, attach, port-forward: the client's upgraded connection is joined to the runtime's streaming server."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

CHUNK = 64 * 1024
_HOP = frozenset({"host", "authorization", "content-length", "x-forwarded-for", "x-forwarded-uri", "x-forwarded-host"})

Callback = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class StreamError(Exception):
    """The runtime's streaming server cannot be reached."""


def wants_upgrade(headers: list[tuple[str, str]]) -> bool:
    """Whether the request asks to leave HTTP (Connection: Upgrade)."""
    values = [v.lower() for k, v in headers if k == "connection"]
    return any("upgrade" in v for v in values) and any(k == "upgrade" for k, _ in headers)


def pass_through(url: str, method: str, headers: list[tuple[str, str]]) -> Callback:
    """A callback for the raw client connection: repeats the request at `url`, then copies bytes both ways."""

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(url)
        try:
            upstream_in, upstream_out = await asyncio.open_connection(parts.hostname or "127.0.0.1", parts.port or 80)
        except OSError as error:
            body = f"error dialing backend: {error}".encode()
            writer.write(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
            )
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()
            return
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{k}: {v}" for k, v in headers if k not in _HOP]
        upstream_out.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await _copy_both(reader, writer, upstream_in, upstream_out)

    return join


async def _copy_both(
    client_in: asyncio.StreamReader,
    client_out: asyncio.StreamWriter,
    runtime_in: asyncio.StreamReader,
    runtime_out: asyncio.StreamWriter,
) -> None:
    """Copy until the runtime is done; a client that only stops sending may still read."""
    upward = asyncio.create_task(_copy(client_in, runtime_out))
    try:
        await _copy(runtime_in, client_out)
    finally:
        upward.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await upward
        for writer in (runtime_out, client_out):
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
