"""Drivers that registered at plugins_registry, and what the API knows of them (plugin manager, nodeinfomanager)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet.volumes import registration
from cka_kubelet.kubelet.volumes.csi import client
from cka_kubelet.kubelet.volumes.csi.wire import Message

_NODE_ID = "csi.volume.kubernetes.io/nodeid"
_MERGE = "application/merge-patch+json"
Object = dict[str, Any]


class Drivers:
    """Registers every plugin socket below `registry`. `endpoints`: socket by driver name."""

    def __init__(self, registry: Path, node_name: str, api: APIClient | None) -> None:
        self._registry = registry
        self._node_name = node_name
        self._api = api
        self._sockets: dict[str, str] = {}
        self.endpoints: dict[str, str] = {}

    def registered(self) -> list[str]:
        """The sockets of the drivers that are registered."""
        return list(self._sockets)

    async def look(self) -> bool:
        """Register new sockets, drop those that are gone. False when one failed and must be tried again."""
        found = {str(file) for file in registration.sockets(self._registry)}
        for socket in self._sockets.keys() - found:
            await self._gone(self._sockets.pop(socket))
        good = True
        for socket in sorted(found - self._sockets.keys()):
            try:
                await self._register(socket)
            except (RpcError, StatusError, TransportError, ValueError) as error:
                good = False
                text = f"RegisterPlugin error -- failed to get plugin info using RPC GetInfo at socket {socket}"
                text = f"{text}, err: {error}"
                klog.error("goroutinemap.go:150", "Operation for plugin failed", err=text, path=socket)
        return good

    async def _register(self, socket: str) -> None:
        info = await client.call(socket, "GetInfo")
        if info["type"] != "CSIPlugin":
            raise ValueError(f"no handler registered for plugin type: {info['type']} at socket {socket}")
        name, endpoint = info["name"], info["endpoint"] or socket
        text = f"Trying to validate a new CSI Driver with name: {name} endpoint: {endpoint} versions: "
        klog.raw("I", "csi_plugin.go:100", f"kubernetes.io/csi: {text}{','.join(info['supported_versions'])}")
        try:
            node = await client.call(endpoint, "NodeGetInfo")
            await self._publish(name, node)
        except (RpcError, StatusError, TransportError) as error:
            status = {"error": f"RegisterPlugin error -- plugin registration failed with err: {error}"}
            await client.call(socket, "NotifyRegistrationStatus", status)
            raise
        self.endpoints[name] = endpoint
        self._sockets[socket] = name
        text = f"Register new plugin with name: {name} at endpoint: {endpoint}"
        klog.raw("I", "csi_plugin.go:113", f"kubernetes.io/csi: {text}")
        await client.call(socket, "NotifyRegistrationStatus", {"plugin_registered": True})

    async def _publish(self, name: str, node: Message) -> None:
        """The driver's id of this node goes into the Node's annotation, the driver into the CSINode."""
        segments = (node["accessible_topology"] or {}).get("segments") or {}
        entry: Object = {"name": name, "nodeID": node["node_id"], "topologyKeys": sorted(segments)}
        if node["max_volumes_per_node"]:
            entry["allocatable"] = {"count": node["max_volumes_per_node"]}
        await self._annotate(lambda ids: {**ids, name: node["node_id"]}, segments)
        await self._change(lambda drivers: [*(d for d in drivers if d["name"] != name), entry])

    async def _gone(self, name: str) -> None:
        self.endpoints.pop(name, None)
        text = f"DeregisterPlugin called for plugin {name}"
        klog.raw("I", "csi_plugin.go:194", f"kubernetes.io/csi: {text}")
        try:
            await self._annotate(lambda ids: {k: v for k, v in ids.items() if k != name}, {})
            await self._change(lambda drivers: [d for d in drivers if d["name"] != name])
        except (StatusError, TransportError) as error:
            klog.error("csi_plugin.go:197", "Failed to unregister CSI driver", err=error, driver=name)

    async def _annotate(self, change: Callable[[dict[str, str]], dict[str, str]], labels: dict[str, str]) -> None:
        if self._api is None:
            return
        path = f"/api/v1/nodes/{self._node_name}"
        found = await self._api.get(path)
        old = (found["metadata"].get("annotations") or {}).get(_NODE_ID)
        ids = change(json.loads(old) if old else {})
        text = json.dumps(ids, separators=(",", ":")) if ids else None
        metadata: Object = {"annotations": {_NODE_ID: text}}
        if labels:
            metadata["labels"] = labels
        if text != old or labels:
            await self._api.patch(path, {"metadata": metadata}, _MERGE)

    async def _change(self, change: Callable[[list[Object]], list[Object]]) -> None:
        if self._api is None:
            return
        found = await registration.ensure_csi_node(self._api, self._node_name)
        drivers = change((found.get("spec") or {}).get("drivers") or [])
        await self._api.update(registration.csi_node_path(self._node_name), {**found, "spec": {"drivers": drivers}})
