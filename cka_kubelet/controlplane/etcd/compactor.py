"""Compaction: what is older than an interval is forgotten, by one of the API servers that share an etcd.

The version of the key `compact_rev_key` is the number of compactions so far. Whoever raises it does the next one; the
others see that somebody did (`k8s.io/apiserver/pkg/storage/etcd3/compact.go`).
"""

import asyncio

from cka_kubelet.controlplane.etcd.client import Client, EtcdError
from cka_kubelet.controlplane.etcd.messages import VERSION
from cka_kubelet.kube import klog

_KEY = b"compact_rev_key"
_TIMEOUT = 30.0


async def compact_for_ever(client: Client, interval: float) -> None:
    """Compact every `interval` seconds to where etcd was one interval before, until cancelled."""
    version = revision = 0
    while True:
        await asyncio.sleep(interval)
        try:
            version, revision = await compact(client, version, revision)
        except EtcdError as error:
            klog.raw("E", "compact.go:191", f"etcd: endpoint compact failed: {error}")


async def compact(client: Client, version: int, revision: int) -> tuple[int, int]:
    """Compact to `revision` if there have been `version` compactions so far. Gives both numbers for the next time."""
    answer = await client.txn(
        _TIMEOUT,
        compare=[{"target": VERSION, "key": _KEY, "version": version}],
        success=[{"put": {"key": _KEY, "value": str(revision).encode()}}],
        failure=[{"range": {"key": _KEY}}],
    )
    now = int(answer["header"]["revision"])
    if not answer["succeeded"]:
        found = answer["responses"][0]["range"]["kvs"]  # none after a restore to before the first compaction
        return int(found[0]["version"]) if found else 0, now
    if revision:
        await client.compact(_TIMEOUT, revision)
    return version + 1, now
