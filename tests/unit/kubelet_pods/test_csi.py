"""CSI: the messages, registration, staging and publishing, with a real socket and no real mounts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.cri.errors import RpcError
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kubelet.volumes import mounts, specs
from cka_kubelet.kubelet.volumes.csi import client, wire
from cka_kubelet.kubelet.volumes.csi.drivers import Drivers
from cka_kubelet.kubelet.volumes.csi.volumes import CSI
from cka_kubelet.kubelet.volumes.setup import SetUpError
from tests.csi.driver import Driver, serve
from tests.unit.kubelet_pods.test_actions import pod

NAME = "test.csi.example.com"
Object = dict[str, Any]


class FakeAPI:
    """A Node and its CSINode."""

    def __init__(self) -> None:
        self.node: Object = {"metadata": {"name": "node01", "uid": "n", "annotations": {}}}
        self.csi_node: Object | None = None

    async def get(self, path: str) -> Object:
        if "/volumeattachments/" in path:
            return {"status": {"attached": True, "attachmentMetadata": {"device": "/dev/x"}}}
        found = self.node if "/nodes/" in path else self.csi_node if "/csinodes/" in path else None
        if found is None:
            raise StatusError(404, "NotFound", "not found")
        return found

    async def create(self, _path: str, body: Object) -> Object:
        self.csi_node = body
        return body

    async def update(self, _path: str, body: Object) -> Object:
        self.csi_node = body
        return body

    async def patch(self, _path: str, body: Object, _kind: str) -> Object:
        self.node["metadata"]["annotations"].update(body["metadata"]["annotations"])
        return self.node


class Mounts:
    """What is mounted, as far as the driver was told."""

    def __init__(self) -> None:
        self.points: set[str] = set()

    def run(self, command: list[str], *, check: bool) -> None:
        assert check
        if command[0] == "mount":
            self.points.add(command[-1])
        else:
            self.points.remove(command[-1])


def persistent(**csi: Any) -> specs.Spec:
    source = {"driver": NAME, "volumeHandle": "vol-1", **csi}
    volume = {"metadata": {"name": "pv"}, "spec": {"accessModes": ["ReadWriteOnce"], "csi": source}}
    return specs.of_persistent("data", volume, read_only=False)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Mounts:
    found = Mounts()
    monkeypatch.setattr(mounts, "is_mount_point", lambda target: str(target) in found.points)
    return found


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RegistrationStatus", {"plugin_registered": True, "error": "é"}),
        ("NodeInfo", {"node_id": "n", "max_volumes_per_node": 300, "accessible_topology": {"segments": {"z": "1"}}}),
        ("Capabilities", {"capabilities": [{"rpc": {"type": 1}}, {"rpc": {"type": 6}}]}),
    ],
)
def test_messages_survive_the_way(kind: str, message: Object) -> None:
    assert wire.decode(kind, wire.encode(kind, message)) == message


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\xff" * 12])
def test_nonsense_is_no_message(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode("PluginInfo", data)


async def test_a_driver_comes_serves_and_goes(tmp_path: Path, table: Mounts) -> None:
    registry, api = tmp_path / "reg", FakeAPI()
    registry.mkdir()
    driver = Driver(NAME, tmp_path / "disk", run=table.run)
    server = await serve(driver, registry / "d.sock")
    drivers = Drivers(registry, "node01", api)  # type: ignore[arg-type]  # the methods used are there
    assert await drivers.look()
    assert driver.calls[-1] == ("NotifyRegistrationStatus", {"plugin_registered": True, "error": ""})
    assert api.node["metadata"]["annotations"] == {
        "csi.volume.kubernetes.io/nodeid": '{"test.csi.example.com":"test.csi.example.com-node"}'
    }
    assert api.csi_node is not None
    assert api.csi_node["spec"]["drivers"][0]["allocatable"] == {"count": 16}

    csi = CSI(drivers, str(tmp_path), "node01", api, None)  # type: ignore[arg-type]  # no secrets are asked for
    one = pod()
    folder = tmp_path / "pods/u/volumes/kubernetes.io~csi/pv"
    assert await csi.set_up(one, persistent(volumeAttributes={"a": "b"}), folder) == str(folder / "mount")
    published = dict(driver.calls)["NodePublishVolume"]
    assert (published["volume_id"], published["volume_context"], published["readonly"]) == ("vol-1", {"a": "b"}, False)
    assert published["publish_context"] == {"device": "/dev/x"}
    assert len(table.points) == 2
    await csi.tear_down(folder)
    assert [name for name, _ in driver.calls][-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
    assert not table.points
    assert not folder.exists()

    server.close()
    (registry / "d.sock").unlink(missing_ok=True)
    assert await drivers.look()
    assert drivers.endpoints == {}
    assert api.csi_node["spec"]["drivers"] == []


async def test_failures_in_upstreams_words(tmp_path: Path, table: Mounts) -> None:
    api = FakeAPI()
    drivers = Drivers(tmp_path, "node01", api)  # type: ignore[arg-type]  # the methods used are there
    csi = CSI(drivers, str(tmp_path), "node01", api, None)  # type: ignore[arg-type]  # no secrets are asked for
    folder = tmp_path / "pods/u/volumes/kubernetes.io~csi/pv"
    missing = f"driver name {NAME} not found in the list of registered CSI drivers"
    with pytest.raises(SetUpError, match=missing) as device:
        await csi.set_up(pod(), persistent(), folder)
    assert device.value.step == "MountVolume.MountDevice failed"
    inline = specs.of_volume({"name": "v", "csi": {"driver": NAME}})
    with pytest.raises(SetUpError, match=r"mounter\.SetUpAt failed to get CSI client: driver name") as setup:
        await csi.set_up(pod(), inline, folder)
    assert setup.value.step == "MountVolume.SetUp failed"

    driver = Driver(NAME, tmp_path / "disk", run=table.run)
    server = await serve(driver, tmp_path / "d.sock")
    drivers.endpoints[NAME] = str(tmp_path / "d.sock")
    driver.failure = "disk on fire"
    with pytest.raises(SetUpError, match="rpc error: code = Internal desc = disk on fire"):
        await csi.set_up(pod(), inline, folder)
    server.close()


async def test_a_silent_socket_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, writer: writers.append(writer), str(tmp_path / "s.sock"))
    with pytest.raises(RpcError, match="DeadlineExceeded"):
        await client.call(str(tmp_path / "s.sock"), "GetInfo")
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    server.close()
