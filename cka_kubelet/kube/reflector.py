"""List and watch with upstream's rhythm and log lines (client-go tools/cache/reflector.go, WatchList semantics on).

A refused connection is retried in silence, as the watch-list path does; any other failure of the list is the
`"Failed to watch"` line. Back-off 0.8 s doubling to 30 s with full jitter, forgotten after two quiet minutes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import Object
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError

_FACTORY = "k8s.io/client-go/informers/factory.go:177"
_WATCH_SECONDS = (300, 600)


_OPENED = 1.0
"""A watch that breaks sooner than this (seconds) counts as one that could not be opened."""


class _WatchError(Exception):
    """The watch was refused for a reason that waiting does not cure: list again."""


class BackOff:
    """0.8 s doubling to 30 s, each with up to as much again at random; starts over after 120 s without use."""

    def __init__(self, first: float = 0.8, most: float = 30.0, reset: float = 120.0) -> None:
        self._first, self._most, self._reset = first, most, reset
        self._next = first
        self._last = float("-inf")

    def delay(self, now: float) -> float:
        """Seconds to wait before the next attempt; `now` from a monotonic clock."""
        if now - self._last > self._reset:
            self._next = self._first
        self._last = now
        delay = min(self._next, self._most)
        self._next = min(self._next * 2, self._most)
        return delay * (1 + random.random())  # noqa: S311  # jitter, not a secret


class _Client(Protocol):
    async def list(self, path: str, **options: object) -> Object: ...

    def watch(self, path: str, resource_version: str, **options: object) -> AsyncIterator[Object]: ...


class Reflector:
    """Keeps `items` (by `namespace/name`) equal to what the API server has, and tells `on_event(type, object)`.

    Types are ADDED, MODIFIED, DELETED. After each full list, differences are told the same way, then `on_synced`.
    `type_name` is Go's, e.g. `*v1.Node`, `name` the informer factory's line: both only for log lines.
    """

    def __init__(
        self,
        api: _Client,
        path: str,
        type_name: str,
        *,
        name: str = _FACTORY,
        on_event: Callable[[str, Object], None] | None = None,
        on_synced: Callable[[], None] | None = None,
        **options: object,
    ) -> None:
        self._api = api
        self._path = path
        self._type = type_name
        self._name = name
        self._on_event = on_event or (lambda _type, _object: None)
        self._on_synced = on_synced or (lambda: None)
        self._options = options
        self._version = ""
        self._back_off = BackOff()
        self.items: dict[str, Object] = {}
        self.synced = asyncio.Event()
        self.attempted = asyncio.Event()
        """Set when the first list has ended, well or not."""

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                try:
                    await self._list()
                finally:
                    self.attempted.set()
                await self._watch()
            except (StatusError, TransportError) as error:
                self._complain(error)
            except _WatchError as error:
                self._log(str(error))
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._back_off.delay(asyncio.get_running_loop().time()))

    def _complain(self, error: StatusError | TransportError) -> None:
        if isinstance(error, StatusError) and error.code == 410:
            self._version = ""
            return
        if isinstance(error, TransportError) and error.refused:
            return
        self._log(f"failed to list {self._type}: {error}")

    def _log(self, problem: str) -> None:
        klog.error(
            "reflector.go:204", "Failed to watch", err=problem, logger="UnhandledError", reflector=self._name,
            type=self._type,
        )  # fmt: skip

    async def _list(self) -> None:
        answer = await self._api.list(self._path, limit=500, resourceVersion=self._version or "0", **self._options)
        kind = str(answer.get("kind") or "").removesuffix("List")
        fresh: dict[str, Object] = {}
        for item in answer["items"]:
            if kind:
                item.setdefault("kind", kind)
                item.setdefault("apiVersion", answer.get("apiVersion", "v1"))
            fresh[key_of(item)] = item
        old, self.items = self.items, fresh
        for key, item in fresh.items():
            before = old.get(key)
            if before is None:
                self._on_event("ADDED", item)
            elif _version(before) != _version(item):
                self._on_event("MODIFIED", item)
        for key in old.keys() - fresh.keys():
            self._on_event("DELETED", old[key])
        self._version = _version(answer)
        self.synced.set()
        self._on_synced()

    async def _watch(self) -> None:
        """Watch until the list must be taken again."""
        while True:
            seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311  # spreads the load, not a secret
            started = asyncio.get_running_loop().time()
            try:
                async for event in self._api.watch(self._path, self._version, timeoutSeconds=seconds, **self._options):
                    self._apply(str(event.get("type")), event.get("object") or {})
            except TransportError as error:
                if not error.refused and asyncio.get_running_loop().time() - started < _OPENED:
                    raise _WatchError(str(error)) from error
                await self._pause()
                continue
            except StatusError as error:
                if error.code == 429:
                    await self._pause()
                    continue
                if error.code == 410:
                    self._version = ""
                    return
                raise _WatchError(str(error)) from error
            if asyncio.get_running_loop().time() - started < 1:
                await self._pause()

    def _apply(self, kind: str, item: Object) -> None:
        self._version = _version(item) or self._version
        if kind == "BOOKMARK":
            return
        key = key_of(item)
        if kind == "DELETED":
            self.items.pop(key, None)
        else:
            kind = "MODIFIED" if key in self.items else "ADDED"
            self.items[key] = item
        self._on_event(kind, item)


def key_of(item: Object) -> str:
    """`namespace/name`, or the bare name of a cluster-wide object."""
    metadata: dict[str, Any] = item.get("metadata") or {}
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata.get('name', '')}" if namespace else str(metadata.get("name", ""))


def _version(item: Object) -> str:
    return str((item.get("metadata") or {}).get("resourceVersion") or "")
