"""Caches and loops that controllers are made of."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.kinds import kind
from cka_kubelet.kube import klog
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kube.reflector import Reflector

Object = dict[str, Any]
Key = tuple[str, str]
Handler = Callable[[Object | None, Object | None], None]

APIError = (StatusError, TransportError)
_RETRY_SECONDS = 1.0


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def namespace_ends(error: Exception) -> bool:
    """Whether a creation failed because its namespace is being deleted: nothing to complain about."""
    details = error.details or {} if isinstance(error, StatusError) else {}
    return any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ())


class Informer:
    """A cache of one resource, kept up to date by list and watch. `items` must not be changed."""

    def __init__(self, client: Client, path: str, type_name: str = "") -> None:
        self._handlers: list[Handler] = []
        self._reflector = Reflector(client, path, type_name or path, on_event=self._event, on_synced=self._synced)
        self.items: dict[Key, Object] = {}
        self.synced = asyncio.Event()

    def on_change(self, handler: Handler) -> None:
        """Call `handler(old, new)` for every change; None stands for absent."""
        self._handlers.append(handler)

    def get(self, namespace: str, name: str) -> Object | None:
        """An object from the cache."""
        return self.items.get((namespace, name))

    async def run(self) -> None:
        """List and watch until cancelled."""
        await self._reflector.run()

    def _synced(self) -> None:
        self.synced.set()

    def _event(self, kind: str, obj: Object) -> None:
        key = key_of(obj)
        old = self.items.get(key)
        new = None if kind == "DELETED" else obj
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        for handler in self._handlers:
            handler(old, new)


class Informers:
    """One informer a resource, shared by whoever asks for it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers: dict[str, Informer] = {}

    def get(self, resource: str) -> Informer:
        """The informer of a resource such as `pods` or `jobs.batch`."""
        if resource not in self._informers:
            which = kind(resource)
            self._informers[resource] = Informer(self._client, which.path(), f"*{which.version}.{which.kind}")
        return self._informers[resource]

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run all of them."""
        for informer in self._informers.values():
            group.create_task(informer.run())


async def each(items: Iterable[Object], one: Callable[[Object], Awaitable[None]]) -> None:
    """Run `one` on every object that is not being deleted. Nobody waits for another's failure; the first is raised."""
    failed: Exception | None = None
    for item in list(items):
        if item["metadata"].get("deletionTimestamp"):
            continue
        try:
            await one(item)
        except Exception as error:  # an object may hold anything; the others still need their turn
            failed = failed or error
    if failed is not None:
        raise failed


class Loop:
    """Runs `sync` when kicked, and after the seconds that it returned at the latest. One run at a time.

    `sync` gives the seconds until it wants to run again (None: only when kicked). API errors are retried.
    """

    def __init__(self, name: str, sync: Callable[[], Awaitable[float | None]]) -> None:
        self._name = name
        self._sync = sync
        self._kicked = asyncio.Event()
        self._kicked.set()

    def kick(self, *_: object) -> None:
        """Ask for a run."""
        self._kicked.set()

    async def run(self, *informers: Informer) -> None:
        """Run until cancelled, once the informers have their first list."""
        for informer in informers:
            informer.on_change(self.kick)
            await informer.synced.wait()
        while True:
            self._kicked.clear()
            try:
                wait = await self._sync()
            except StatusError as error:
                wait = 0.05 if error.code == 409 else _RETRY_SECONDS
                if error.code not in (404, 409):
                    klog.error("controller.go:158", "Sync failed", err=error, controller=self._name)
            except TransportError as error:
                wait = _RETRY_SECONDS
                klog.error("controller.go:158", "Sync failed", err=error, controller=self._name)
            except Exception as error:  # a stored object that is not understood must not end the control plane
                wait = _RETRY_SECONDS
                text = f"{type(error).__name__}: {error}"
                klog.error("controller.go:158", "Sync failed", err=text, controller=self._name)
            try:
                async with asyncio.timeout(wait):
                    await self._kicked.wait()
            except TimeoutError:
                continue
