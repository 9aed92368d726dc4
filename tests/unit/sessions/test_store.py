"""Runs and scores are kept, and a score that was tampered with is named."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cka_kubelet.errors import BusyError, EnvironmentError_
from cka_kubelet.sessions import lock
from cka_kubelet.sessions.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    run = store.begin("notready-1", "c1", 0, False, 1.0)
    store.handed_over(run, 2.0)
    store.hinted(run)
    for points in (10.0, 60.0, 100.0):
        store.add_score(run, 3.0, "PASS", points, 100.0, 60.0, {"lines": [["repair", "Ready", "PASS", 15, 15]]})
    store.ended(run, 4.0)
    yield store
    store.close()


def test_what_was_stored_is_there_after_a_new_start(store: Store, path: Path) -> None:
    again = Store(path)
    assert [(s.lab, s.points) for s in again.scores()] == [("notready-1", 10), ("notready-1", 60), ("notready-1", 100)]
    assert again.scores()[0].body["lines"][0][1] == "Ready"
    assert again.first_broken() is None
    again.close()


@pytest.mark.parametrize(
    ("tampering", "first"),
    [
        ("UPDATE scores SET points = 100 WHERE id = 2", 2),
        ("UPDATE scores SET body = replace(body, '15', '16') WHERE id = 3", 3),
        ("DELETE FROM scores WHERE id = 1", 2),
        ("UPDATE scores SET chain = (SELECT chain FROM scores WHERE id = 1) WHERE id = 2", 2),
        ("UPDATE scores SET seconds = 1 WHERE id = 1", 1),
    ],
)
def test_tampering_shows(tampering: str, first: int, store: Store, path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute(tampering)
    db.close()
    assert store.first_broken() == first


def test_files_are_the_owners_alone(store: Store, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    assert path.with_suffix(".key").stat().st_mode & 0o077 == 0


def test_a_newer_or_broken_history_is_refused(tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(EnvironmentError_, match="newer"):
        Store(newer)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all, " * 100)
    with pytest.raises(EnvironmentError_, match="cannot be used"):
        Store(broken)


def test_one_lab_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(path), pytest.raises(BusyError, match="another lab"), lock.held(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "left", ["", "{}", "[1]", '{"pid": 999999999, "started": "1", "boot": "BOOT"}', '{"pid": 1, "boot": "another"}']
)
def test_a_lock_whose_owner_is_gone_is_taken_over(left: str, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(left.replace("BOOT", lock._boot()))
    with lock.held(path):
        assert path.exists()
    assert not path.exists()


def test_a_full_disk_is_one_message_and_loses_nothing(store: Store, path: Path) -> None:
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(EnvironmentError_, match="the disk is full"):
        for _ in range(1000):
            store.add_score(1, 3.0, "PASS", 1.0, 100.0, 60.0, {"lines": ["x" * 1000]})
    store._db.execute("PRAGMA max_page_count = 1000000")
    kept = len(store.scores())
    store.add_score(1, 3.0, "PASS", 1.0, 100.0, 60.0, {})
    assert len(store.scores()) == kept + 1
    assert store.first_broken() is None
