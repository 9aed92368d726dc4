"""Claims, ownership, sub-paths, setting up with back-off, taking down."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kubelet.pods import configs, objects
from cka_kubelet.kubelet.volumes import manager as volume_manager
from cka_kubelet.kubelet.volumes import mounts, ownership, specs, subpaths
from cka_kubelet.kubelet.volumes.claims import ClaimError, Claims
from cka_kubelet.kubelet.volumes.manager import VolumeError, VolumeManager
from cka_kubelet.kubelet.volumes.setup import Plugins, SetUpError, mount_options
from cka_kubelet.kubelet.volumes.teardown import TearDown

Object = dict[str, Any]
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}


def pod(*volumes: Object, **spec: Any) -> objects.Pod:
    container = {"name": "m", "volumeMounts": [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]}
    metadata = {"name": "p", "namespace": "ns", "uid": "u1"}
    return {"metadata": metadata, "spec": {"containers": [container], "volumes": list(volumes), **spec}}


class FakeAPI:
    """Objects by path."""

    def __init__(self, **found: Object) -> None:
        claim = {"metadata": {"uid": "cu"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
        local = {"claimRef": {"uid": "cu"}, "hostPath": {"path": "/data"}}
        self.found = {"c": claim, "pv": {"metadata": {"name": "pv"}, "spec": local}, **found}

    async def get(self, path: str) -> Object:
        name = path.rpartition("/")[2]
        if self.found.get(name) is None:
            raise StatusError(404, "NotFound", f'persistentvolumeclaims "{name}" not found')
        return self.found[name]


class FakePlugins:
    """Sets volumes up, or fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.tried: list[str] = []
        self.attached_volumes: set[str] = set()

    async def attachable(self, spec: specs.Spec) -> bool:
        return spec.kind == "csi"

    def attached(self, unique_name: str) -> bool:
        return unique_name in self.attached_volumes

    async def set_up(self, _pod: objects.Pod, spec: specs.Spec) -> str:
        self.tried.append(spec.name)
        if self.failures:
            self.failures -= 1
            raise SetUpError("no luck")
        return f"/somewhere/{spec.name}"


class FakeEvents:
    """Keeps messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def pod(self, _pod: objects.Pod, _type: str, _reason: str, message: str) -> None:
        self.messages.append(message)


def made(plugins: FakePlugins, events: FakeEvents, api: FakeAPI | None = None) -> VolumeManager:
    return VolumeManager(events, Claims(api or FakeAPI()), plugins, None)  # type: ignore[arg-type]  # fakes


async def test_a_claim_leads_to_its_volume() -> None:
    spec = await Claims(FakeAPI()).resolve(pod(CLAIM), CLAIM)  # type: ignore[arg-type]  # one method is used
    assert (spec.volume, spec.name, spec.kind, spec.source["path"]) == ("data", "pv", "hostPath", "/data")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"c": None}, 'failed to fetch PVC from API server: persistentvolumeclaims "c" not found'),
        ({"c": {"metadata": {"deletionTimestamp": "t"}}}, "PVC is being deleted"),
        ({"c": {"metadata": {}, "status": {"phase": "Pending"}}}, "PVC is not bound"),
        (
            {"pv": {"metadata": {}, "spec": {"claimRef": {"uid": "other"}}}},
            "found PV object pv but its pv.Spec.ClaimRef.UID other does not point to claim.UID cu",
        ),
    ],
)
async def test_why_a_claim_leads_nowhere(found: Object, why: str) -> None:
    with pytest.raises(ClaimError) as caught:
        await Claims(FakeAPI(**found)).resolve(pod(CLAIM), CLAIM)  # type: ignore[arg-type]  # one method is used
    assert str(caught.value) == f"error processing PVC ns/c: {why}"


async def test_an_ephemeral_volumes_claim_must_be_the_pods_own() -> None:
    volume = {"name": "s", "ephemeral": {}}
    foreign = {"metadata": {"uid": "cu"}}
    with pytest.raises(ClaimError, match=r"PVC ns/p-s was not created for pod ns/p \(pod is not owner\)$"):
        await Claims(FakeAPI(**{"p-s": foreign})).resolve(pod(volume), volume)  # type: ignore[arg-type]  # as above


async def test_the_wait_ends_at_once_when_a_claim_is_bad() -> None:
    good = {"name": "e", "emptyDir": {}}
    volumes = made(FakePlugins(), FakeEvents(), FakeAPI(c=None))
    with pytest.raises(
        VolumeError, match=r"^unmounted volumes=\[data\], unattached volumes=\[\], failed to process vo"
    ) as e:
        await volumes.mount(pod(CLAIM, good))
    assert not e.value.interrupted
    assert list(volumes.mounted("u1")) == ["e"]


async def test_failures_are_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_manager, "_FIRST", 0.01)
    plugins, events = FakePlugins(failures=2), FakeEvents()
    volumes = made(plugins, events)
    await volumes.mount(pod({"name": "h", "hostPath": {"path": "/x"}}))
    assert events.messages == ['MountVolume.SetUp failed for volume "h" : no luck'] * 2
    await volumes.mount(pod({"name": "h", "hostPath": {"path": "/x"}}))
    assert len(plugins.tried) == 3  # what is set up stays so, unless it is made of API objects


async def test_a_wait_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_manager, "WAIT", 0.01)
    volumes = made(FakePlugins(failures=9), FakeEvents())
    with pytest.raises(VolumeError, match=r"context deadline exceeded$") as caught:
        await volumes.mount(pod({"name": "h", "hostPath": {"path": "/x"}}))
    assert caught.value.interrupted


async def test_an_attachable_volume_waits_for_its_node_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_manager, "WAIT", 0.01)
    found = {"claimRef": {"uid": "cu"}, "csi": {"driver": "d", "volumeHandle": "h"}}
    plugins, events = FakePlugins(), FakeEvents()
    volumes = made(plugins, events, FakeAPI(pv={"metadata": {"name": "pv"}, "spec": found}))
    with pytest.raises(VolumeError, match=r"^unmounted volumes=\[data\], unattached volumes=\[data\], failed"):
        await volumes.mount(pod(CLAIM))
    assert (volumes.in_use(), plugins.tried, events.messages) == (["kubernetes.io/csi/d^h"], [], [])
    plugins.attached_volumes.add("kubernetes.io/csi/d^h")
    monkeypatch.setattr(volume_manager, "WAIT", 5)
    await volumes.mount(pod(CLAIM))
    assert plugins.tried == ["pv"]


async def test_only_what_a_container_mounts_is_set_up() -> None:
    plugins = FakePlugins()
    one = pod({"name": "a", "emptyDir": {}})
    one["spec"]["volumes"] += [{"name": "unused", "secret": {"secretName": "nope"}}]
    await made(plugins, FakeEvents()).mount(one)
    assert plugins.tried == ["a"]


def test_unique_names() -> None:
    assert specs.of_volume({"name": "v", "configMap": {"name": "c"}}).unique_name("u") == "kubernetes.io/configmap/u-v"
    found = {"metadata": {"name": "pv"}, "spec": {"csi": {"driver": "d", "volumeHandle": "h"}}}
    assert specs.of_persistent("v", found, read_only=False).unique_name("u") == "kubernetes.io/csi/d^h"
    assert specs.of_volume({"name": "v", "secret": {}}).mounts_read_only
    assert specs.of_volume({"name": "v"}).kind == "emptyDir"


@pytest.mark.parametrize(
    ("mode", "read_only", "expected"),
    [
        (stat.S_IFREG | 0o600, False, 0o660),
        (stat.S_IFREG | 0o400, True, 0o440),
        (stat.S_IFDIR | 0o755, True, 0o2755),
        (stat.S_IFDIR | 0o1777, False, 0o3777),
    ],
)
def test_modes_for_the_group(mode: int, read_only: bool, expected: int) -> None:
    assert ownership.wanted_mode(mode, read_only=read_only) == expected


def test_the_group_owns_files_unless_the_root_shows_that_it_does(tmp_path: Path) -> None:
    file = tmp_path / "d" / "f"
    file.parent.mkdir()
    file.write_text("")
    group = os.getgid()
    one = pod(securityContext={"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"})
    ownership.give_to_group(one, tmp_path, read_only=False, on_mismatch_allowed=True)
    assert (stat.S_IMODE(file.stat().st_mode) & 0o660, stat.S_IMODE(tmp_path.stat().st_mode) & 0o2770) == (
        0o660,
        0o2770,
    )
    file.chmod(0o600)
    ownership.give_to_group(one, tmp_path, read_only=False, on_mismatch_allowed=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ownership.give_to_group(one, tmp_path, read_only=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o660


def test_whose_token_it_is() -> None:
    assert ownership.user_of(pod(securityContext={"runAsUser": 1000})) == 1000
    mixed = pod(securityContext={"runAsUser": 1000})
    mixed["spec"]["containers"].append({"name": "x", "securityContext": {"runAsUser": 0}})
    assert ownership.user_of(mixed) is None


def test_sub_paths(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    made_path = subpaths.host_path(str(tmp_path), "a/b", "v", "m")
    assert made_path == f"{tmp_path}/a/b"
    assert stat.S_IMODE(Path(made_path).stat().st_mode) == 0o2775
    for inside, why in (("/etc", "must not be an absolute path"), ("../x", r"must not contain '\.\.'")):
        with pytest.raises(LookupError, match=why):
            subpaths.host_path(str(tmp_path), inside, "v", "m")
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(LookupError, match=r'^failed to prepare subPath for volumeMount "v" of container "m"$'):
        subpaths.host_path(str(tmp_path), "out/passwd", "v", "m")
    with pytest.raises(LookupError, match=r"^failed to create subPath directory"):
        subpaths.host_path(str(tmp_path), "out/new-directory", "v", "m")


def test_recursive_read_only() -> None:
    mount = {"name": "v", "readOnly": True, "recursiveReadOnly": "IfPossible"}
    assert subpaths.recursive_read_only(mount, supported=True)
    assert not subpaths.recursive_read_only(mount, supported=False)
    with pytest.raises(LookupError, match="not supported by the runtime"):
        subpaths.recursive_read_only({**mount, "recursiveReadOnly": "Enabled"}, supported=False)
    with pytest.raises(LookupError, match="not read-only"):
        subpaths.recursive_read_only({**mount, "readOnly": False}, supported=True)


async def test_a_local_volume_needs_its_path_and_its_node(tmp_path: Path) -> None:
    node = {"metadata": {"name": "node01", "labels": {"kubernetes.io/hostname": "node01"}}}
    plugins = Plugins(None, None, lambda: node, None)  # type: ignore[arg-type]  # not reached
    spec = {"local": {"path": str(tmp_path / "none")}, "accessModes": ["ReadWriteOnce"]}
    found = {"metadata": {"name": "pv"}, "spec": spec}
    with pytest.raises(SetUpError, match=r"does not exist$") as caught:
        await plugins.set_up(pod(), specs.of_persistent("v", found, read_only=False))
    assert caught.value.step == "MountVolume.NewMounter initialization failed"
    other = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node02"]}
    spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [other]}]}}
    with pytest.raises(SetUpError, match=r"^no matching NodeSelectorTerms$") as caught:
        await plugins.set_up(pod(), specs.of_persistent("v", found, read_only=False))
    assert caught.value.step == "MountVolume.NodeAffinity check failed"
    assert mount_options({"metadata": {}, "spec": {"mountOptions": ["hard"]}}) == ["hard"]


async def test_mount_says_what_it_ran(tmp_path: Path) -> None:
    with pytest.raises(mounts.MountError) as caught:
        await mounts.mount("no-such-source", tmp_path, "no-such-type", ["ro"])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("mount failed: exit status ")
    assert lines[1:3] == [
        "Mounting command: mount",
        f"Mounting arguments: -t no-such-type -o ro no-such-source {tmp_path}",
    ]


async def test_orphans(tmp_path: Path) -> None:
    down = TearDown(str(tmp_path), None)  # type: ignore[arg-type]  # no CSI volume is there
    volumes = tmp_path / "pods" / "u1" / "volumes"
    (volumes / "kubernetes.io~empty-dir" / "e" / "deep").mkdir(parents=True)
    (volumes / "kubernetes.io~empty-dir" / "e" / "deep" / "f").write_text("scratch")
    assert await down.orphan("u1") == []
    assert not (tmp_path / "pods" / "u1").exists()
    data = tmp_path / "pods" / "u2" / "volumes" / "kubernetes.io~nfs" / "v"
    data.mkdir(parents=True)
    (data / "f").write_text("somebody's")
    found = await down.orphan("u2")
    assert found == [f'orphaned pod "u2" found, but failed to rmdir() volume at path {data}: directory not empty']
    assert (data / "f").read_text() == "somebody's"


def test_image_volumes() -> None:
    volume = {"name": "model", "image": {"reference": "models:1", "pullPolicy": "Never"}}
    one = pod(volume, {"name": "e", "emptyDir": {}})
    assert [v["name"] for v in specs.used(one)] == ["e"]
    wanted = {"name": "m", "image": "models:1", "imagePullPolicy": "Never"}
    assert list(subpaths.images(one, one["spec"]["containers"][0])) == [("model", wanted)]
    made_mount = configs.image_mount({"name": "model", "subPath": "a"}, "sha256:1", "/model")
    assert (made_mount.image.image, made_mount.image_sub_path, made_mount.readonly) == ("sha256:1", "a", True)
