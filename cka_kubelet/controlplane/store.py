"""Objects with resource versions: SQLite below for durability, dicts above for speed, and a history for watches.

Stored objects are never changed in place; whoever wants to change one copies it first.
"""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" when cluster-scoped), name

_HISTORY = 1000
_QUEUE = 5000


class Change(NamedTuple):
    """One write. `type` is ADDED, MODIFIED or DELETED; `old` is the object before a MODIFIED."""

    revision: int
    type: str
    resource: str
    object: Object
    old: Object | None


class ExpiredError(Exception):
    """A watch wants to start before the history does. `oldest` is the first revision that is left."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.oldest = oldest


class Subscription:
    """Changes of one resource from now on. Iterate with `next()`; None ends it (the reader was too slow)."""

    def __init__(self, backlog: list[Change]) -> None:
        self._queue: deque[Change] = deque(backlog)
        self._wake = asyncio.Event()
        self.overrun = False

    def push(self, change: Change) -> None:
        """Called by the store for each write."""
        if len(self._queue) >= _QUEUE:
            self.overrun = True
        else:
            self._queue.append(change)
        self._wake.set()

    async def next(self) -> Change | None:
        """The next change; waits for it."""
        while not self._queue:
            if self.overrun:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def next_nowait(self) -> Change | None:
        """The next change if there is one already."""
        return self._queue.popleft() if self._queue else None


class Store:
    """All objects. `path` is the SQLite file, or ":memory:". Raises sqlite3.Error, OSError."""

    def __init__(self, path: str | Path) -> None:
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
        self._objects: dict[str, dict[Key, Object]] = {}
        for resource, namespace, name, value in self._db.execute(
            "SELECT resource, namespace, name, value FROM objects"
        ):
            self._objects.setdefault(resource, {})[(namespace, name)] = json.loads(value)
        row = self._db.execute("SELECT value FROM revision").fetchone()
        if row is None:
            self._db.execute("INSERT INTO revision VALUES (1)")
        self.revision: int = row[0] if row else 1
        self._floor = self.revision
        self._history: dict[str, deque[Change]] = {}
        self._floors: dict[str, int] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """The stored object, or None. Not to be changed by the caller."""
        return self._objects.get(resource, {}).get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        """Objects of a resource, all or those of one namespace, sorted by namespace and name."""
        items = self._objects.get(resource, {})
        return [items[key] for key in sorted(items) if not namespace or key[0] == namespace]

    def resources(self) -> Iterator[str]:
        """The resources that have objects."""
        return iter([resource for resource, items in self._objects.items() if items])

    def put(self, resource: str, obj: Object) -> Object:
        """Create or replace; sets metadata.resourceVersion on `obj`, which belongs to the store afterwards."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        items = self._objects.setdefault(resource, {})
        old = items.get(key)
        revision = self.revision + 1
        metadata["resourceVersion"] = str(revision)
        text = json.dumps(obj, separators=(",", ":"))
        self._write("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?)", (resource, *key, revision, text), revision)
        items[key] = obj
        self._publish(Change(revision, "MODIFIED" if old is not None else "ADDED", resource, obj, old))
        return obj

    def remove(self, resource: str, namespace: str, name: str) -> Object | None:
        """Delete; gives the last state, with the deletion's resource version."""
        items = self._objects.get(resource, {})
        old = items.get((namespace, name))
        if old is None:
            return None
        revision = self.revision + 1
        where = "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?"
        self._write(where, (resource, namespace, name), revision)
        del items[(namespace, name)]
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(revision)}}
        self._publish(Change(revision, "DELETED", resource, last, old))
        return last

    def _write(self, statement: str, values: tuple[object, ...], revision: int) -> None:
        self._db.execute("BEGIN")
        try:
            self._db.execute(statement, values)
            self._db.execute("UPDATE revision SET value=?", (revision,))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self.revision = revision

    def _publish(self, change: Change) -> None:
        history = self._history.setdefault(change.resource, deque())
        history.append(change)
        if len(history) > _HISTORY:
            self._floors[change.resource] = history.popleft().revision
        for subscription in self._subscriptions.get(change.resource, ()):
            subscription.push(change)

    def subscribe(self, resource: str, since: int | None) -> tuple[Subscription, Callable[[], None]]:
        """Changes after revision `since` (None: from now on), and a function that ends it. Raises ExpiredError."""
        backlog: list[Change] = []
        if since is not None:
            floor = self._floors.get(resource, self._floor)
            if since < floor:
                raise ExpiredError(since, floor)
            backlog = [change for change in self._history.get(resource, ()) if change.revision > since]
        subscription = Subscription(backlog)
        found = self._subscriptions.setdefault(resource, [])
        found.append(subscription)
        return subscription, lambda: found.remove(subscription)
