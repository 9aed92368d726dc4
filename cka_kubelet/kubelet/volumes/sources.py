"""ConfigMaps, Secrets and service account tokens for pods, fetched when needed and kept for a while."""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.pods import objects

FRESH = 5.0
"""Seconds for which a fetched object is used again without asking."""
AT_A_TIME = 4
"""Requests in flight: pods that start together share kept-alive connections and the first one's answer."""
_PLURAL = {"configmap": "configmaps", "secret": "secrets"}


class ObjectSource:
    """What pods refer to. Every method raises LookupError(message) with upstream's text when it is not to be had."""

    def __init__(self, api: APIClient | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._monotonic = monotonic
        self._kept: dict[tuple[str, str, str], tuple[float, dict[str, Any]]] = {}
        self._tokens: dict[tuple[str, ...], tuple[float, str]] = {}
        self._gate = asyncio.Semaphore(AT_A_TIME)

    async def data(self, kind: str, namespace: str, name: str) -> dict[str, bytes]:
        """The data of a configmap or secret (`kind`), as bytes by key."""
        kept = self._kept.get((kind, namespace, name))
        if kept and self._monotonic() - kept[0] < FRESH:
            return kept[1]
        async with self._gate:
            return await self._fetch(kind, namespace, name)

    async def _fetch(self, kind: str, namespace: str, name: str) -> dict[str, bytes]:
        key = (kind, namespace, name)
        kept = self._kept.get(key)  # perhaps another pod asked while this one waited
        if kept and self._monotonic() - kept[0] < FRESH:
            return kept[1]
        if self._api is None:
            raise LookupError(f"failed to sync {kind} cache: no API server in standalone mode")
        try:
            found = await self._api.get(f"/api/v1/namespaces/{namespace}/{_PLURAL[kind]}/{name}")
        except StatusError as error:
            self._kept.pop(key, None)
            if error.code == 404:
                raise LookupError(f'{kind} "{name}" not found') from None
            raise LookupError(str(error)) from None
        except TransportError:
            if kept:
                return kept[1]
            raise LookupError(f"failed to sync {kind} cache: timed out waiting for the condition") from None
        values = _decode(found, kind)
        self._kept[key] = (self._monotonic(), values)
        return values

    async def token(self, pod: objects.Pod, audience: str, seconds: int) -> str:
        """A token of the pod's service account, bound to the pod; renewed after 80 % of its life."""
        account = pod["spec"].get("serviceAccountName") or "default"
        key = (objects.uid(pod), account, audience, str(seconds))
        kept = self._tokens.get(key)
        if kept and self._monotonic() < kept[0]:
            return kept[1]
        if self._api is None:
            raise LookupError("failed to fetch token: no API server in standalone mode")
        bound = {"kind": "Pod", "apiVersion": "v1", "name": objects.name(pod), "uid": objects.uid(pod)}
        spec = {"audiences": [audience] if audience else [], "expirationSeconds": seconds, "boundObjectRef": bound}
        request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
        path = f"/api/v1/namespaces/{objects.namespace(pod)}/serviceaccounts/{account}/token"
        try:
            async with self._gate:
                answer = await self._api.create(path, request)
        except (StatusError, TransportError) as error:
            if kept:
                return kept[1]
            raise LookupError(f"failed to fetch token: {error}") from None
        token = str((answer.get("status") or {}).get("token") or "")
        self._tokens[key] = (self._monotonic() + seconds * 0.8, token)
        return token

    def forget(self, uid: str) -> None:
        """The pod is gone: drop its tokens and everything stale."""
        for key in [k for k in self._tokens if k[0] == uid]:
            del self._tokens[key]
        now = self._monotonic()
        for stale in [k for k, (at, _) in self._kept.items() if now - at > 600]:
            del self._kept[stale]


def _decode(found: dict[str, Any], kind: str) -> dict[str, bytes]:
    if kind == "secret":
        return {k: base64.b64decode(v) for k, v in (found.get("data") or {}).items()}
    values = {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
    values.update({k: base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()})
    return values
