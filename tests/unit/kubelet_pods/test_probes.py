"""Probes against real sockets of this machine, and the worker's thresholds."""

import asyncio
from typing import Any

import pytest

from cka_kubelet.kubelet.pods.events import PodEvents
from cka_kubelet.kubelet.probes import checks, grpc
from cka_kubelet.kubelet.probes.manager import ProbeManager, _Worker
from tests.unit.kubelet_pods.test_actions import pod


class Recorder:
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, involved: dict[str, Any], type_: str, reason: str, message: str) -> None:
        self.messages.append(f"{type_} {reason} {involved.get('fieldPath')} {message}")


async def listening(answer: bytes) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_http_statuses_are_judged() -> None:
    container = {"name": "c", "ports": [{"name": "web", "containerPort": 1}]}
    for status, expected in ((200, True), (399, True), (500, False)):
        server, port = await listening(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nhi".encode())
        async with server:
            got = await checks.http({"path": "/x", "port": port}, container, "127.0.0.1", 2)
        assert got.ok is expected
        if not expected:
            assert got.output == "HTTP probe failed with statuscode: 500"


async def test_redirects_are_followed_on_the_same_host_only() -> None:
    bad, bad_port = await listening(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://%b/x\r\nContent-Length: 2\r\n\r\nhi"
    near, near_port = await listening(answer % f"127.0.0.1:{bad_port}".encode())
    far, far_port = await listening(answer % b"0.0.0.0")
    async with bad, near, far:
        followed = await checks.http({"port": near_port}, {}, "127.0.0.1", 2)
        left = await checks.http({"port": far_port}, {}, "127.0.0.1", 2)
    assert (followed.ok, followed.output) == (False, "HTTP probe failed with statuscode: 500")
    assert (left.ok, left.warning, left.output) == (True, True, "Probe terminated redirects, Response body: hi")


async def test_refused_connections_read_as_gos() -> None:
    server, port = await listening(b"")
    server.close()
    await server.wait_closed()
    got = await checks.http({"path": "/x", "port": port}, {}, "127.0.0.1", 2)
    where = f"127.0.0.1:{port}"
    assert got.output == f'Get "http://{where}/x": dial tcp {where}: connect: connection refused'
    assert (await checks.tcp("127.0.0.1", port, 2)).output == f"dial tcp {where}: connect: connection refused"
    late = f'timeout: failed to connect service "{where}" within 100ms: context deadline exceeded'
    assert await grpc.check("127.0.0.1", port, "", 0.1) == (False, late)


def test_ports_by_name() -> None:
    assert checks.port_number("web", {"ports": [{"name": "web", "containerPort": 8080}]}) == 8080
    with pytest.raises(checks.ProbeError, match=r'^strconv\.Atoi: parsing "nope": invalid syntax$'):
        checks.port_number("nope", {})


def test_grpc_frames() -> None:
    assert grpc.request_body("") == b"\0\0\0\0\0"
    assert grpc.request_body("ab") == b"\0\0\0\0\x04\x0a\x02ab"
    assert grpc.serving_status(b"\0\0\0\0\x02\x08\x01") == "SERVING"
    assert grpc.serving_status(b"\0\0\0\0\x02\x08\x02") == "NOT_SERVING"


class Exec:
    """A runtime whose commands end as told."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)

    async def exec_sync(self, _id: str, _cmd: list[str], _timeout: int) -> Any:
        code = self._codes.pop(0)
        return type("Reply", (), {"stdout": b"", "stderr": b"", "exit_code": code})


async def test_liveness_condemns_after_the_threshold_and_then_rests() -> None:
    spec = pod()
    container = spec["spec"]["containers"][0]
    container["livenessProbe"] = {"exec": {"command": ["x"]}, "failureThreshold": 2}
    state: dict[str, Any] = {"name": "c", "containerID": "containerd://1", "started": True}
    state["state"] = {"running": {"startedAt": "2026-11-21T05:00:00Z"}}
    status = {"phase": "Running", "containerStatuses": [state]}
    recorder = Recorder()
    changed: list[str] = []
    manager = ProbeManager(Exec(0, 1, 1), PodEvents(recorder), lambda _u: status, changed.append)  # type: ignore[arg-type]
    worker = _Worker(manager, spec, container, "liveness", container["livenessProbe"])
    assert await worker.probe()
    assert manager.failed("1") is None
    assert await worker.probe()
    assert manager.failed("1") is None
    assert await worker.probe()
    assert manager.failed("1") == "liveness"
    assert changed == ["u"]
    assert await worker.probe()  # on hold: no further command
    assert recorder.messages == ["Warning Unhealthy spec.containers{c} Liveness probe failed: "] * 2
