import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cka_kubelet.kube.apiclient import APIClient, query
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import HTTPClient, TransportError
from cka_kubelet.kube.reflector import BackOff, Reflector

Handler = Callable[[str, str, bytes], tuple[int, bytes] | None]


@asynccontextmanager
async def server(handler: Handler, seen: list[int] | None = None) -> AsyncIterator[str]:
    """A plain HTTP server on a free port; a handler that gives None hangs up. `seen` counts connections."""
    writers: list[asyncio.StreamWriter] = []
    ended = asyncio.Event()
    ended.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.append(1)
        writers.append(writer)
        ended.clear()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                lengths = [
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ]
                body = await reader.readexactly(lengths[0]) if lengths else b""
                answer = handler(method, target, body)
                if answer is None:
                    break
                status, content = answer
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content), content))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            writers.remove(writer)
            if not writers:
                ended.set()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for client in CLIENTS:
            client.close_idle()
        CLIENTS.clear()
        await ended.wait()


CLIENTS: list[HTTPClient] = []
"""Whose kept-alive connections end with the server's."""


def http(url: str) -> HTTPClient:
    """A client of a server made above."""
    CLIENTS.append(HTTPClient(url))
    return CLIENTS[-1]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def _problem(work: Awaitable[object]) -> str:
    with pytest.raises(TransportError) as caught:
        await work
    return str(caught.value)


async def test_a_refused_connection_reads_as_in_go() -> None:
    port = free_port()
    client = http(f"http://127.0.0.1:{port}")
    assert await _problem(client.request("POST", "/api/v1/nodes", body=b"{}")) == (
        f'Post "http://127.0.0.1:{port}/api/v1/nodes": dial tcp 127.0.0.1:{port}: connect: connection refused'
    )


async def test_connections_are_kept_alive() -> None:
    seen: list[int] = []
    async with server(lambda *_: (200, b"ok"), seen) as url:
        client = http(url)
        for _ in range(3):
            assert (await client.request("GET", "/x")).body == b"ok"
        client.close_idle()
    assert len(seen) == 1


async def test_a_server_that_hangs_up_is_an_eof() -> None:
    async with server(lambda *_: None) as url:
        assert await _problem(http(url).request("GET", "/x")) == f'Get "{url}/x": EOF'


async def test_a_slow_server_runs_into_the_timeout() -> None:
    never = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    listener = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    assert await _problem(http(url).request("GET", "/x", timeout=0.05)) == (
        f'Get "{url}/x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    )
    never.set()
    listener.close()


async def test_a_status_answer_is_raised_with_its_message() -> None:
    body = {"kind": "Status", "code": 404, "reason": "NotFound", "message": 'nodes "n" not found'}
    async with server(lambda *_: (404, json.dumps(body).encode())) as url:
        with pytest.raises(StatusError) as caught:
            await APIClient(http(url)).get("/api/v1/nodes/n")
    assert (caught.value.code, caught.value.reason, str(caught.value)) == (404, "NotFound", 'nodes "n" not found')


async def test_a_clients_timeout_is_in_the_url() -> None:
    paths: list[str] = []

    def answer(_method: str, target: str, _body: bytes) -> tuple[int, bytes]:
        paths.append(target)
        return 200, b"{}"

    async with server(answer) as url:
        await APIClient(http(url), 10).get("/api/v1/nodes/n")
    assert paths == ["/api/v1/nodes/n?timeout=10s"]


def test_query_is_encoded_as_in_go() -> None:
    assert query(fieldSelector="spec.clusterIP!=None", limit=500, resourceVersion="0", empty="") == (
        "?fieldSelector=spec.clusterIP%21%3DNone&limit=500&resourceVersion=0"
    )


async def _listen_once(handler: Handler, capfd: pytest.CaptureFixture[str]) -> str:
    async with server(handler) as url:
        reflector = Reflector(APIClient(http(url)), "/api/v1/nodes", "*v1.Node")
        task = asyncio.create_task(reflector.run())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    return capfd.readouterr().err


async def test_a_failed_list_is_the_failed_to_watch_line(capfd: pytest.CaptureFixture[str]) -> None:
    body = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
    line = await _listen_once(lambda *_: (401, json.dumps(body).encode()), capfd)
    assert line.split("] ", 1)[1] == (
        '"Failed to watch" err="failed to list *v1.Node: Unauthorized" logger="UnhandledError" '
        'reflector="k8s.io/client-go/informers/factory.go:177" type="*v1.Node"\n'
    )


async def test_a_refused_list_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    reflector = Reflector(APIClient(http(f"http://127.0.0.1:{free_port()}")), "/api/v1/nodes", "*v1.Node")
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    assert capfd.readouterr().err == ""


async def test_the_reflector_follows_list_and_watch() -> None:
    def node(name: str, version: int) -> dict[str, object]:
        return {"metadata": {"name": name, "resourceVersion": str(version)}}

    def answer(_method: str, target: str, _body: bytes) -> tuple[int, bytes]:
        if "watch=true" not in target:
            items = [node("a", 1), node("b", 2)]
            return 200, json.dumps({"kind": "NodeList", "metadata": {"resourceVersion": "2"}, "items": items}).encode()
        if "resourceVersion=2" not in target:
            return 200, b""
        events = [{"type": "ADDED", "object": node("c", 3)}, {"type": "DELETED", "object": node("a", 4)}]
        return 200, b"\n".join(json.dumps(event).encode() for event in events)

    told: list[tuple[str, str]] = []
    async with server(answer) as url:
        reflector = Reflector(
            APIClient(http(url)), "/api/v1/nodes", "*v1.Node",
            on_event=lambda kind, item: told.append((kind, item["metadata"]["name"])),
        )  # fmt: skip
        task = asyncio.create_task(reflector.run())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    assert told == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]
    assert sorted(reflector.items) == ["b", "c"]
    assert reflector.items["b"]["kind"] == "Node"


def test_back_off_doubles_to_thirty_seconds_and_forgets() -> None:
    back_off = BackOff()
    delays = [back_off.delay(float(now)) for now in range(8)]
    assert all(
        low <= delay < 2 * low for low, delay in zip([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30], delays, strict=True)
    )
    assert back_off.delay(1000) < 1.6
