"""Bootstrap tokens: cluster-info signed with each, those that have expired removed (pkg/controller/bootstrap)."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import APIError, Informer
from cka_kubelet.controlplane.controllers.nodehealth import seconds
from cka_kubelet.kube import klog

Object = dict[str, Any]

_TYPE = "bootstrap.kubernetes.io/token"
_ID = re.compile(r"^[a-z0-9]{6}$")
_INFO, _SIGNATURE = "cluster-info", "jws-kubeconfig-"
_PATH = f"/api/v1/namespaces/kube-public/configmaps/{_INFO}"
_PERIOD = 60.0


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def detached_signature(content: str, token_id: str, secret: str) -> str:
    """A JWS (RFC 7515) of `content` by HS256, without the content in it."""
    head = _b64(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    message = f"{head}.{_b64(content.encode())}".encode()
    return f"{head}..{_b64(hmac.digest(secret.encode(), message, hashlib.sha256))}"


def token_of(secret: Object) -> dict[str, str]:
    """What a bootstrap token's secret holds; empty for any other secret."""
    if secret.get("type") != _TYPE:
        return {}
    try:
        return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    except ValueError:
        return {}


def expires(token: dict[str, str]) -> float | None:
    """When a token ends, seconds since the epoch; None for one that does not."""
    try:
        return seconds(token["expiration"]) if token.get("expiration") else None
    except ValueError:
        return 0.0


class BootstrapSigner:
    """Keeps the signatures in kube-public/cluster-info, one for each token that may sign."""

    def __init__(
        self, client: Client, secrets: Informer, config_maps: Informer, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._secrets = secrets
        self._config_maps = config_maps
        self._now = now

    async def sync(self) -> float | None:
        """Sign anew what has changed; seconds until the next look."""
        info = self._config_maps.get("kube-public", _INFO)
        data = dict((info or {}).get("data") or {})
        if info is None or "kubeconfig" not in data:
            return _PERIOD
        wanted = {key: value for key, value in data.items() if not key.startswith(_SIGNATURE)}
        for secret in self._secrets.items.values():
            token = token_of(secret)
            if token and self._signs(secret, token):
                name = token["token-id"]
                wanted[_SIGNATURE + name] = detached_signature(data["kubeconfig"], name, token["token-secret"])
        if wanted != data:
            await self._client.update(_PATH, {**info, "data": wanted})
        return _PERIOD

    def _signs(self, secret: Object, token: dict[str, str]) -> bool:
        end = expires(token)
        named = secret["metadata"]["name"] == f"bootstrap-token-{token.get('token-id')}"
        usable = named and bool(_ID.match(token.get("token-id", ""))) and bool(token.get("token-secret"))
        return usable and token.get("usage-bootstrap-signing") == "true" and (end is None or end > self._now())


class TokenCleaner:
    """Deletes tokens that have expired."""

    def __init__(self, client: Client, secrets: Informer, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._secrets = secrets
        self._now = now

    async def sync(self) -> float | None:
        """One pass; seconds until the next token expires."""
        waits = []
        for secret in list(self._secrets.items.values()):
            end = expires(token_of(secret))
            if end is None:
                continue
            if end > self._now():
                waits.append(end - self._now())
                continue
            await self._delete(secret)
        return max(min(waits), 0.1) if waits else None

    async def _delete(self, secret: Object) -> None:
        metadata = secret["metadata"]
        klog.info("tokencleaner.go:198", "Deleting expired secret", v=3, secret=f"kube-system/{metadata['name']}")
        try:
            path = f"/api/v1/namespaces/kube-system/secrets/{metadata['name']}"
            await self._client.delete(path, {"preconditions": {"uid": metadata["uid"]}})
        except APIError as error:
            if getattr(error, "code", 0) not in (404, 409):
                raise
