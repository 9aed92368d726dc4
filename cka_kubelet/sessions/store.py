"""Runs and scores in SQLite. The scores form a chain: each carries an HMAC over itself and the one before, made with a
key that only this machine has, so that a changed, dropped or reordered score shows."""

import contextlib
import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cka_kubelet import paths
from cka_kubelet.errors import EnvironmentError_

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, lab TEXT NOT NULL, cluster TEXT NOT NULL, seed INTEGER NOT NULL, exam INTEGER NOT NULL,
        started REAL NOT NULL, handed_over REAL, ended REAL, hints INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE scores (
        id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id), at REAL NOT NULL, verdict TEXT NOT NULL,
        points REAL NOT NULL, maximum REAL NOT NULL, seconds REAL NOT NULL, body TEXT NOT NULL, chain TEXT NOT NULL
    );
    """,
)


_SCORE = ("id", "run", "lab", "at", "verdict", "points", "maximum", "seconds", "body")


@dataclass(frozen=True)
class StoredScore:
    """One score as it was stored. `body`: the graded lines."""

    id: int
    run: int
    lab: str
    at: float
    verdict: str
    points: float
    maximum: float
    seconds: float
    body: Mapping[str, Any]


class Store:
    """The learner's history. Thread-safe; `path` is a file that is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        except sqlite3.Error as err:
            raise self._refused(err) from None
        try:
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()
        except BaseException as err:
            self._db.close()
            if isinstance(err, sqlite3.Error):
                raise self._refused(err) from None
            raise
        self._key = _key(path.with_suffix(".key"))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def begin(self, lab: str, cluster: str, seed: int, exam: bool, now: float) -> int:
        """A new run; gives its number."""
        with self._transaction() as db:
            row = db.execute(
                "INSERT INTO runs (lab, cluster, seed, exam, started) VALUES (?, ?, ?, ?, ?) RETURNING id",
                (lab, cluster, seed, exam, now),
            ).fetchone()
        return int(row[0])

    def handed_over(self, run: int, now: float) -> None:
        with self._transaction() as db:
            db.execute("UPDATE runs SET handed_over = ? WHERE id = ?", (now, run))

    def hinted(self, run: int) -> None:
        with self._transaction() as db:
            db.execute("UPDATE runs SET hints = hints + 1 WHERE id = ?", (run,))

    def ended(self, run: int, now: float) -> None:
        with self._transaction() as db:
            db.execute("UPDATE runs SET ended = coalesce(ended, ?) WHERE id = ?", (now, run))

    def add_score(
        self, run: int, at: float, verdict: str, points: float, maximum: float, seconds: float, body: Mapping[str, Any]
    ) -> int:
        """Store a score at the end of the chain; gives its number."""
        text = json.dumps(body, sort_keys=True)
        with self._transaction() as db:
            last = db.execute("SELECT chain FROM scores ORDER BY id DESC LIMIT 1").fetchone()
            fields = (run, at, verdict, points, maximum, seconds, text)
            chain = self._link(last[0] if last else "", fields)
            row = db.execute(
                "INSERT INTO scores (run, at, verdict, points, maximum, seconds, body, chain)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (*fields, chain),
            ).fetchone()
        return int(row[0])

    def scores(self) -> list[StoredScore]:
        """Every score, oldest first."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT s.id, run, lab, at, verdict, points, maximum, seconds, body FROM scores s"
                " JOIN runs ON runs.id = run ORDER BY s.id"
            ).fetchall()
        return [StoredScore(**{**dict(zip(_SCORE, row, strict=True)), "body": json.loads(row[-1])}) for row in rows]

    def first_broken(self) -> int | None:
        """The number of the first score that is not as it was stored, or does not follow the one before; or None."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, chain, run, at, verdict, points, maximum, seconds, body FROM scores ORDER BY id"
            ).fetchall()
        before = ""
        for row in rows:
            if not hmac.compare_digest(row[1], self._link(before, row[2:])):
                return int(row[0])
            before = row[1]
        return None

    def _link(self, before: str, fields: tuple[Any, ...]) -> str:
        return hmac.new(self._key, json.dumps([before, *fields]).encode(), hashlib.sha256).hexdigest()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise EnvironmentError_(f"{self._path} was written by a newer cka-kubelet", "Upgrade this one.")
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises EnvironmentError_ when the file or its disk refuses; then nothing was changed."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as err:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(err, sqlite3.Error):
                    raise self._refused(err) from None
                raise

    def _refused(self, err: sqlite3.Error) -> EnvironmentError_:
        if getattr(err, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
            return EnvironmentError_(f"{self._path}: the disk is full", "Free some space there.")
        return EnvironmentError_(
            f"{self._path}: the history cannot be used: {err}",
            "Move that file away to start a new history; no lab depends on it.",
        )


def _key(path: Path) -> bytes:
    """The chain's key, made on first use, 0600."""
    if not path.exists():
        paths.write_private(path, secrets.token_hex(32).encode())
    return bytes.fromhex(path.read_text("ascii"))
