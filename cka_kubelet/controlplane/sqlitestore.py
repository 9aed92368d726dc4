"""The store of a single host: one SQLite file, written with every change."""

import json
import sqlite3
from pathlib import Path

from cka_kubelet.controlplane.store import ConflictError, Key, Object, Store, key_of
from cka_kubelet.kube import apistatus


class SQLiteStore(Store):
    """All objects in one file. `path` is the file, or ":memory:". Raises sqlite3.Error, OSError."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        if path != ":memory:":
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA cache_size=-512")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, revision INTEGER,"
            " value TEXT, PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS revision (value INTEGER)")
        objects: dict[str, dict[Key, Object]] = {}
        for resource, namespace, name, value in self._db.execute(
            "SELECT resource, namespace, name, value FROM objects"
        ):
            objects.setdefault(resource, {})[(namespace, name)] = json.loads(value)
        row = self._db.execute("SELECT value FROM revision").fetchone()
        if row is None:
            self._db.execute("INSERT INTO revision VALUES (1)")
        self._begin(objects, row[0] if row else 1)

    async def close(self) -> None:
        """Close the file."""
        self._db.close()

    async def write(self, resource: str, obj: Object, old: Object | None) -> Object:
        """Create or replace."""
        key = key_of(obj)
        if self.get(resource, *key) is not old:
            raise ConflictError
        revision = self.revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        text = json.dumps(obj, separators=(",", ":"))
        self._execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?)", (resource, *key, revision, text), revision)
        self._applied(resource, key, obj, revision)
        return obj

    async def remove(self, resource: str, old: Object) -> Object:
        """Delete."""
        key = key_of(old)
        if self.get(resource, *key) is not old:
            raise ConflictError
        revision = self.revision + 1
        where = "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?"
        self._execute(where, (resource, *key), revision)
        return self._applied(resource, key, None, revision) or old

    async def current(self) -> None:
        """Nobody else writes."""

    async def check(self) -> str:
        """A file is always well; when it is not, writing tells."""
        return ""

    def _execute(self, statement: str, values: tuple[object, ...], revision: int) -> None:
        try:
            self._db.execute("BEGIN")
            self._db.execute(statement, values)
            self._db.execute("UPDATE revision SET value=?", (revision,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise apistatus.StatusError(500, "", str(error)) from error
