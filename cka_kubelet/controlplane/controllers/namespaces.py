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


class Namespaces:
    """One pass over all namespaces."""

    def __init__(
        self, client: Client, namespaces: Informer, accounts: Informer, config_maps: Informer, pods: Informer, ca: str
    ) -> None:
        self._client = client
        self._namespaces = namespaces
        self._accounts = accounts
        self._config_maps = config_maps
        self._pods = pods
        self._ca = Path(ca).read_text("ascii") if ca else ""

    async def sync(self) -> float | None:
        """Provide and empty; seconds until the next look while a namespace is ending."""
        ending = False
        for (_, name), namespace in list(self._namespaces.items.items()):
            if namespace["metadata"].get("deletionTimestamp"):
                ending = True
                await self._empty(name, namespace)
            else:
                await self._provide(name)
        return _RETRY_SECONDS if ending else None

    async def _provide(self, name: str) -> None:
        if self._accounts.get(name, "default") is None:
            await self._ensure(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
        if not self._ca:
            return
        found = self._config_maps.get(name, _CA_NAME)
        data = {"ca.crt": self._ca}
        if found is None:
            note = {"kubernetes.io/description": _CA_NOTE}
            body = {"metadata": {"name": _CA_NAME, "annotations": note}, "data": data}
            await self._ensure(f"/api/v1/namespaces/{name}/configmaps", body)
        elif found.get("data") != data:
            await self._client.update(f"/api/v1/namespaces/{name}/configmaps/{_CA_NAME}", {**found, "data": data})

    async def _ensure(self, path: str, body: Object) -> None:
        try:
            await self._client.create(path, body)
        except APIError as error:
            if getattr(error, "code", 0) not in (404, 409) and "being terminated" not in str(error):
                raise

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
