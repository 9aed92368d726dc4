"""The HTTP server against the project's own client and raw sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cka_kubelet.kube.httpclient import HTTPClient
from cka_kubelet.kube.httpserver import BodyTooLargeError, Handler, Hijack, Request, Response, Server, serve
from cka_kubelet.kube.tlsserver import server_context
from tests.unit.kube_server.certificates import Authority


@contextlib.asynccontextmanager
async def _served(handler: Handler, files: Path | None = None, ca: Path | None = None) -> AsyncIterator[Server]:
    tls = server_context(str(files), str(files.with_suffix(".key")), str(ca)) if files else None
    server = await serve(handler, "127.0.0.1", 0, tls)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


async def _who(request: Request) -> Response:
    peer = request.peer
    text = f"{peer.cn} {','.join(peer.organizations)}" if peer else f"nobody {request.bad_certificate}".strip()
    return Response(200, [("content-type", "text/plain")], text.encode())


async def test_requests_share_a_connection_and_bodies_arrive() -> None:
    async def echo(request: Request) -> Response:
        return Response(201, (), f"{request.method} {request.path} {request.arg('q')} ".encode() + await request.read())

    async with _served(echo) as server:
        client = HTTPClient(f"http://127.0.0.1:{server.port}")
        for number in range(3):
            answer = await client.request("POST", f"/a%20b?q={number}", body=b"x" * 100_000)
            assert answer.status == 201
            assert answer.body == f"POST /a b {number} ".encode() + b"x" * 100_000
        assert len(server._tasks) == 1
        client.close_idle()


async def test_a_body_beyond_the_limit_is_not_read() -> None:
    async def small(request: Request) -> Response:
        try:
            await request.read(10)
        except BodyTooLargeError as error:
            return Response(413, (), str(error.limit).encode())
        return Response()

    async with _served(small) as server:
        client = HTTPClient(f"http://127.0.0.1:{server.port}")
        assert (await client.request("POST", "/", body=b"x" * 1000)).body == b"10"
        client.close_idle()


async def test_a_stream_is_flushed_and_closed_when_the_client_leaves() -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def handler(_: Request) -> Response:
        return Response(200, (), pieces())

    async with _served(handler) as server:
        client = HTTPClient(f"http://127.0.0.1:{server.port}")
        async with client.stream("GET", "/") as stream:
            async for line in stream.lines():
                assert line == b"one"
                break
        async with asyncio.timeout(5):
            await closed.wait()


async def test_an_upgrade_hands_over_the_connection() -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        writer.write(await reader.readline())
        await writer.drain()

    async def handler(_: Request) -> Hijack:
        return Hijack(take)

    async with _served(handler) as server:
        client = HTTPClient(f"http://127.0.0.1:{server.port}")
        taken = await client.upgrade("POST", "/", [("Connection", "Upgrade"), ("Upgrade", "echo")])
        assert taken.status == 101
        taken.writer.write(b"hello\n")
        assert taken.leftover + await taken.reader.read() == b"hello\n"
        taken.writer.close()


async def test_plain_http_on_the_tls_port_is_told_so(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt = ca.issue("server", "server", client=False)
    async with _served(_who, crt, ca.file) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        assert answer == b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        writer.close()


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("good", "alice devs,ops"),
        ("none", "nobody"),
        ("expired", "nobody x509: certificate has expired or is not yet valid"),
        ("stranger", "nobody x509: certificate signed by unknown authority"),
        ("serving", "nobody x509: certificate specifies an incompatible key usage"),
    ],
)
async def test_client_certificates_identify_but_never_break_the_handshake(
    tmp_path: Path, case: str, expected: str
) -> None:
    ca = Authority(tmp_path)
    other = Authority(tmp_path, "other")
    crt = ca.issue("server", "server", client=False)
    async with _served(_who, crt, ca.file) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(ca.file)
        groups = ("devs", "ops")
        issued = {
            "good": lambda: ca.issue("c", "alice", groups),
            "expired": lambda: ca.issue("c", "alice", groups, days=-1),
            "stranger": lambda: other.issue("c", "alice", groups),
            "serving": lambda: ca.issue("c", "alice", groups, client=False),
        }
        if case in issued:
            path = issued[case]()
            context.load_cert_chain(path, path.with_suffix(".key"))
        client = HTTPClient(f"https://127.0.0.1:{server.port}", context)
        assert (await client.request("GET", "/")).body.decode() == expected
        client.close_idle()
