"""Events: correlate repeats, send them one after the other, retry as upstream does (client-go tools/record)."""

import asyncio
import random
import time
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.eventtext import go_event

Object = dict[str, Any]

_SLEEP = 10.0
_MAX_TRIES = 12
_QUEUE = 1000
_MAX_CACHED = 4096
_SIMILAR_LIMIT, _SIMILAR_WINDOW = 10, 600.0
_SPAM_BURST, _SPAM_REFILL = 25.0, 1 / 300
_COMPONENT = "kubelet"


def reference(item: Object, kind: str = "Pod", field_path: str = "") -> Object:
    """The reference that events about `item` carry; `field_path` e.g. `spec.containers{c}`."""
    metadata = item.get("metadata") or {}
    ref = {
        "kind": item.get("kind") or kind,
        "namespace": metadata.get("namespace", ""),
        "name": metadata.get("name", ""),
        "uid": metadata.get("uid", ""),
        "apiVersion": item.get("apiVersion") or "v1",
        "resourceVersion": metadata.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {key: value for key, value in ref.items() if value}


class EventCorrelator:
    """Decides, without I/O, what becomes of an event: new, a counted repeat, combined, or dropped (spam)."""

    def __init__(self) -> None:
        self._similar: dict[tuple[str, ...], tuple[set[str], float]] = {}
        self._seen: dict[tuple[str, ...], Object] = {}
        self._spam: dict[tuple[str, ...], tuple[float, float]] = {}

    def correlate(self, event: Object, now: float) -> tuple[Object, Object | None] | None:
        """(event, patch): `patch` None means create. None altogether: dropped, too many about this object."""
        group = self._group(event)
        names, last = self._similar.get(group, (set(), now))
        if now - last > _SIMILAR_WINDOW:
            names = set()
        combined = event["message"] not in names and len(names) >= _SIMILAR_LIMIT
        if not combined:
            names.add(event["message"])
        self._similar[group] = (names, now)
        key = (*group, "" if combined else event["message"])
        if combined:
            event = {**event, "message": f"(combined from similar events): {event['message']}"}
        seen = self._seen.get(key)
        patch = None
        if seen is not None:
            event = {
                **event,
                "metadata": seen["metadata"],
                "firstTimestamp": seen["firstTimestamp"],
                "count": seen["count"] + 1,
            }
            patch = {"count": event["count"], "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
        self._seen[key] = event
        self._trim()
        return None if self._is_spam(event, now) else (event, patch)

    def stored(self, event: Object) -> None:
        """Remember the name under which the API server keeps this event."""
        for cached in self._seen.values():
            if cached["metadata"]["name"] == event["metadata"]["name"]:
                cached["metadata"] = event["metadata"]

    def _group(self, event: Object) -> tuple[str, ...]:
        source, ref = event["source"], event["involvedObject"]
        fields = ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")
        reporter = (source["component"], source["host"])
        return (*reporter, *(str(ref.get(key, "")) for key in fields), event["type"], event["reason"])

    def _is_spam(self, event: Object, now: float) -> bool:
        key = self._group(event)[:7]
        tokens, last = self._spam.get(key, (_SPAM_BURST, now))
        tokens = min(_SPAM_BURST, tokens + (now - last) * _SPAM_REFILL)
        self._spam[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens < 1

    def _trim(self) -> None:
        for cache in (self._similar, self._seen, self._spam):
            while len(cache) > _MAX_CACHED:
                cache.pop(next(iter(cache)))


class EventRecorder:
    """Takes events at any time, never waits; `run()` sends them. Without `api` they are only logged at V(3)."""

    def __init__(self, api: APIClient | None, clock: Clock, host: str) -> None:
        self._api = api
        self._clock = clock
        self._host = host
        self._queue: asyncio.Queue[Object] = asyncio.Queue(_QUEUE)
        self._correlator = EventCorrelator()

    def event(
        self, ref: Object, type_: str, reason: str, message: str, annotations: dict[str, str] | None = None
    ) -> None:
        """Record an event about the object in `ref`. `type_` is Normal or Warning."""
        now = self._clock.now()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        namespace = ref.get("namespace") or "default"
        event: Object = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": f"{ref['name']}.{int(now * 1e9):x}", "namespace": namespace},
            "involvedObject": dict(ref),
            "reason": reason,
            "message": message,
            "source": {"component": _COMPONENT, "host": self._host},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": type_,
            "eventTime": None,
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._host,
        }
        if annotations:
            event["metadata"]["annotations"] = dict(annotations)
        klog.info(
            "event.go:389", "Event occurred", v=3, object=klog.KObj(ref.get("namespace", ""), ref["name"]),
            fieldPath=ref.get("fieldPath", ""), kind=ref.get("kind", ""), apiVersion=ref.get("apiVersion", ""),
            type=type_, reason=reason, message=message,
        )  # fmt: skip
        if self._api is None or self._queue.full():
            return
        self._queue.put_nowait({"event": event, "at": now})

    async def run(self) -> None:
        """Send what was recorded, in order, until cancelled."""
        while True:
            item = await self._queue.get()
            correlated = self._correlator.correlate(item["event"], self._clock.monotonic())
            if correlated is not None:
                await self._deliver(*correlated, at=item["at"])

    async def _deliver(self, event: Object, patch: Object | None, at: float) -> None:
        tries = 0
        while not await self._send(event, patch, at):
            tries += 1
            if tries >= _MAX_TRIES:
                klog.error("event.go:307", "Unable to write event (retry limit exceeded!)", event=go_event(event, at))
                return
            # The first wait is random, so that many nodes do not come back in step.
            await asyncio.sleep(_SLEEP * random.random() if tries == 1 else _SLEEP)  # noqa: S311

    async def _send(self, event: Object, patch: Object | None, at: float) -> bool:
        """True when there is nothing more to try."""
        if self._api is None:
            return True
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        try:
            if patch is not None and event["metadata"].get("resourceVersion"):
                try:
                    stored = await self._api.patch(f"{path}/{event['metadata']['name']}", patch)
                except StatusError as error:
                    if error.code != 404:
                        raise
                    event["metadata"] = {k: v for k, v in event["metadata"].items() if k in ("name", "namespace")}
                    stored = await self._api.create(path, event)
            else:
                stored = await self._api.create(path, event)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                klog.error(
                    "event.go:353", "Server rejected event (will not retry!)", err=error, event=go_event(event, at)
                )
            return True
        except TransportError as error:
            klog.error(
                "event.go:368", "Unable to write event (may retry after sleeping)", err=error, event=go_event(event, at)
            )
            return False
        metadata = stored.get("metadata") or {}
        event["metadata"] = {**event["metadata"], "resourceVersion": metadata.get("resourceVersion", "0")}
        self._correlator.stored(event)
        return True
