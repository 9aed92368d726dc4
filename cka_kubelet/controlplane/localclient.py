"""The API client that stays inside the process of the API server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cka_kubelet.controlplane import requestinfo
from cka_kubelet.controlplane.client import STRATEGIC_MERGE
from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.resources import Resources

Object = dict[str, Any]


class LocalClient:
    """Calls the API without HTTP, as `user`, authorized like anybody else."""

    def __init__(self, resources: Resources, user: User) -> None:
        self._resources = resources
        self._user = user

    async def _call(
        self, method: str, path: str, body: Any, options: Mapping[str, object], content_type: str = ""
    ) -> Object:
        await asyncio.sleep(0)  # a call lets others run, as one over the network would
        info, query = self._request(method, path, options)
        return (await self._resources.call(self._user, info, query, body, content_type)).object

    def _request(
        self, method: str, path: str, options: Mapping[str, object]
    ) -> tuple[requestinfo.RequestInfo, requestinfo.Query]:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        query |= {key: [str(value)] for key, value in options.items() if value not in (None, "", False)}
        info = requestinfo.parse(method, parts.path, query)
        self._resources.authorizer.check(self._user, info.attributes(query))
        return info, query

    async def get(self, path: str, **options: object) -> Object:
        """One object."""
        return await self._call("GET", path, {}, options)

    async def list(self, path: str, **options: object) -> Object:
        """A list object: one page, as large as it has to be."""
        return await self._call("GET", path, {}, {**options, "limit": None})

    async def create(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """POST."""
        return await self._call("POST", path, dict(body), options)

    async def update(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """PUT."""
        return await self._call("PUT", path, dict(body), options)

    async def patch(self, path: str, body: object, content_type: str = STRATEGIC_MERGE, **options: object) -> Object:
        """PATCH."""
        return await self._call("PATCH", path, body, options, content_type)

    async def delete(self, path: str, body: Mapping[str, Any] | None = None, **options: object) -> Object:
        """DELETE."""
        return await self._call("DELETE", path, dict(body or {}), options)

    async def watch(self, path: str, resource_version: str, **options: object) -> AsyncIterator[Object]:
        """Watch events."""
        options = {**options, "watch": "true", "resourceVersion": resource_version}
        info, query = self._request("GET", path, options)
        async for event in await self._resources.watch(info, query):
            yield event
