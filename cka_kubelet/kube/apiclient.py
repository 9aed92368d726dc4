"""A small client for the Kubernetes API: REST verbs on plain dicts, watch, and an upstream-like reflector.

Raises `StatusError` when the API server answered with a failure, `TransportError` when it did not answer.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import HTTPClient, HTTPResponse

Object = dict[str, Any]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_JSON = (("accept", "application/json"),)


def query(**options: object) -> str:
    """`?a=b&c=d`, keys sorted as Go's url.Values does; empty values left out."""
    pairs = sorted((key, str(value)) for key, value in options.items() if value not in (None, "", False))
    return "?" + urlencode(pairs, quote_via=quote, safe="") if pairs else ""


def status_error(response: HTTPResponse) -> StatusError:
    """The failure that an answer holds; a bare HTTP error becomes the Status client-go would make of it."""
    try:
        body = json.loads(response.body)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return StatusError(
            int(body.get("code") or response.status),
            str(body.get("reason") or ""),
            str(body.get("message") or ""),
            body.get("details"),
        )
    text = response.body.decode("utf-8", "replace").strip()
    reasons = {
        401: ("Unauthorized", "Unauthorized"),
        404: ("NotFound", "the server could not find the requested resource"),
    }
    reason, message = reasons.get(
        response.status, ("InternalError", text or f"the server responded with status {response.status}")
    )
    return StatusError(response.status, reason, message, None)


def _parse(body: bytes) -> Object:
    try:
        value = json.loads(body) if body else {}
    except ValueError as error:
        problem = f"couldn't get version/kind; json parse error: {error}"
        raise StatusError(500, "InternalError", problem, None) from error
    return value if isinstance(value, dict) else {}


class APIClient:
    """REST verbs. `timeout` in seconds becomes `?timeout=` as client-go does, and limits the whole call."""

    def __init__(self, http: HTTPClient, timeout: float | None = None) -> None:
        self.http = http
        self.timeout = timeout

    def with_timeout(self, timeout: float) -> "APIClient":
        """The same connections with a limit on each call: upstream's heartbeat client."""
        return APIClient(self.http, timeout)

    async def _call(
        self, method: str, path: str, body: object | None = None, content_type: str = "application/json"
    ) -> Object:
        if self.timeout is not None:
            path += ("&" if "?" in path else "?") + f"timeout={self.timeout:g}s"
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = [*_JSON, ("content-type", content_type)] if data is not None else list(_JSON)
        response = await self.http.request(method, path, body=data, headers=headers, timeout=self.timeout)
        if response.status >= 400:
            raise status_error(response)
        return _parse(response.body)

    async def get(self, path: str, **options: object) -> Object:
        """One object, or whatever JSON lives at `path`."""
        return await self._call("GET", path + query(**options))

    async def list(self, path: str, **options: object) -> Object:
        """A list object, all pages; `options` are query parameters (fieldSelector, resourceVersion, limit …)."""
        answer = await self._call("GET", path + query(**options))
        items = answer.get("items") or []
        token = (answer.get("metadata") or {}).get("continue")
        while token:
            page = await self._call("GET", path + query(**{**options, "resourceVersion": None, "continue": token}))
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
        answer["items"] = items
        return answer

    async def create(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """POST; gives the object as stored."""
        return await self._call("POST", path + query(**options), body)

    async def update(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """PUT; gives the object as stored."""
        return await self._call("PUT", path + query(**options), body)

    async def patch(self, path: str, body: object, content_type: str = STRATEGIC_MERGE, **options: object) -> Object:
        """PATCH, strategic merge unless told; gives the object as stored."""
        return await self._call("PATCH", path + query(**options), body, content_type)

    async def delete(self, path: str, body: Mapping[str, Any] | None = None, **options: object) -> Object:
        """DELETE with optional DeleteOptions."""
        return await self._call("DELETE", path + query(**options), body)

    async def watch(self, path: str, resource_version: str, **options: object) -> AsyncIterator[Object]:
        """Watch events `{"type": …, "object": …}` from `resource_version` on, until the server ends the stream.

        An ERROR event is raised as StatusError.
        """
        target = path + query(**options, watch="true", allowWatchBookmarks="true", resourceVersion=resource_version)
        async with self.http.stream("GET", target, headers=_JSON) as stream:
            if stream.status >= 400:
                raise status_error(HTTPResponse(stream.status, stream.headers, await stream.read()))
            async for line in stream.lines():
                if not line.strip():
                    continue
                event = _parse(line)
                if event.get("type") == "ERROR":
                    status = event.get("object") or {}
                    code = int(status.get("code") or 500)
                    raise StatusError(code, str(status.get("reason") or ""), str(status.get("message") or ""), None)
                yield event
