"""Events that controllers and the scheduler record, repeated ones counted up (`client-go/tools/record`)."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import STRATEGIC_MERGE, Client
from cka_kubelet.controlplane.controllers.informer import APIError, namespace_ends
from cka_kubelet.kube import klog
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]

_REMEMBERED = 512


class Recorder:
    """Records events as `component`."""

    def __init__(self, client: Client, component: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._component = component
        self._now = now
        self._known: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    async def event(self, obj: Object, kind: str, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an event about `obj`. What cannot be recorded is logged, never raised."""
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        about = {
            "kind": kind,
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "apiVersion": obj.get("apiVersion", "v1"),
            "resourceVersion": metadata.get("resourceVersion", "") if kind != "Node" else "",
        }
        about = {key: value for key, value in about.items() if value}
        key = (about.get("uid", ""), metadata["name"], reason, message)
        try:
            await self._write(key, namespace, about, reason, message, "Warning" if warning else "Normal")
        except APIError as error:
            if not namespace_ends(error):
                klog.error("event.go:380", "Unable to write event", err=error)

    async def _write(
        self, key: tuple[str, ...], namespace: str, about: Object, reason: str, message: str, kind: str
    ) -> None:
        now = timestamp(self._now())
        path = f"/api/v1/namespaces/{namespace}/events"
        known = self._known.get(key)
        if known is not None:
            name, count = known
            try:
                patch = {"count": count + 1, "lastTimestamp": now}
                await self._client.patch(f"{path}/{name}", patch, STRATEGIC_MERGE)
            except APIError:
                del self._known[key]  # expired: a new one is written below
            else:
                self._known[key] = (name, count + 1)
                return
        name = f"{about['name']}.{time.time_ns():x}{secrets.token_hex(1)}"
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
        await self._client.create(path, body)
        self._known[key] = (name, 1)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
