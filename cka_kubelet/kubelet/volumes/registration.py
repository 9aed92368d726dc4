"""Noticing plugins: sockets in plugins_registry, and the node's CSINode, which exists before any driver does."""

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.volumes.sources import ObjectSource

if TYPE_CHECKING:
    from cka_kubelet.kubelet.volumes.csi.volumes import CSI

Object = dict[str, Any]
_FIRST, _MOST = 0.5, 122.0


class PluginRegistry:
    """Watches `<root>/plugins_registry`; `csi()` is loaded when the first plugin or CSI volume appears."""

    def __init__(
        self, root_dir: str, node_name: str, api: APIClient | None, registered: asyncio.Event, source: ObjectSource
    ) -> None:
        self._root = root_dir
        self._node_name = node_name
        self._api = api
        self._registered = registered
        self._source = source
        self._csi: CSI | None = None
        self._seen: set[Path] = set()

    def csi(self) -> "CSI":
        """What handles CSI drivers' volumes."""
        if self._csi is None:
            from cka_kubelet.kubelet.volumes.csi.drivers import Drivers
            from cka_kubelet.kubelet.volumes.csi.volumes import CSI

            drivers = Drivers(Path(self._root, "plugins_registry"), self._node_name, self._api)
            self._csi = CSI(drivers, self._root, self._node_name, self._api, self._source)
        return self._csi

    def known(self) -> list[tuple[str, str]]:
        """Each socket's path with `desired_state_of_world`, and `actual_state_of_world` once it is registered."""
        registered = self._csi.drivers.registered() if self._csi is not None else ()
        states = (("desired_state_of_world", map(str, self._seen)), ("actual_state_of_world", registered))
        return [(path, state) for state, paths in states for path in paths]

    async def run(self) -> None:
        """Make the CSINode once the Node is registered; then register plugins as their sockets come and go.

        The directory is looked at each second; what fails is tried again ever more slowly.
        """
        registry = Path(self._root, "plugins_registry")
        for folder in (registry, Path(self._root, "plugins")):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if self._api is not None:
            await self._registered.wait()
        delay, due, made = _FIRST, 0.0, self._api is None
        clock = asyncio.get_running_loop().time
        while True:
            made = made or await self._make_csi_node()
            now = set(sockets(registry))
            if now != self._seen or (due and clock() >= due):
                self._seen = now
                good = await self.csi().drivers.look()
                delay = _FIRST if good else min(delay * 2, _MOST)
                due = 0.0 if good else clock() + delay
            await asyncio.sleep(1)

    async def _make_csi_node(self) -> bool:
        try:
            if self._api is not None:
                await ensure_csi_node(self._api, self._node_name)
        except (StatusError, TransportError) as error:
            text = "Failed to initialize CSINode"
            klog.error("csi_plugin.go:292", text, err=f"error updating CSINode annotation: {error}")
            return False
        return True


async def ensure_csi_node(api: APIClient, node_name: str) -> Object:
    """The node's CSINode, made when it is missing. Raises StatusError, TransportError."""
    try:
        return await api.get(csi_node_path(node_name))
    except StatusError as error:
        if error.code != 404:
            raise
    node = await api.get(f"/api/v1/nodes/{node_name}")
    owner = {"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node["metadata"]["uid"]}
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": node_name, "ownerReferences": [owner]},
        "spec": {"drivers": []},
    }
    return await api.create("/apis/storage.k8s.io/v1/csinodes", body)


def csi_node_path(node_name: str) -> str:
    """The URL path of a node's CSINode."""
    return f"/apis/storage.k8s.io/v1/csinodes/{node_name}"


def sockets(registry: Path) -> list[Path]:
    """Plugin sockets in `registry`; none while it does not exist."""
    try:
        return [file for file in registry.iterdir() if stat.S_ISSOCK(file.lstat().st_mode)]
    except OSError:
        return []
