"""Watches: changes of the store as the watcher's selectors see them, with bookmarks and an end."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from cka_kubelet.controlplane.fields import field_getter
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.controlplane.requestinfo import Query, first, is_true
from cka_kubelet.controlplane.store import Change, ExpiredError, Store, Subscription
from cka_kubelet.kube import apistatus, labels

Object = dict[str, Any]
Event = dict[str, Any]

_BOOKMARK_SECONDS = 60.0
_MIN_TIMEOUT = 1800


class Filter:
    """A watcher's view: one namespace or all, and selectors."""

    def __init__(self, namespace: str, label: labels.Selector, field: tuple[labels.FieldRequirement, ...]) -> None:
        self._namespace = namespace
        self._label = label
        self._field = field

    def sees(self, obj: Object | None) -> bool:
        """Whether the object belongs to the view."""
        if obj is None:
            return False
        metadata = obj["metadata"]
        if self._namespace and metadata.get("namespace", "") != self._namespace:
            return False
        if self._label and not labels.matches(self._label, metadata.get("labels")):
            return False
        return not self._field or labels.matches_fields(self._field, field_getter(obj))

    def event(self, change: Change) -> Event | None:
        """The event that a change is for this watcher: leaving the view is a deletion, entering it an addition."""
        if change.type == "DELETED":
            return {"type": "DELETED", "object": change.object} if self.sees(change.old) else None
        before, after = self.sees(change.old), self.sees(change.object)
        if after:
            return {"type": "MODIFIED" if before else "ADDED", "object": change.object}
        if before and change.old is not None:
            metadata = {**change.old["metadata"], "resourceVersion": str(change.revision)}
            return {"type": "DELETED", "object": {**change.old, "metadata": metadata}}
        return None


def _bookmark(kind: Kind, revision: int, *, initial: bool = False) -> Event:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {
        "type": "BOOKMARK",
        "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata},
    }


async def start(store: Store, kind: Kind, view: Filter, query: Query) -> AsyncIterator[Event]:
    """The events of a watch. Raises StatusError (410, 400) before the first one."""
    asked = first(query, "resourceVersion")
    initial = is_true(query, "sendInitialEvents") or asked in ("", "0")
    try:
        since = None if initial else int(asked)
    except ValueError as error:
        raise apistatus.bad_request(f'resourceVersion: Invalid value: "{asked}": strconv.ParseUint') from error
    if (initial and asked != "0") or (since or 0) > store.revision:
        await store.current()
    try:
        subscription, stop = store.subscribe(kind.storage, since)
    except ExpiredError as error:
        raise apistatus.gone(str(error)) from error
    backlog: list[Event] = []
    if initial:
        backlog = [{"type": "ADDED", "object": item} for item in store.list(kind.storage) if view.sees(item)]
        if is_true(query, "sendInitialEvents"):
            backlog.append(_bookmark(kind, store.revision, initial=True))
    limit = first(query, "timeoutSeconds")
    seconds = float(limit) if limit.isdecimal() else float(random.randint(_MIN_TIMEOUT, 2 * _MIN_TIMEOUT))  # noqa: S311
    events = _run(store, kind, view, subscription, backlog, seconds, is_true(query, "allowWatchBookmarks"))
    return _closing(events, stop)


async def _closing(events: AsyncIterator[Event], stop: Any) -> AsyncIterator[Event]:
    try:
        async for event in events:
            yield event
    finally:
        stop()


async def _run(
    store: Store,
    kind: Kind,
    view: Filter,
    subscription: Subscription,
    backlog: list[Event],
    seconds: float,
    bookmarks: bool,
) -> AsyncIterator[Event]:
    for event in backlog:
        yield event
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        try:
            async with asyncio.timeout(min(left, _BOOKMARK_SECONDS)):
                change = await subscription.next()
        except TimeoutError:
            if bookmarks:
                yield _bookmark(kind, store.revision)
            continue
        if change is None:
            return
        found = view.event(change)
        if found is not None:
            yield found
