"""What controllers need of an API client. `localclient` and `kube.apiclient.APIClient` fit it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

Object = dict[str, Any]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


class Client(Protocol):
    """REST verbs on objects. Results belong to the API: copy before changing. Raises StatusError, TransportError."""

    async def get(self, path: str, **options: object) -> Object:
        """One object."""
        ...

    async def list(self, path: str, **options: object) -> Object:
        """A list object."""
        ...

    async def create(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """POST."""
        ...

    async def update(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """PUT."""
        ...

    async def patch(self, path: str, body: object, content_type: str = STRATEGIC_MERGE, **options: object) -> Object:
        """PATCH."""
        ...

    async def delete(self, path: str, body: Mapping[str, Any] | None = None, **options: object) -> Object:
        """DELETE."""
        ...

    def watch(self, path: str, resource_version: str, **options: object) -> AsyncIterator[Object]:
        """Watch events from a resource version on."""
        ...
