"""Calls to one CSI driver's or plugin's socket."""

import asyncio
import time

from cka_kubelet.cri.channel import Channel
from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.volumes.csi import wire
from cka_kubelet.kubelet.volumes.csi.wire import Message

TIMEOUT = 120.0
"""Seconds for one call (csiTimeout)."""
STAGE_UNSTAGE_VOLUME, VOLUME_MOUNT_GROUP = 1, 6
_METHODS = {
    "GetInfo": ("/pluginregistration.Registration/GetInfo", "", "PluginInfo"),
    "NotifyRegistrationStatus": ("/pluginregistration.Registration/NotifyRegistrationStatus", "RegistrationStatus", ""),
    "NodeGetInfo": ("/csi.v1.Node/NodeGetInfo", "", "NodeInfo"),
    "NodeGetCapabilities": ("/csi.v1.Node/NodeGetCapabilities", "", "Capabilities"),
    "NodeStageVolume": ("/csi.v1.Node/NodeStageVolume", "Stage", ""),
    "NodeUnstageVolume": ("/csi.v1.Node/NodeUnstageVolume", "Unstage", ""),
    "NodePublishVolume": ("/csi.v1.Node/NodePublishVolume", "Publish", ""),
    "NodeUnpublishVolume": ("/csi.v1.Node/NodeUnpublishVolume", "Unpublish", ""),
}


async def call(socket: str, method: str, message: Message | None = None, driver: str = "") -> Message:
    """One call on a connection of its own: drivers are asked rarely. Raises RpcError."""
    path, request, response = _METHODS[method]
    channel = Channel(socket)
    began, code = time.monotonic(), "OK"
    try:
        async with asyncio.timeout(TIMEOUT):
            _, stream = await channel.start(path, wire.encode(request, message or {}), TIMEOUT)
            answer = await stream.message()
            await stream.message()
    except TimeoutError:
        code = "DeadlineExceeded"
        raise RpcError(code, "context deadline exceeded") from None
    except RpcError as error:
        code = error.code
        raise
    finally:
        await channel.close()
        if driver:
            observed.csi_seconds.add(time.monotonic() - began, driver, code, path, "false")
    try:
        return wire.decode(response, answer or b"")
    except wire.WireError as error:
        raise RpcError("Internal", f"grpc: failed to unmarshal the received message: {error}") from None


async def capabilities(socket: str) -> set[int]:
    """Numbers of what the driver's node service can do. Raises RpcError."""
    found = await call(socket, "NodeGetCapabilities")
    return {int(item["rpc"].get("type", 0)) for item in found["capabilities"]}
