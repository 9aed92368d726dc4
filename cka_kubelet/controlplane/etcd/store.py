"""The store that keeps objects in etcd: written with transactions, read from a cache that etcd's watch feeds.

Several API servers, etcdctl and restored snapshots may change what is below the prefix; the cache follows.
"""

import asyncio
import contextlib
import json
from typing import Any

from cka_kubelet.controlplane.etcd.client import Client, EtcdError, Watch
from cka_kubelet.controlplane.etcd.keys import Layout, after
from cka_kubelet.controlplane.etcd.messages import DELETE, MOD, Message
from cka_kubelet.controlplane.store import ConflictError, Key, Object, Store, key_of
from cka_kubelet.kube import klog
from cka_kubelet.kube.apistatus import StatusError

_READ_TIMEOUT, _WRITE_TIMEOUT = 60.0, 34.0
"""Seconds for a request: --request-timeout, and what upstream leaves a write (`handlers/rest.go`)."""
_HEALTH_TIMEOUT = 2.0
_GOODBYE_TIMEOUT = 1.0
_MASTER_SECONDS = 15
"""How long an API server is counted after its last word (`controlplane/reconcilers/lease.go`)."""
_PAGE = 500
_RETRY_SECONDS = 1.0
_PATIENCE = 0.05
"""Seconds after which a watch is asked how far it has come: what is waited for may not be below the prefix."""
_TIMED_OUT = "Timeout: request did not complete within requested timeout - context deadline exceeded"

Objects = dict[str, dict[Key, Object]]


class SetBackError(Exception):
    """What etcd has is no continuation of what the cache has seen: an older snapshot, or another cluster."""


class EtcdStore(Store):
    """All objects below a prefix of etcd. Make one with `open`."""

    def __init__(self, client: Client, prefix: str) -> None:
        super().__init__()
        self._client = client
        self._layout = Layout(prefix)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._watch: Watch | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._announced = b""

    @classmethod
    async def open(cls, client: Client, prefix: str) -> "EtcdStore":
        """Load everything and follow. Raises EtcdError."""
        store = cls(client, prefix)
        store._begin(*await store._load())
        store.accompany(asyncio.create_task(store._follow()))
        return store

    def accompany(self, task: asyncio.Task[None]) -> None:
        """Cancel `task` when this closes."""
        self._tasks.append(task)

    async def close(self) -> None:
        """Stop following, take back what was announced and hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._announced:
            with contextlib.suppress(EtcdError):
                await self._client.txn(_GOODBYE_TIMEOUT, success=[{"delete_range": {"key": self._announced}}])
        await self._client.close()

    # writing

    async def write(self, resource: str, obj: Object, old: Object | None) -> Object:
        """Create or replace."""
        metadata = obj["metadata"]
        metadata.pop("resourceVersion", None)  # upstream does not store it either: it is the key's revision
        key = self._layout.key(resource, *key_of(obj))
        value = json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()
        revision = await self._commit(key, old, {"put": {"key": key, "value": value}})
        metadata["resourceVersion"] = str(revision)
        return obj

    async def remove(self, resource: str, old: Object) -> Object:
        """Delete."""
        key = self._layout.key(resource, *key_of(old))
        revision = await self._commit(key, old, {"delete_range": {"key": key}})
        return {**old, "metadata": {**old["metadata"], "resourceVersion": str(revision)}}

    async def announce(self, address: str) -> tuple[str, ...]:
        """Upstream's lease reconciler: `masterleases/ADDRESS`, which goes when it is not renewed."""
        folder = self._layout.root + b"masterleases/"
        self._announced = key = folder + address.encode()
        try:
            lease = await self._client.lease_grant(_WRITE_TIMEOUT, _MASTER_SECONDS)
            put = {"key": key, "value": b"{}", "lease": lease}
            await self._client.txn(_WRITE_TIMEOUT, success=[{"put": put}])
            found = await self._client.range(_READ_TIMEOUT, key=folder, range_end=after(folder))
        except EtcdError as error:
            raise _status(error) from error
        return tuple(pair["key"].removeprefix(folder).decode("utf-8", "replace") for pair in found["kvs"])

    async def _commit(self, key: bytes, old: Object | None, operation: Message) -> int:
        """Do `operation` if `key` is as in `old`, and wait until the cache shows it. Gives the revision."""
        expected = int(old["metadata"]["resourceVersion"]) if old is not None else 0
        compare = {"target": MOD, "key": key, "mod_revision": expected}
        try:
            answer = await self._client.txn(_WRITE_TIMEOUT, compare=[compare], success=[operation])
        except EtcdError as error:
            raise _status(error) from error
        revision = int(answer["header"]["revision"])
        with contextlib.suppress(StatusError):  # it is stored, even if the watch has broken meanwhile
            await self._reached(revision, _WRITE_TIMEOUT)
        if not answer["succeeded"]:
            raise ConflictError
        return revision

    # reading

    async def current(self) -> None:
        """Ask etcd for its revision, and wait for the cache to have it."""
        try:
            answer = await self._client.range(_READ_TIMEOUT, key=self._layout.root + b"health", count_only=1)
        except EtcdError as error:
            raise _status(error) from error
        await self._reached(int(answer["header"]["revision"]), _READ_TIMEOUT)

    async def check(self) -> str:
        """Whether etcd answers."""
        try:
            await self._client.range(_HEALTH_TIMEOUT, key=self._layout.root + b"health")
        except EtcdError as error:
            return f"error getting data from etcd: {error}"
        return ""

    async def _reached(self, revision: int, timeout: float) -> None:
        """Wait until the cache has seen `revision`. Raises StatusError when that takes too long."""
        if self.revision >= revision:
            return
        waiting = asyncio.get_running_loop().create_future()
        entry = (revision, waiting)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout):
                while not waiting.done():
                    await asyncio.wait((waiting,), timeout=_PATIENCE)
                    if not waiting.done() and self._watch is not None:
                        self._watch.progress()
        except TimeoutError:
            raise StatusError(504, "Timeout", _TIMED_OUT) from None
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        self._release(self.revision)

    def _release(self, revision: int | None) -> None:
        """Let those go who wait for a revision up to this one; None for everybody."""
        for entry in [entry for entry in self._waiting if revision is None or entry[0] <= revision]:
            self._waiting.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    # following

    async def _follow(self) -> None:
        """Watch until cancelled. Whenever the watch breaks, compare everything, then watch again."""
        while True:
            try:
                await self._watch_events()
            except EtcdError as error:
                severity, line = ("W", 331) if "compacted" in str(error) else ("E", 335)
                klog.raw(severity, f"watcher.go:{line}", f"watch chan error: {error}")
            self._watch = None
            await self._resync()

    async def _watch_events(self) -> None:
        root = self._layout.root
        self._watch = watch = await self._client.watch(root, after(root), self.revision + 1)
        try:
            while True:
                response = await watch.next()
                if response["canceled"]:
                    why = response["cancel_reason"] or "etcdserver: mvcc: required revision has been compacted"
                    raise EtcdError(why)
                events = response["events"]
                for event in events:
                    self._take(event)
                if events:
                    self._advance(int(events[-1]["kv"]["mod_revision"]))
                elif not response["created"]:  # progress: nothing is outstanding, unlike at a watch's creation
                    self._advance(int(response["header"]["revision"]))
        finally:
            watch.cancel()

    def _take(self, event: Message) -> None:
        pair = event["kv"]
        place = self._layout.parse(pair["key"])
        if place is not None:
            resource, namespace, name = place
            obj = None if event["type"] == DELETE else _decode(pair)
            self._applied(resource, (namespace, name), obj, int(pair["mod_revision"]))

    async def _resync(self) -> None:
        """Bring the cache to what etcd has now, as soon as etcd answers."""
        while True:
            try:
                objects, revision = await self._load()
                break
            except EtcdError:
                await asyncio.sleep(_RETRY_SECONDS)
        try:
            self._catch_up(objects, revision)
        except SetBackError:
            text = "etcd is not what it was: an older snapshot, perhaps. Every watch has to begin anew"
            klog.warning("watcher.go:338", text, revision=revision)
            self._begin(objects, revision)
            self._release(None)
        self._advance(revision)

    def _catch_up(self, objects: Objects, revision: int) -> None:
        """Apply the differences between the cache and `objects` as if the watch had brought them."""
        if revision < self.revision:
            raise SetBackError
        changed: list[tuple[int, str, Key, Object | None]] = []
        for resource in {*self._objects, *objects}:
            have, there = self._objects.get(resource, {}), objects.get(resource, {})
            changed += [(revision, resource, key, None) for key in have.keys() - there.keys()]
            for key, obj in there.items():
                if key not in have or have[key]["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                    changed.append((int(obj["metadata"]["resourceVersion"]), resource, key, obj))
        changed.sort(key=lambda each: each[:3])
        if changed and changed[0][0] <= self.revision:
            raise SetBackError
        for at, resource, key, found in changed:
            self._applied(resource, key, found, at)

    async def _load(self) -> tuple[Objects, int]:
        """Everything below the prefix, and the revision at which it was so. Raises EtcdError."""
        objects: Objects = {}
        start, end, revision = self._layout.root, after(self._layout.root), 0
        while True:
            page = await self._client.range(_READ_TIMEOUT, key=start, range_end=end, limit=_PAGE, revision=revision)
            revision = revision or int(page["header"]["revision"])
            for pair in page["kvs"]:
                place = self._layout.parse(pair["key"])
                obj = _decode(pair) if place is not None else None
                if place is not None and obj is not None:
                    objects.setdefault(place[0], {})[place[1:]] = obj
            if not page["more"]:
                return objects, revision
            start = page["kvs"][-1]["key"] + b"\0"


def _decode(pair: Message) -> Object | None:
    """The object in a key; None, and a line in the log, for what nobody of us has written."""
    try:
        obj: Any = json.loads(pair["value"])
        obj["metadata"]["resourceVersion"] = str(pair["mod_revision"])
        key_of(obj)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        text = f"unable to decode {pair['key'].decode('utf-8', 'replace')}: {type(error).__name__}: {error}"
        klog.error("watcher.go:671", "failed to decode object", err=text)
        return None
    found: Object = obj
    return found


def _status(error: EtcdError) -> StatusError:
    """What a client is told: etcd's own words, as upstream passes them on."""
    if error.deadline:
        return StatusError(504, "Timeout", _TIMED_OUT)
    klog.unhandled("status.go:71", f"apiserver received an error that is not an metav1.Status: {error.go}: {error}")
    return StatusError(500, "", str(error))
