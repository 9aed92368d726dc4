"""Where the API server keeps its objects: in etcd with `--etcd-servers`, else in a file of its own."""

import asyncio
from pathlib import Path

from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.sqlitestore import SQLiteStore
from cka_kubelet.controlplane.store import Store
from cka_kubelet.kube import klog

_DIAL_TIMEOUT = 20.0
"""Seconds that etcd has to be there (`storagebackend/factory/etcd3.go`)."""


class StorageError(Exception):
    """The API server cannot have its storage and has to end, as upstream's does: str() is the last line of its log."""


async def open_store(settings: Settings) -> Store:
    """The store, loaded. Raises StorageError; OSError and sqlite3.Error for a file of its own."""
    if not settings.words("etcd-servers"):
        return SQLiteStore(Path(settings.text("data-dir")) / "state.db")
    from cka_kubelet.controlplane.etcd.client import Client, EtcdError  # only loaded where there is an etcd
    from cka_kubelet.controlplane.etcd.compactor import compact_for_ever
    from cka_kubelet.controlplane.etcd.servers import Files, Servers, client_context
    from cka_kubelet.controlplane.etcd.store import EtcdStore

    klog.raw("I", "instance.go:240", "Using reconciler: lease")
    try:
        context = client_context(
            Files(*(settings.text(name) for name in ("etcd-cafile", "etcd-certfile", "etcd-keyfile")))
        )
        client = Client(Servers(settings.words("etcd-servers"), context), klog)
        try:
            await client.connected(_DIAL_TIMEOUT)
            store = await EtcdStore.open(client, settings.text("etcd-prefix"))
        except BaseException:
            await client.close()
            raise
    except TimeoutError as error:
        raise _failed("context deadline exceeded") from error
    except (EtcdError, ValueError) as error:
        raise _failed(str(error)) from error
    interval = settings.seconds("etcd-compaction-interval")
    if interval:
        store.accompany(asyncio.create_task(compact_for_ever(client, interval)))
    return store


def _failed(why: str) -> StorageError:
    return StorageError(f"Error creating leases: error creating storage factory: {why}")
