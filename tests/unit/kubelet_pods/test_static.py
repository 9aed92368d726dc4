"""Static pods: the directory's listing, its watch, and how each tells of what it cannot read."""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.static import StaticPods

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}\n"
BROKEN = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n spec: {}\n"
Sets = list[dict[str, objects.Pod]]


@pytest.fixture(autouse=True)
def inotify() -> None:
    """A machine has few inotify instances (fs.inotify.max_user_instances), and lab nodes take many."""
    descriptor = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        pytest.skip("this machine has no inotify instance left")
    os.close(descriptor)


@contextlib.asynccontextmanager
async def watching(path: Path, frequency: float = 60.0) -> AsyncIterator[Sets]:
    sets: Sets = []
    task = asyncio.create_task(StaticPods(str(path), "node01", frequency, sets.append).run())
    try:
        await until(lambda: bool(sets))
        yield sets
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of a line on stderr
            await asyncio.sleep(0.005)


def lines(capfd: pytest.CaptureFixture[str], seen: list[str], source: str) -> list[str]:
    """What `source` has written so far; `seen` keeps what was read before."""
    seen += capfd.readouterr().err.splitlines()
    return [line for line in seen if f" {source}:" in line]


async def test_a_path_that_does_not_exist_is_told_every_second(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cka_kubelet.kubelet.pods.static._RETRY_FIRST", 0.02)
    seen: list[str] = []
    async with watching(tmp_path / "absent") as sets:
        assert sets == [{}]
        await until(lambda: len(lines(capfd, seen, "file_linux.go")) >= 8)  # doubling, it would take 2.5 s
    assert len(lines(capfd, seen, "file.go")) == 1
    assert 'err="path does not exist, ignoring" path="' in seen[0]


async def test_a_broken_manifest_is_told_once_by_the_listing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.yaml").write_text(BROKEN)
    (tmp_path / "good.yaml").write_text(POD)
    async with watching(tmp_path) as sets:
        assert list(sets[0]) == [str(tmp_path / "good.yaml")]
    assert len(lines(capfd, [], "file.go")) == 1


async def test_a_manifest_comes_changes_and_goes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "web.yaml"
    seen: list[str] = []
    async with watching(tmp_path) as sets:
        file.write_text(POD)
        await until(lambda: str(file) in sets[-1])
        file.write_text(BROKEN)
        await until(lambda: any("did not find expected key" in line for line in lines(capfd, seen, "file.go")))
        assert f'Unable to process watch event" err="can\'t process config file \\"{file}\\"' in seen[-1]
        file.unlink()
        await until(lambda: sets[-1] == {})


async def test_a_file_beginning_with_a_dot_is_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with watching(tmp_path) as sets:
        (tmp_path / ".web.yaml.swp").write_text("x")
        (tmp_path / "web.yaml").write_text(POD)
        await until(lambda: str(tmp_path / "web.yaml") in sets[-1])
    assert ".swp" not in capfd.readouterr().err


async def test_a_directory_made_anew_is_found_by_the_next_listing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "manifests"
    path.mkdir()
    async with watching(path, frequency=0.2) as sets:
        path.rmdir()
        seen: list[str] = []
        await until(lambda: bool(lines(capfd, seen, "file.go")))
        assert lines(capfd, seen, "file_linux.go") == []
        path.mkdir()
        (path / "web.yaml").write_text(POD)
        await until(lambda: str(path / "web.yaml") in sets[-1])


async def test_the_path_may_be_one_file(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(POD)
    async with watching(file) as sets:
        assert sets[0][str(file)]["metadata"]["name"] == "web-node01"
        file.write_text(POD.replace("web", "other"))
        await until(lambda: [pod["metadata"]["name"] for pod in sets[-1].values()] == ["other-node01"])


async def test_what_is_no_manifest_holds_nothing_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cka_kubelet.kubelet.pods.static.MOST", len(POD))
    os.mkfifo(tmp_path / "a.yaml")  # opening it would wait for a writer, for ever
    (tmp_path / "b.yaml").symlink_to("/nonexistent")
    (tmp_path / "c.yaml").mkdir()
    (tmp_path / "d.yaml").write_text(POD + "#")
    (tmp_path / "e.yaml").write_text(POD)
    async with watching(tmp_path) as sets:
        assert list(sets[0]) == [str(tmp_path / "e.yaml")]
        os.mkfifo(tmp_path / "f.yaml")
        (tmp_path / "g.yaml").write_text(POD)
        await until(lambda: len(sets[-1]) == 2)
    told = lines(capfd, [], "file.go")
    assert ['"Manifest path is not a directory or file"' in told[0], 'mode="prw' in told[0]] == [True, True]
    assert '"Could not get metadata" err="stat ' in told[1]
    assert "is a directory" in told[2]
    assert '"Could not process manifest file" err="the read limit is reached"' in told[3]
    assert len(told) == 4
