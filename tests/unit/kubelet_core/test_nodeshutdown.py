import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from cka_kubelet.kube import klog
from cka_kubelet.kubelet import logind, nodeshutdown
from cka_kubelet.kubelet.configdecode import with_defaults
from cka_kubelet.kubelet.logind import Logind, LogindError
from cka_kubelet.kubelet.nodeshutdown import Period, ShutdownManager


def _pod(name: str, priority: int = 0, grace: int | None = 30) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"priority": priority, "terminationGracePeriodSeconds": grace},
    }


def test_two_periods_are_made_of_the_two_settings() -> None:
    config = with_defaults({"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s"})
    assert nodeshutdown.periods(config) == [Period(0, 20), Period(2_000_000_000, 10)]
    assert nodeshutdown.periods(with_defaults({})) == []


def test_periods_by_priority_are_put_in_order() -> None:
    given = [{"priority": 10, "shutdownGracePeriodSeconds": 5}, {"priority": 0, "shutdownGracePeriodSeconds": 7}]
    config = with_defaults({"shutdownGracePeriodByPodPriority": given})
    assert nodeshutdown.periods(config) == [Period(0, 7), Period(10, 5)]


def test_pods_are_grouped_by_the_period_below_their_priority() -> None:
    order = [Period(0, 1), Period(10, 1), Period(100, 1)]
    pods = [_pod("negative", -5), _pod("zero"), _pod("nine", 9), _pod("ten", 10), _pod("huge", 1000)]
    names = [[pod["metadata"]["name"] for pod in group.pods] for group in nodeshutdown.grouped(order, pods)]
    assert names == [["negative", "zero", "nine"], ["ten"], ["huge"]]


class _Logind:
    """Keeps what it was asked for."""

    def __init__(self, delay: float = 5.0, *, effective: bool = True) -> None:
        self.delay = delay
        self.effective = effective
        self.calls: list[str] = []
        self.closed = asyncio.Event()
        self.tell: Callable[[bool], None] = lambda _begins: None

    def __call__(self, tell: Callable[[bool], None]) -> Logind:
        self.tell = tell
        return cast(Logind, self)

    async def connect(self) -> None:
        self.calls.append("connect")

    async def inhibit_delay(self) -> float:
        return self.delay

    async def override_delay(self, seconds: float) -> None:
        self.calls.append(f"override {seconds:g}")
        if self.effective:
            self.delay = seconds

    async def inhibit(self) -> None:
        self.calls.append("inhibit")

    def release(self) -> None:
        self.calls.append("release")

    def close(self) -> None:
        self.calls.append("close")


class _Node:
    def __init__(self, folder: Path, fake: _Logind, *pods: dict[str, Any]) -> None:
        self.steps: list[str] = []
        self.events: list[str] = []
        config = with_defaults({"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s"})
        self.manager = ShutdownManager(
            config, str(folder), pods=lambda: list(pods), terminate=self._terminate, sync_node=self._sync,
            event=lambda _type, reason, message: self.events.append(f"{reason}: {message}"), logind=fake,
        )  # fmt: skip

    async def _terminate(self, pod: dict[str, Any], grace: int) -> None:
        self.steps.append(f"{pod['metadata']['name']} {grace}")

    async def _sync(self) -> None:
        self.steps.append(f"status {self.manager.shutting_down}")


async def _run(node: _Node, fake: _Logind, *news: bool) -> None:
    running = asyncio.create_task(node.manager.run())
    async with asyncio.timeout(5):
        while "inhibit" not in fake.calls:  # noqa: ASYNC110  # the manager tells nobody that it has begun
            await asyncio.sleep(0)
        for begins in news:
            fake.tell(begins)
            await asyncio.gather(*node.manager._tasks)
    running.cancel()


async def test_a_shutdown_stops_the_pods_in_order_and_then_lets_go(tmp_path: Path) -> None:
    fake = _Logind()
    node = _Node(tmp_path, fake, _pod("critical", 2_000_000_000), _pod("slow", grace=60), _pod("quick", grace=3))
    await _run(node, fake, True)
    assert fake.calls == ["connect", "override 30", "inhibit", "release"]
    assert node.steps == ["status True", "slow 20", "quick 3", "critical 10"]
    assert node.events == ["Shutdown: Shutdown manager detected shutdown event"]
    assert '"endTime": "0001' not in (tmp_path / "graceful_node_shutdown_state").read_text()


async def test_a_shutdown_called_off_takes_the_lock_again(tmp_path: Path) -> None:
    fake = _Logind(60)
    node = _Node(tmp_path, fake)
    await _run(node, fake, True, False)
    assert fake.calls == ["connect", "inhibit", "release", "inhibit"]
    assert not node.manager.shutting_down
    assert node.events[1] == "Shutdown: Shutdown manager detected shutdown cancellation"


async def test_a_delay_that_logind_does_not_take_over_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake = _Logind(effective=False)
    await _Node(tmp_path, fake).manager.run()
    assert (
        '"Failed to start node shutdown manager" err="node shutdown manager was unable to update logind '
        "InhibitDelayMaxSec to 30s (ShutdownGracePeriod), current value of InhibitDelayMaxSec (5s) is less than "
        'requested ShutdownGracePeriod"'
    ) in capfd.readouterr().err


def test_the_override_is_a_drop_in(tmp_path: Path) -> None:
    path = tmp_path / "logind.conf.d" / "99-kubelet.conf"
    logind.write_override(45.0, str(path))
    assert path.read_text() == "# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=45\n"


async def test_without_a_bus_the_reason_is_told(tmp_path: Path) -> None:
    connection = Logind(lambda _begins: None, f"{tmp_path}/no.sock")
    with pytest.raises(LogindError, match=r"dial unix .*/no\.sock: connect: no such file or directory"):
        await connection.connect()


def _message(kind: int, reply_to: int = 0, member: str = "", body: bytes = b"", signature: str = "") -> bytes:
    """One D-Bus message, as a bus sends it."""
    fields = bytearray()
    for code, sign, value in ((5, "u", reply_to), (3, "s", member), (8, "g", signature)):
        if not value:
            continue
        fields += bytes(-len(fields) % 8) + bytes([code, 1]) + sign.encode() + b"\0"
        if sign == "u":
            fields += struct.pack("<I", cast(int, value))
        elif sign == "s":
            fields += struct.pack("<I", len(str(value))) + str(value).encode() + b"\0"
        else:
            fields += bytes([len(str(value))]) + str(value).encode() + b"\0"
    head = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), 9, len(fields))
    return head + bytes(fields) + bytes(-len(fields) % 8) + body


class _Bus:
    """A system bus with a logind: answers in the order of the calls, passing a descriptor for Inhibit."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self.seen: list[bytes] = []
        self.peer: socket.socket | None = None
        self.held, given = socket.socketpair()
        self._given = given

    def serve(self) -> None:
        self.peer, _ = self._listener.accept()
        self.peer.recv(4096)
        self.peer.sendall(b"OK 1234\r\nAGREE_UNIX_FD\r\n")
        delay = b"\x01t\0" + bytes(5) + struct.pack("<Q", 7_000_000)
        answers: list[tuple[bytes, list[int]]] = [
            (_message(2, 1), []), (_message(2, 2), []), (_message(2, 3, body=delay, signature="v"), []),
            (_message(2, 4, body=struct.pack("<I", 0), signature="h"), [self._given.fileno()]),
        ]  # fmt: skip
        for answer, descriptors in answers:
            self.seen.append(self.peer.recv(4096))
            socket.send_fds(self.peer, [answer], descriptors)
        self._given.close()
        body = struct.pack("<I", 1)  # true
        self.peer.sendall(_message(4, member="PrepareForShutdown", body=body, signature="b"))

    def close(self) -> None:
        for connection in (self._listener, self.peer, self.held):
            if connection is not None:
                connection.close()


async def test_the_lock_is_a_descriptor_and_the_shutdown_a_signal(tmp_path: Path) -> None:
    bus = _Bus(f"{tmp_path}/bus")
    news: asyncio.Queue[bool] = asyncio.Queue()
    connection = Logind(news.put_nowait, f"{tmp_path}/bus")
    serving = asyncio.create_task(asyncio.to_thread(bus.serve))
    async with asyncio.timeout(5):
        await connection.connect()
        assert await connection.inhibit_delay() == 7.0
        await connection.inhibit()
        assert await news.get() is True
        await serving
    assert b"Kubelet needs time to handle node shutdown" in bus.seen[3]
    bus.held.setblocking(False)
    with pytest.raises(BlockingIOError):
        bus.held.recv(1)  # still held
    connection.release()
    assert bus.held.recv(1) == b""
    connection.close()
    bus.close()


def test_every_step_is_told_at_v_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fake = _Logind(60)

    async def shut_down() -> None:
        await _run(_Node(tmp_path, fake, _pod("p")), fake, True)

    klog.set_verbosity(1)
    try:
        asyncio.run(shut_down())
    finally:
        klog.set_verbosity(0)
    texts = [line.split('] "')[1].partition('"')[0] for line in capfd.readouterr().err.splitlines()]
    assert texts == [
        "Creating node shutdown manager", "Shutdown manager detected new shutdown event",
        "Shutdown manager processing shutdown event", "Shutdown manager killing pod with gracePeriod",
        "Shutdown manager finished killing pod",
        "Shutdown manager completed processing shutdown event, node will shutdown shortly",
    ]  # fmt: skip
