"""Who asks, and may they: client certificates and TokenReview; SubjectAccessReview with upstream's caches."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.configuration import KubeletConfiguration

CACHE_LIMIT = 1024


_REVIEWS = {
    "TokenReview": (observed.token_reviews, observed.token_review_seconds),
    "SubjectAccessReview": (observed.access_reviews, observed.access_review_seconds),
}


class User(NamedTuple):
    """An authenticated (or anonymous) client."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


class AuthorizationError(Exception):
    """The API server could not be asked."""


class Auth:
    """Authentication and authorization after the configuration's `authentication` and `authorization`."""

    def __init__(
        self,
        config: KubeletConfiguration,
        api: APIClient | None,
        node_name: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._node = node_name
        self._monotonic = monotonic
        self._anonymous = bool(config.at("authentication.anonymous.enabled"))
        self._webhook = bool(config.at("authentication.webhook.enabled"))
        self._always = config.at("authorization.mode") == "AlwaysAllow"
        self._token_ttl = config.duration("authentication.webhook.cacheTTL") or 120.0
        self._yes_ttl = config.duration("authorization.webhook.cacheAuthorizedTTL") or 300.0
        self._no_ttl = config.duration("authorization.webhook.cacheUnauthorizedTTL") or 30.0
        self._tokens: dict[str, tuple[float, User | None]] = {}
        self._decisions: dict[tuple[User, str, str], tuple[float, bool]] = {}

    async def authenticate(self, common_name: str, organizations: tuple[str, ...], bearer: str) -> User | None:
        """The user behind a verified certificate's subject or a bearer token; None: 401."""
        if common_name:
            return User(common_name, (*organizations, "system:authenticated"))
        if bearer and self._webhook and self._api is not None:
            return await self._review_token(bearer)
        if self._anonymous and not bearer:
            return User("system:anonymous", ("system:unauthenticated",))
        return None

    async def _review_token(self, token: str) -> User | None:
        kept, began = self._tokens.get(token), self._monotonic()
        hit = kept is not None and began < kept[0]
        try:
            return kept[1] if kept is not None and hit else await self._fetch_token(token)
        finally:
            status = "hit" if hit else "miss"
            observed.token_requests.add(status)
            observed.token_request_seconds.add(self._monotonic() - began, status)

    async def _fetch_token(self, token: str) -> User | None:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        try:
            answer = await self._review("/apis/authentication.k8s.io/v1/tokenreviews", review)
            observed.token_fetches.add("ok")
        except (StatusError, TransportError) as error:
            observed.token_fetches.add("error")
            klog.error("server.go:334", "Unable to authenticate the request due to an error", err=error)
            return None
        status = answer.get("status") or {}
        user = None
        if isinstance(status, dict) and status.get("authenticated"):
            found = status.get("user") or {}
            groups = tuple(found.get("groups") or ())
            if "system:authenticated" not in groups:
                groups = (*groups, "system:authenticated")
            user = User(str(found.get("username") or ""), groups, str(found.get("uid") or ""))
        _trim(self._tokens)
        self._tokens[token] = (self._monotonic() + self._token_ttl, user)
        return user

    async def _review(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._api is None:
            raise AuthorizationError("no API server")
        counted = _REVIEWS[str(body["kind"])]
        began, code = self._monotonic(), "<error>"
        try:
            answer = await self._api.create(path, body)
            code = "201"
        except StatusError as error:
            code = str(error.code)
            raise
        finally:
            counted[0].add(code)
            counted[1].add(self._monotonic() - began, code)
        return answer

    async def allowed(self, user: User, verb: str, subresources: tuple[str, ...]) -> bool:
        """Whether one of the node's subresources may be used. Raises AuthorizationError."""
        if self._always:
            return True
        for subresource in subresources:
            if await self._allowed(user, verb, subresource):
                return True
        return False

    async def _allowed(self, user: User, verb: str, subresource: str) -> bool:
        key = (user, verb, subresource)
        kept = self._decisions.get(key)
        if kept and self._monotonic() < kept[0]:
            return kept[1]
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node,
        }
        spec: dict[str, Any] = {"user": user.name, "groups": list(user.groups), "resourceAttributes": attributes}
        if user.uid:
            spec["uid"] = user.uid
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        try:
            answer = await self._review("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        except (StatusError, TransportError) as error:
            klog.error("webhook.go:269", "Failed to make webhook authorizer request", err=error)
            raise AuthorizationError(str(error)) from None
        status = answer.get("status")
        decision = bool(isinstance(status, dict) and status.get("allowed"))
        _trim(self._decisions)
        self._decisions[key] = (self._monotonic() + (self._yes_ttl if decision else self._no_ttl), decision)
        return decision


def _trim(cache: dict[Any, Any]) -> None:
    """Forget the oldest entries; a hostile client must not fill the memory."""
    while len(cache) >= CACHE_LIMIT:
        cache.pop(next(iter(cache)))
