"""The client against a real HTTP/2 server on a unix socket, and against what is none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri import channel, transport
from cka_kubelet.cri.channel import delay
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.endpoint import socket_path
from cka_kubelet.cri.errors import CommandTimedOutError, RpcError
from cka_kubelet.cri.failures import FAILURES, prototext
from tests.unit.cri.fake_runtime import FakeRuntime


class Log:
    """Keeps lines."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str, object, dict[str, object]]] = []
        self.lines: list[str] = []

    def error(self, source: str, msg: str, /, err: object | None = None, **kv: object) -> None:
        self.errors.append((source, msg, err, kv))

    def raw(self, severity: str, source: str, text: str, /) -> None:
        self.lines.append(f"{severity} {source}] {text}")


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[FakeRuntime]:
    fake = FakeRuntime(tmp_path / "cri.sock")
    await fake.start()
    yield fake
    await fake.stop()
    await asyncio.sleep(0)


@pytest_asyncio.fixture
async def log() -> Log:
    return Log()


@pytest_asyncio.fixture
async def client(runtime: FakeRuntime, log: Log) -> AsyncIterator[CRIClient]:
    made = CRIClient(runtime.endpoint, 5.0, log=log)
    yield made
    await made.close()


async def test_call_and_headers(runtime: FakeRuntime, client: CRIClient) -> None:
    assert (await client.version()).runtime_name == "fake"
    headers = runtime.headers[0]
    assert headers[":authority"] == "localhost"
    assert headers[":path"] == "/runtime.v1.RuntimeService/Version"
    assert headers["grpc-timeout"] == "5000m"


async def test_many_calls_share_one_connection(runtime: FakeRuntime, client: CRIClient) -> None:
    runtime.answers["ListContainers"] = lambda request: pb.ListContainersResponse(
        containers=[pb.Container(id=request.filter.id)]
    )
    answers = await asyncio.gather(*(client.list_containers(pb.ContainerFilter(id=str(i))) for i in range(90)))
    assert [a[0].id for a in answers] == [str(i) for i in range(90)]
    assert len(runtime._writers) == 1


async def test_messages_larger_than_the_windows(runtime: FakeRuntime, client: CRIClient) -> None:
    labels = {str(i): "x" * 1000 for i in range(600)}
    runtime.answers["RunPodSandbox"] = lambda request: pb.RunPodSandboxResponse(
        pod_sandbox_id=str(len(request.config.labels))
    )
    assert await client.run_pod_sandbox(pb.PodSandboxConfig(labels=labels)) == "600"


async def test_status_and_log_line(runtime: FakeRuntime, client: CRIClient, log: Log) -> None:
    runtime.answers["StopPodSandbox"] = ("NotFound", "no %C3%BC 100%25")
    with pytest.raises(RpcError) as e:
        await client.stop_pod_sandbox("p1")
    assert str(e.value) == "rpc error: code = NotFound desc = no ü 100%"
    assert log.errors == [
        ("remote_runtime.go:267", "StopPodSandbox from runtime service failed", str(e.value), {"podSandboxID": "p1"})
    ]


async def test_identical_container_status_errors_are_logged_once(
    runtime: FakeRuntime, client: CRIClient, log: Log
) -> None:
    runtime.answers["ContainerStatus"] = ("NotFound", "gone")
    for container_id in ("a", "a", "b"):
        with pytest.raises(RpcError):
            await client.container_status(container_id)
    assert [kv for *_, kv in log.errors] == [{"containerID": "a"}, {"containerID": "b"}]


async def test_deadline(runtime: FakeRuntime, client: CRIClient) -> None:
    runtime.answers["Version"] = None
    with pytest.raises(RpcError, match=r"^rpc error: code = DeadlineExceeded desc = context deadline exceeded$"):
        await client.call("Version", pb.VersionRequest(), timeout=0.05)


async def test_exec_that_times_out(runtime: FakeRuntime, client: CRIClient) -> None:
    runtime.answers["ExecSync"] = ("DeadlineExceeded", "x")
    with pytest.raises(CommandTimedOutError) as e:
        await client.exec_sync("c", ["sleep", "9"], 1)
    assert str(e.value) == 'command timed out: "sleep 9" timed out after 1s'


async def test_unknown_code_is_stripped_from_pull_errors(runtime: FakeRuntime, client: CRIClient) -> None:
    runtime.answers["PullImage"] = ("Unknown", "failed to pull")
    with pytest.raises(RpcError) as e:
        await client.pull_image(pb.ImageSpec(image="x"))
    assert str(e.value) == "failed to pull"


async def test_event_stream(runtime: FakeRuntime, client: CRIClient) -> None:
    runtime.answers["GetContainerEvents"] = [pb.ContainerEventResponse(container_id=c) for c in "abc"]
    assert [e.container_id async for e in client.get_container_events()] == ["a", "b", "c"]


async def test_unimplemented_event_stream(client: CRIClient) -> None:
    with pytest.raises(RpcError, match="Unimplemented"):
        _ = [e async for e in client.get_container_events()]


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"\0\0\0\0\2\xff\xff", "Internal", "failed to unmarshal"),
        (b"\1\0\0\0\0", "Internal", "compressed flag"),
        (b"\7\0\0\0\0", "Internal", "payload format 7"),
        (b"\0\x7f\xff\xff\xff", "ResourceExhausted", "larger than max (2147483647 vs. 16777216)"),
        (b"", "Internal", "cardinality violation"),
    ],
)
async def test_garbled_messages(runtime: FakeRuntime, client: CRIClient, data: bytes, code: str, text: str) -> None:
    runtime.answers["Version"] = data
    with pytest.raises(RpcError) as e:
        await client.version()
    assert e.value.code == code
    assert text in str(e.value)
    runtime.answers["Version"] = pb.VersionResponse(version="again")
    assert (await client.version()).version == "again"


async def test_missing_socket_fails_at_once_and_is_reported(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "none.sock"
    client = CRIClient(f"unix://{path}", log=log, channel=4)
    with pytest.raises(RpcError) as e:
        await client.validate()
    problem = f"transport: Error while dialing: dial unix {path}: connect: no such file or directory"
    assert str(e.value) == (
        f'validate service connection: validate CRI v1 runtime API for endpoint "unix://{path}": rpc error: '
        f'code = Unavailable desc = connection error: desc = "{problem}"'
    )
    assert log.lines == [
        "W logging.go:55] [core] [Channel #4 SubChannel #5] grpc: addrConn.createTransport failed to connect to "
        f'{{Addr: "{path}", ServerName: "localhost", }}. Err: connection error: desc = "{problem}"'
    ]
    await client.close()


async def test_runtime_dies_and_comes_back(runtime: FakeRuntime, client: CRIClient, log: Log) -> None:
    await client.version()
    runtime.answers["Status"] = None
    runtime.asked.clear()
    waiting = asyncio.create_task(client.status())
    await runtime.asked.wait()
    await runtime.stop()
    with pytest.raises(RpcError) as e:
        await waiting
    assert str(e.value) == (
        'rpc error: code = Unavailable desc = connection error: desc = "error reading from server: EOF"'
    )
    with pytest.raises(RpcError, match="no such file or directory"):
        await client.version()
    await runtime.start()
    async with asyncio.timeout(5):
        while True:
            try:
                await client.version()
                break
            except RpcError:
                await asyncio.sleep(0.02)
    assert log.lines


async def test_a_connection_that_the_runtime_has_closed_is_not_used_again(
    runtime: FakeRuntime, client: CRIClient, log: Log
) -> None:
    await client.version()
    runtime.hang_up()  # seen by the socket, not yet by this event loop
    assert (await client.version()).runtime_name == "fake"
    assert log.errors == []


def test_back_off() -> None:
    assert [round(delay(n, 0.5), 3) for n in range(10)] == [
        0.1, 0.16, 0.256, 0.41, 0.655, 1.049, 1.678, 2.684, 3.0, 3.0,
    ]  # fmt: skip
    assert delay(8, 0.0) == pytest.approx(2.4)
    assert delay(8, 1.0) == pytest.approx(3.6)


async def hostile(path: Path, reply: Callable[[asyncio.StreamWriter], None]) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply(writer)
        await reader.read()
        writer.close()

    return await asyncio.start_unix_server(serve, path)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "frame too large, note that the frame header looked like an HTTP/1.1 header",
        ),
        (b"\0\0\1\0\0\0\0\0\0x", "error reading server preface: "),
    ],
)
async def test_what_is_no_http2_server(tmp_path: Path, reply: bytes, text: str) -> None:
    server = await hostile(tmp_path / "s", lambda writer: writer.write(reply))
    client = CRIClient(f"unix://{tmp_path / 's'}", 2.0)
    with pytest.raises(RpcError) as e:
        await client.version()
    assert e.value.code == "Unavailable"
    assert text in str(e.value)
    await client.close()
    server.close()


async def test_mute_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PREFACE_TIMEOUT", 0.05)
    server = await hostile(tmp_path / "s", lambda writer: None)
    client = CRIClient(f"unix://{tmp_path / 's'}", 2.0)
    with pytest.raises(RpcError, match="error reading server preface: read unix @->"):
        await client.version()
    monkeypatch.setattr(transport, "PREFACE_TIMEOUT", 9.0)
    monkeypatch.setattr(channel, "BASE_DELAY", 9.0)
    other = CRIClient(f"unix://{tmp_path / 's'}", 0.05)
    with pytest.raises(RpcError, match="deadline exceeded while waiting for connections to become ready"):
        await other.version()
    await client.close()
    await other.close()
    server.close()


def test_endpoints() -> None:
    assert socket_path("unix:///run/containerd/containerd.sock") == "/run/containerd/containerd.sock"
    assert socket_path("/run/crio.sock") == "/run/crio.sock"
    with pytest.raises(ValueError, match="only support unix socket endpoint"):
        socket_path("tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match='protocol "npipe" not supported'):
        socket_path("npipe://x")


def test_prototext() -> None:
    assert prototext(pb.PodSandboxFilter()) == ""
    assert prototext(pb.PodSandboxFilter(state=pb.PodSandboxStateValue())) == "state:{}"
    query = pb.ContainerFilter(
        id='a"b', label_selector={"k": "v"}, state=pb.ContainerStateValue(state="CONTAINER_RUNNING")
    )
    assert prototext(query) == 'id:"a\\"b" state:{state:CONTAINER_RUNNING} label_selector:{key:"k" value:"v"}'


def test_every_failure_names_a_method() -> None:
    names = {m.name for s in pb.DESCRIPTOR.services_by_name.values() for m in s.methods}
    assert set(FAILURES) <= names
