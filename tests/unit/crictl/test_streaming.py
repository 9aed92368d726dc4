"""exec over SPDY/3.1 against a server that speaks it; and what the error stream says."""

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cka_kubelet.crictl.errors import Failure
from cka_kubelet.crictl.spdy import Connection
from cka_kubelet.crictl.streaming import _check, _copy, _ports


class EchoServer:
    """A streaming server whose command copies stdin to stdout and ends, with `status`, when stdin ends."""

    def __init__(self) -> None:
        self.status: bytes = b""
        self.request = b""
        self.types: dict[int, str] = {}
        self.pongs: list[bytes] = []

    async def start(self) -> str:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/exec/token"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n")
        writer.write(struct.pack(">HHI", 0x8003, 6, 4) + b"\0\0\0\2")
        headers = zlib.decompressobj()
        try:
            while True:
                first, second = struct.unpack(">II", await reader.readexactly(8))
                payload = await reader.readexactly(second & 0xFFFFFF)
                if first >> 31 and first & 0xFFFF == 1:
                    stream_id = struct.unpack(">I", payload[:4])[0]
                    self.types[stream_id] = _header(headers.decompress(payload[10:]))
                    writer.write(struct.pack(">HHI", 0x8003, 2, 4) + struct.pack(">I", stream_id))
                elif first >> 31:
                    self.pongs.append(payload)
                else:
                    self.data(writer, first, payload, end=bool(second >> 24))
        except asyncio.IncompleteReadError:
            writer.close()

    def data(self, writer: asyncio.StreamWriter, stream_id: int, payload: bytes, *, end: bool) -> None:
        by_type = {kind: number for number, kind in self.types.items()}
        if self.types[stream_id] == "stdin" and payload:
            writer.write(struct.pack(">II", by_type["stdout"], len(payload)) + payload)
        if self.types[stream_id] == "stdin" and end:
            writer.write(struct.pack(">II", by_type["error"], len(self.status)) + self.status)
            for kind in ("stdout", "stderr", "error"):
                writer.write(struct.pack(">II", by_type[kind], 1 << 24))


def _header(block: bytes) -> str:
    """The value of the only header, streamtype."""
    count, name_size = struct.unpack(">II", block[:8])
    assert (count, block[8 : 8 + name_size]) == (1, b"streamtype")
    return block[12 + name_size :].decode()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EchoServer]:
    server = EchoServer()
    yield server
    server.server.close()


async def test_streams(server: EchoServer) -> None:
    connection = await Connection.open(await server.start(), "v4.channel.k8s.io")
    reading = asyncio.create_task(connection.run())
    error = await connection.stream({"streamtype": "error"})
    stdin = await connection.stream({"streamtype": "stdin"})
    stdout = await connection.stream({"streamtype": "stdout"})
    await connection.stream({"streamtype": "stderr"})
    await stdin.write(b"x" * 100_000)
    await stdin.finish()
    received = b""
    while (data := await stdout.data.get()) is not None:
        received += data
    assert received == b"x" * 100_000
    assert await error.data.get() is None
    assert server.pongs == [b"\0\0\0\2"]
    assert b"POST /exec/token HTTP/1.1\r\n" in server.request
    assert b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in server.request
    connection.close()
    await reading


async def test_connection_that_breaks_ends_the_streams(server: EchoServer) -> None:
    connection = await Connection.open(await server.start(), "v4.channel.k8s.io")
    reading = asyncio.create_task(connection.run())
    copying = asyncio.create_task(_copy(connection, stdin=False, terminal=False))
    await asyncio.sleep(0)
    connection.close()
    await reading
    await copying


async def test_refused_upgrade() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(Failure, match="unable to upgrade connection: gone"):
        await Connection.open(f"http://127.0.0.1:{port}/", "v4.channel.k8s.io")
    listener.close()
    with pytest.raises(Failure, match="connection refused"):
        await Connection.open(f"http://127.0.0.1:{port}/", "v4.channel.k8s.io")


def test_exit_codes() -> None:
    _check(b"")
    _check(b'{"metadata":{},"status":"Success"}')
    causes = [{"reason": "ExitCode", "message": "3"}]
    status = {"status": "Failure", "reason": "NonZeroExitCode", "message": "x", "details": {"causes": causes}}
    for message, text in (
        (json.dumps(status).encode(), "command terminated with exit code 3"),
        (b'{"status":"Failure","reason":"InternalError","message":"no sh"}', "no sh"),
        (b"garbage", "garbage"),
        (b"[1]", r"\[1\]"),
    ):
        with pytest.raises(Failure, match=text):
            _check(message)


def test_ports() -> None:
    assert [_ports(text) for text in ("80", "8080:80", ":80")] == [(80, 80), (8080, 80), (0, 80)]
    for text in ("x", "80:", "1:99999", "a:80"):
        with pytest.raises(Failure, match="invalid port"):
            _ports(text)
