import asyncio
import os
import socket
from pathlib import Path

import pytest

from cka_kubelet.kubelet import startup, watchdog
from cka_kubelet.kubelet.flags import parse


def test_no_watchdog(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog.interval() is None
    assert '"Systemd watchdog is not enabled"' in capfd.readouterr().err
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog.interval() is None  # another process's


def test_half_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog.interval() == 15.0


@pytest.mark.parametrize(
    ("value", "message"),
    [("soon", 'error converting WATCHDOG_USEC: strconv.Atoi: parsing "soon": invalid syntax'),
     ("0", "error WATCHDOG_USEC must be a positive number")],
)  # fmt: skip
def test_a_bad_interval_is_fatal(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", value)
    with pytest.raises(startup.StartError) as caught:
        startup.watchdog_interval()
    assert str(caught.value) == f"failed to run Kubelet: create health checker: configure watchdog: {message}"


async def test_systemd_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{tmp_path}/notify")
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        running = asyncio.create_task(watchdog.run(60))
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"WATCHDOG=1"
        running.cancel()


def test_lock_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(startup.StartError, match="cannot exit on lock file contention: no lock file specified"):
        startup.acquire_lock(parse(["--exit-on-lock-contention"]))
    startup.acquire_lock(parse([f"--lock-file={tmp_path}/lock"]))
    assert f'"Acquiring file lock" path="{tmp_path}/lock"' in capfd.readouterr().err
    with pytest.raises(startup.StartError, match=r"unable to acquire file lock on .*: no such file or directory"):
        startup.acquire_lock(parse([f"--lock-file={tmp_path}/no/lock"]))
