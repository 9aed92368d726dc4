"""Objects with resource versions: in memory for reading and watching, with a history; below, something that keeps them.

Stored objects are never changed in place; whoever wants to change one copies it first.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
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
    """A watch wants to start outside the history. `oldest` is the first revision that is left, or the newest."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.oldest = oldest


class ConflictError(Exception):
    """The stored object is not the one that the writer has read: somebody else was faster."""


class Subscription:
    """Changes of one resource from now on. Iterate with `next()`; None ends it (reader too slow, store set back)."""

    def __init__(self, backlog: list[Change]) -> None:
        self._queue: deque[Change] = deque(backlog)
        self._wake = asyncio.Event()
        self._ended = False

    def push(self, change: Change) -> None:
        """Called by the store for each write."""
        if len(self._queue) >= _QUEUE:
            self.end()
        else:
            self._queue.append(change)
        self._wake.set()

    def end(self) -> None:
        """Called by the store when the changes after those in the queue cannot be had."""
        self._ended = True
        self._wake.set()

    async def next(self) -> Change | None:
        """The next change; waits for it."""
        while not self._queue:
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def next_nowait(self) -> Change | None:
        """The next change if there is one already."""
        return self._queue.popleft() if self._queue else None


class Store(ABC):
    """All objects. Reading and watching is served from memory; writing is done by the class below.

    Reads may lag behind what others have written, except after `current()`; what this process has written, it sees.
    """

    def __init__(self) -> None:
        self.revision = 1
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: dict[str, deque[Change]] = {}
        self._floor = 1
        self._floors: dict[str, int] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}

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

    def subscribe(self, resource: str, since: int | None) -> tuple[Subscription, Callable[[], None]]:
        """Changes after revision `since` (None: from now on), and a function that ends it. Raises ExpiredError."""
        backlog: list[Change] = []
        if since is not None:
            floor = self._floors.get(resource, self._floor)
            if since < floor:
                raise ExpiredError(since, floor)
            if since > self.revision:  # from before an older state was restored; upstream leaves such a watch waiting
                raise ExpiredError(since, self.revision)
            backlog = [change for change in self._history.get(resource, ()) if change.revision > since]
        subscription = Subscription(backlog)
        found = self._subscriptions.setdefault(resource, [])
        found.append(subscription)
        return subscription, lambda: found.remove(subscription)

    @abstractmethod
    async def write(self, resource: str, obj: Object, old: Object | None) -> Object:
        """Put `obj` in the place of `old`, None for a new object. Gives it with its resource version.

        `obj` belongs to the store afterwards. Raises ConflictError when what is stored is not `old`; reads show it
        then. Raises StatusError when nothing can be stored at all.
        """

    @abstractmethod
    async def remove(self, resource: str, old: Object) -> Object:
        """Delete `old`; gives its last state, with the deletion's resource version. Raises what `write` raises."""

    @abstractmethod
    async def current(self) -> None:
        """Wait until reads show everything that anybody has written before this call. Raises StatusError."""

    async def announce(self, address: str) -> tuple[str, ...]:
        """Say that an API server is at this IP address. Gives the addresses of all that use this storage."""
        return (address,)

    @abstractmethod
    async def check(self) -> str:
        """What is wrong with the storage, "" when it is well; for /readyz."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of files and connections."""

    def _begin(self, objects: dict[str, dict[Key, Object]], revision: int) -> None:
        """Start from these objects, with no history before `revision`; watches of before end."""
        self._objects, self.revision, self._floor = objects, revision, revision
        self._history.clear()
        self._floors.clear()
        for found in self._subscriptions.values():
            for subscription in found:
                subscription.end()

    def _applied(self, resource: str, key: Key, obj: Object | None, revision: int) -> Object | None:
        """Take over one write (None: a deletion) and tell the watches. Gives the object as they see it."""
        items = self._objects.setdefault(resource, {})
        old = items.get(key)
        self.revision = revision
        if obj is not None:
            items[key] = obj
            self._publish(Change(revision, "MODIFIED" if old is not None else "ADDED", resource, obj, old))
            return obj
        if old is None:
            return None
        del items[key]
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(revision)}}
        self._publish(Change(revision, "DELETED", resource, last, old))
        return last

    def _publish(self, change: Change) -> None:
        history = self._history.setdefault(change.resource, deque())
        history.append(change)
        if len(history) > _HISTORY:
            self._floors[change.resource] = history.popleft().revision
        for subscription in self._subscriptions.get(change.resource, ()):
            subscription.push(change)


def key_of(obj: Object) -> Key:
    """Where an object is kept within its resource."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
