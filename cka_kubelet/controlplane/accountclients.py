"""Clients that act as service accounts, one for each controller (controller-manager's clientbuilder).

Accounts are made in kube-system when they are missing, and their tokens asked for and renewed in time.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from cka_kubelet.controlplane import restclient
from cka_kubelet.controlplane.client import STRATEGIC_MERGE, Client
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.kubeconfig import RESTConfig

Object = dict[str, Any]

_ACCOUNTS = "/api/v1/namespaces/kube-system/serviceaccounts"
_SECONDS = 3600
_RENEW_AFTER = 0.8 * _SECONDS


class AccountClients:
    """Makes them. `root` creates accounts and asks for tokens."""

    def __init__(self, root: Client, config: RESTConfig, program: str) -> None:
        self._root = root
        self._config = config._replace(cert_file="", cert_data=b"", key_file="", key_data=b"", token="")
        self._program = program
        self._context = restclient.credentials(self._config)
        self._clients: dict[str, AccountClient] = {}

    def client(self, account: str) -> "AccountClient":
        """The client that acts as an account of kube-system."""
        if account not in self._clients:
            agent = f"{self._program}/system:serviceaccount:kube-system:{account}"
            api = restclient.client(self._config, self._context, agent)
            self._clients[account] = AccountClient(self._root, api, account)
        return self._clients[account]


class AccountClient:
    """A Client whose token is had when it is first needed. Raises what the API server says, as others do."""

    def __init__(self, root: Client, api: APIClient, account: str) -> None:
        self._root = root
        self._api = api
        self._account = account
        self._renew_at = 0.0
        self._asking = asyncio.Lock()

    async def _ready(self) -> APIClient:
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if not self._renew_at or now >= self._renew_at:
                self._api.http.token = await self._token()
                self._renew_at = now + _RENEW_AFTER
        return self._api

    async def _token(self) -> str:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        body = {**request, "spec": {"expirationSeconds": _SECONDS}}
        path = f"{_ACCOUNTS}/{self._account}/token"
        try:
            answer = await self._root.create(path, body)
        except StatusError as error:
            if error.code != 404:
                raise
            await self._create_account()
            answer = await self._root.create(path, body)
        return str(answer["status"]["token"])

    async def _create_account(self) -> None:
        try:
            await self._root.create(_ACCOUNTS, {"metadata": {"name": self._account, "namespace": "kube-system"}})
        except StatusError as error:
            if error.code != 409:
                raise

    async def _call(self, verb: str, *arguments: Any, **options: object) -> Object:
        api = await self._ready()
        try:
            return dict(await getattr(api, verb)(*arguments, **options))
        except StatusError as error:
            if error.code != 401:
                raise
            self._renew_at = 0.0  # the account or the key behind its token is another one now
            return dict(await getattr(await self._ready(), verb)(*arguments, **options))

    async def get(self, path: str, **options: object) -> Object:
        """One object."""
        return await self._call("get", path, **options)

    async def list(self, path: str, **options: object) -> Object:
        """A list object."""
        return await self._call("list", path, **options)

    async def create(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """POST."""
        return await self._call("create", path, body, **options)

    async def update(self, path: str, body: Mapping[str, Any], **options: object) -> Object:
        """PUT."""
        return await self._call("update", path, body, **options)

    async def patch(self, path: str, body: object, content_type: str = STRATEGIC_MERGE, **options: object) -> Object:
        """PATCH."""
        return await self._call("patch", path, body, content_type, **options)

    async def delete(self, path: str, body: Mapping[str, Any] | None = None, **options: object) -> Object:
        """DELETE."""
        return await self._call("delete", path, body, **options)

    async def watch(self, path: str, resource_version: str, **options: object) -> AsyncIterator[Object]:
        """Watch events."""
        async for event in (await self._ready()).watch(path, resource_version, **options):
            yield event
