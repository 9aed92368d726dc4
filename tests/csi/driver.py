"""A tiny CSI node driver for tests: volumes are directories below a folder, bind-mounted where the kubelet asks.

`python3 -m tests.csi.driver NAME FOLDER REGISTRY` serves both the registration and the node service on one socket,
REGISTRY/NAME-reg.sock, and prints each call's method and message. Only python3-h2 is needed, as on a node.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events

from cka_kubelet.kubelet.volumes.csi import wire

REQUESTS = {
    "NotifyRegistrationStatus": "RegistrationStatus",
    "NodeStageVolume": "Stage",
    "NodeUnstageVolume": "Unstage",
    "NodePublishVolume": "Publish",
    "NodeUnpublishVolume": "Unpublish",
}
ANSWERS = {"GetInfo": "PluginInfo", "NodeGetInfo": "NodeInfo", "NodeGetCapabilities": "Capabilities"}


class Driver:
    """Answers calls. `mount` and `unmount` are mount(8) and umount(8) unless a test has others."""

    def __init__(self, name: str, folder: Path, *, run: Any = subprocess.run) -> None:
        self.name = name
        self.folder = folder
        self.calls: list[tuple[str, wire.Message]] = []
        self.failure = ""
        self._run = run

    def answer(self, method: str, request: wire.Message) -> wire.Message:
        """The response message; ValueError becomes an Internal error."""
        self.calls.append((method, request))
        if self.failure and method == "NodePublishVolume":
            raise ValueError(self.failure)
        match method:
            case "GetInfo":
                return {"type": "CSIPlugin", "name": self.name, "supported_versions": ["1.0.0"]}
            case "NodeGetInfo":
                return {"node_id": f"{self.name}-node", "max_volumes_per_node": 16}
            case "NodeGetCapabilities":
                return {"capabilities": [{"rpc": {"type": 1}}]}
            case "NodeStageVolume":
                source = self.folder / request["volume_id"]
                source.mkdir(parents=True, exist_ok=True)
                self._run(["mount", "--bind", str(source), request["staging_target_path"]], check=True)
            case "NodePublishVolume":
                source = Path(request["staging_target_path"] or self.folder / request["volume_id"])
                source.mkdir(parents=True, exist_ok=True)
                Path(request["target_path"]).mkdir(exist_ok=True)
                self._run(["mount", "--bind", str(source), request["target_path"]], check=True)
            case "NodeUnstageVolume":
                self._run(["umount", request["staging_target_path"]], check=True)
            case "NodeUnpublishVolume":
                self._run(["umount", request["target_path"]], check=True)
        return {}


async def serve(driver: Driver, socket: Path) -> asyncio.Server:
    """A gRPC server for the driver on a unix socket."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        paths: dict[int, str] = {}
        bodies: dict[int, bytes] = {}
        writer.write(connection.data_to_send())
        while data := await _read(reader):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    paths[event.stream_id] = dict(event.headers)[":path"]
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    _reply(connection, driver, event.stream_id, paths[event.stream_id], bodies[event.stream_id][5:])
            writer.write(connection.data_to_send())
        writer.close()

    return await asyncio.start_unix_server(handle, str(socket))


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What arrives; nothing more once the server is stopped."""
    try:
        return await reader.read(65536)
    except asyncio.CancelledError:
        return b""


def _reply(connection: Any, driver: Driver, stream: int, path: str, body: bytes) -> None:
    method = path.rpartition("/")[2]
    try:
        found = driver.answer(method, wire.decode(REQUESTS.get(method, ""), body))
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        trailers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "13")]
        connection.send_headers(stream, [*trailers, ("grpc-message", str(error))], end_stream=True)
        return
    data = wire.encode(ANSWERS.get(method, ""), found)
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    connection.send_data(stream, b"\0" + len(data).to_bytes(4) + data)
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


class _Told(Driver):
    def answer(self, method: str, request: wire.Message) -> wire.Message:
        print(method, json.dumps(request), flush=True)
        return super().answer(method, request)


async def main(name: str, folder: str, registry: str) -> None:
    """Serve until killed."""
    async with await serve(_Told(name, Path(folder)), Path(registry, f"{name}-reg.sock")) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
