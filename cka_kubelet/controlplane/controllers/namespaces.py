"""What every namespace has (default service account, the cluster's CA), and how one is emptied and ended."""

from pathlib import Path
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import APIError, Informer
from cka_kubelet.controlplane.kinds import KINDS, VERBS
from cka_kubelet.kube import klog

Object = dict[str, Any]

_RETRY_SECONDS = 1.0
_CA_NAME = "kube-root-ca.crt"
_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class ServiceAccounts:
    """Every namespace has an account `default`."""

    def __init__(self, client: Client, namespaces: Informer, accounts: Informer) -> None:
        self._client = client
        self._namespaces = namespaces
        self._accounts = accounts

    async def sync(self) -> None:
        """Create those that are missing."""
        for name in _living(self._namespaces):
            if self._accounts.get(name, "default") is None:
                path = f"/api/v1/namespaces/{name}/serviceaccounts"
                await _ensure(self._client, path, {"metadata": {"name": "default"}})


class RootCAPublisher:
    """Every namespace has the cluster's CA in a ConfigMap. Raises OSError when the file `ca` cannot be read."""

    def __init__(self, client: Client, namespaces: Informer, config_maps: Informer, ca: str) -> None:
        self._client = client
        self._namespaces = namespaces
        self._config_maps = config_maps
        self._data = {"ca.crt": Path(ca).read_text("ascii")} if ca else None

    async def sync(self) -> None:
        """Create what is missing, correct what somebody changed."""
        for name in _living(self._namespaces) if self._data else ():
            path, found = f"/api/v1/namespaces/{name}/configmaps", self._config_maps.get(name, _CA_NAME)
            if found is None:
                metadata = {"name": _CA_NAME, "annotations": {"kubernetes.io/description": _CA_NOTE}}
                await _ensure(self._client, path, {"metadata": metadata, "data": self._data})
            elif found.get("data") != self._data:
                await self._client.update(f"{path}/{_CA_NAME}", {**found, "data": self._data})


def _living(namespaces: Informer) -> list[str]:
    items = namespaces.items.items()
    return [name for (_, name), namespace in items if not namespace["metadata"].get("deletionTimestamp")]


async def _ensure(client: Client, path: str, body: Object) -> None:
    try:
        await client.create(path, body)
    except APIError as error:
        if getattr(error, "code", 0) not in (404, 409) and "being terminated" not in str(error):
            raise


class Namespaces:
    """Empties namespaces that are being deleted, and then ends them."""

    def __init__(self, client: Client, namespaces: Informer) -> None:
        self._client = client
        self._namespaces = namespaces

    async def sync(self) -> float | None:
        """One pass; seconds until the next look while a namespace is ending."""
        ending = False
        for (_, name), namespace in list(self._namespaces.items.items()):
            if namespace["metadata"].get("deletionTimestamp"):
                ending = True
                await self._empty(name, namespace)
        return _RETRY_SECONDS if ending else None

    async def _empty(self, name: str, namespace: Object) -> None:
        left = 0
        for kind in KINDS:
            if not kind.namespaced or kind.verbs != VERBS or kind.resource == "events.events.k8s.io":
                continue
            path = kind.path(name)
            found = await self._client.list(path)
            if found["items"]:
                if kind.resource == "pods":
                    left += len(found["items"])
                await self._client.delete(path)
        if left:
            return
        try:
            body = {**namespace, "spec": {"finalizers": []}}
            await self._client.update(f"/api/v1/namespaces/{name}/finalize", body)
        except APIError as error:
            if getattr(error, "code", 0) not in (404, 409):
                klog.error("namespace_controller.go:171", "Failed to finalize namespace", err=error, namespace=name)
