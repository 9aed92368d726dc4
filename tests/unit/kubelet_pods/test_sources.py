"""What the sources of pods told, in order, and when all of them have spoken."""

from types import SimpleNamespace
from typing import Any

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.sources import PodSources


class World:
    def __init__(self, url: str = "") -> None:
        self.woken: list[str] = []
        self.nudged: list[str] = []
        self.told = 0
        deps: Any = SimpleNamespace(api=None, config={"staticPodURL": url})
        settings: Any = SimpleNamespace(static_pod_path="/etc/kubernetes/manifests")
        self.sources = PodSources(deps, settings, self.woken.append, self.nudged.append, self._tell)

    def _tell(self) -> None:
        self.told += 1


def made(uid: str, name: str = "p", stamp: str = "", **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"uid": uid, "name": name, "namespace": "default", "creationTimestamp": stamp}
    if annotations:
        metadata["annotations"] = {f"kubernetes.io/config.{k}": v for k, v in annotations.items()}
    return {"metadata": metadata, "spec": {"containers": []}}


def test_the_oldest_pod_comes_first_and_nothing_twice() -> None:
    world = World()
    world.sources.on_api("ADDED", made("b", stamp="2026-01-02T00:00:00Z"))
    world.sources.on_api("ADDED", made("a", stamp="2026-01-01T00:00:00Z"))
    assert [objects.uid(pod) for _, pod in world.sources.take()] == ["a", "b"]
    assert world.sources.take() == []
    assert world.told == 2


def test_manifests_that_changed_are_another_pod() -> None:
    world = World()
    world.sources.on_static({"/m/a": made("1", "a", source="file"), "/m/b": made("2", "b", source="file")})
    world.sources.take()
    world.sources.on_static({"/m/a": made("3", "a", source="file"), "/m/b": made("2", "b", source="file")})
    assert [(kind, objects.uid(pod)) for kind, pod in world.sources.take()] == [("DELETED", "1"), ("ADDED", "3")]
    assert world.sources.static_names() == {"a_default", "b_default"}


def test_ready_when_directory_and_url_were_both_read() -> None:
    world = World(url="http://x")
    assert not world.sources.ready()
    world.sources.on_static({})
    assert not world.sources.ready()
    world.sources.on_static({"u": made("9", "u", source="http")}, "http")
    assert world.sources.ready()
    world.sources.on_static({"/m/a": made("1", "a", source="file")})
    assert set(world.sources.static) == {"1", "9"}


def test_a_lost_mirror_has_its_static_pod_synced() -> None:
    world = World()
    static = made("1", "a", source="file")
    mirror = made("m", "a", source="file", mirror="1")
    world.sources.on_static({"/m/a": static})
    world.sources.on_api("ADDED", mirror)
    assert world.sources.mirror_of(static) is mirror
    assert (world.nudged, world.woken) == (["1"], [])
    world.sources.on_api("DELETED", made("other", "a", source="file", mirror="1"))
    assert world.sources.mirror_of(static) is mirror
    world.sources.on_api("DELETED", mirror)
    assert world.sources.mirror_of(static) is None
    assert world.woken == ["1", "1"]
    assert [kind for kind, _ in world.sources.take()] == ["ADDED"]
