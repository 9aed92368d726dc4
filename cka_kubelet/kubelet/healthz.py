"""The plain /healthz on 127.0.0.1:10248."""

import asyncio
from contextlib import suppress

from cka_kubelet.kube import klog
from cka_kubelet.kube.connection import host_port
from cka_kubelet.kube.gofmt import errno_text

_HEAD_LIMIT = 16384
_PATHS = ("/healthz", "/healthz/", "/healthz/ping")
_RETRY = 5.0


def respond(method: str, target: str) -> tuple[int, str]:
    """Status and body for one request."""
    path, _, query = target.partition("?")
    if path not in _PATHS:
        return 404, "404 page not found\n"
    if "verbose" in query.split("&") or query.startswith("verbose"):
        return 200, "[+]ping ok\nhealthz check passed\n"
    return 200, "" if method == "HEAD" else "ok"


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            if len(words) == 3:
                status, body = respond(words[0], words[1])
                reason = {200: "OK", 404: "Not Found"}[status]
                writer.write(
                    f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    f"X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                    f"{body}".encode()
                )
                await writer.drain()
    writer.close()


async def run(address: str, port: int) -> None:
    """Serve until cancelled; a busy port is complained about and tried again every 5 s."""
    while True:
        try:
            server = await asyncio.start_server(_handle, address, port, limit=_HEAD_LIMIT)
        except OSError as error:
            where = host_port(address, port)
            problem = f"listen tcp {where}: bind: {errno_text(error)}"
            klog.error("server.go:951", "Failed to start healthz server", err=problem)
            await asyncio.sleep(_RETRY)
            continue
        async with server:
            await server.serve_forever()
