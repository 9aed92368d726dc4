"""Which files a container's log leaves behind as it is rotated."""

import asyncio
import gzip
from itertools import count
from pathlib import Path

import pytest

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet.pods import logrotate
from cka_kubelet.kubelet.pods import runtime_status as rs


class _Runtime:
    """Writes a new log when told to reopen; `fail`: refuses."""

    def __init__(self, log: Path) -> None:
        self.log, self.fail, self.written = log, False, 0

    async def reopen_container_log(self, _container: str) -> None:
        if self.fail:
            raise RpcError("Unknown", "no")
        self.written += 1
        self.log.write_text(f"{self.written}" * 30)


def _rotate(rotator: logrotate.LogRotator, log: Path) -> None:
    asyncio.run(rotator._rotate(rs.ContainerStatus(id="c", name="c", log_path=str(log))))


@pytest.fixture(name="log")
def _log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    numbers = count(1)
    monkeypatch.setattr(logrotate.time, "strftime", lambda _format: f"20260101-00000{next(numbers)}")
    log = tmp_path / "0.log"
    log.write_text("0" * 30)
    return log


def test_the_last_rotated_file_stays_plain_and_older_ones_are_compressed(log: Path) -> None:
    runtime = _Runtime(log)
    rotator = logrotate.LogRotator(runtime, list, 20, 4)  # type: ignore[arg-type]
    for _ in range(4):
        _rotate(rotator, log)
    assert sorted(file.name for file in log.parent.iterdir()) == [
        "0.log", "0.log.20260101-000002.gz", "0.log.20260101-000003.gz", "0.log.20260101-000004",
    ]  # fmt: skip
    assert gzip.decompress((log.parent / "0.log.20260101-000002.gz").read_bytes()) == b"1" * 30


def test_what_an_interrupted_compression_left_goes(log: Path) -> None:
    for name in ("0.log.20250101-000000.gz.tmp", "0.log.20250101-000000", "0.log.20250101-000000.gz"):
        (log.parent / name).write_text("x")
    _rotate(logrotate.LogRotator(_Runtime(log), list, 20, 5), log)  # type: ignore[arg-type]
    assert sorted(file.name for file in log.parent.iterdir()) == [
        "0.log", "0.log.20250101-000000.gz", "0.log.20260101-000001",
    ]  # fmt: skip


def test_a_small_log_is_left_alone_and_a_refused_reopening_undone(log: Path) -> None:
    runtime = _Runtime(log)
    _rotate(logrotate.LogRotator(runtime, list, 31, 4), log)  # type: ignore[arg-type]
    assert runtime.written == 0
    runtime.fail = True
    _rotate(logrotate.LogRotator(runtime, list, 20, 4), log)  # type: ignore[arg-type]
    assert [file.name for file in log.parent.iterdir()] == ["0.log"]
