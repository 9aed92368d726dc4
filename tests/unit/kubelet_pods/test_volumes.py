"""Files of volumes, and host paths."""

from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kubelet.volumes import hostpath, writer
from cka_kubelet.kubelet.volumes.payloads import Payloads
from cka_kubelet.kubelet.volumes.writer import File
from tests.unit.kubelet_pods.test_actions import pod


class FakeSource:
    """ConfigMaps and Secrets in memory."""

    def __init__(self, **data: dict[str, bytes]) -> None:
        self._data = data

    async def data(self, kind: str, _namespace: str, name: str) -> dict[str, bytes]:
        if name not in self._data:
            raise LookupError(f'{kind} "{name}" not found')
        return self._data[name]

    async def token(self, _pod: dict[str, Any], audience: str, seconds: int) -> str:
        return f"token-{audience}-{seconds}"


def payloads(**data: dict[str, bytes]) -> Payloads:
    return Payloads(FakeSource(**data), lambda: ["10.9.9.9"], lambda: {"cpu": "1500m", "memory": "7936Ki"})  # type: ignore[arg-type]  # the two methods are there


def test_files_change_all_at_once(tmp_path: Path) -> None:
    assert writer.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "d" / "b").read_bytes() == b"2"
    assert (tmp_path / "a").readlink() == Path("..data/a")
    assert not writer.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert writer.write(tmp_path, {"a": File(b"3", 0o644)})
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..2")) == ["..data", "a"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "..data"])
def test_paths_may_not_leave_the_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        writer.write(tmp_path, {path: File(b"", 0o644)})


async def test_the_service_account_volume() -> None:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "root", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volume = {"sources": sources, "defaultMode": 420}
    got = await payloads(root={"ca.crt": b"CA"}).of(pod(), "projected", volume)
    assert got == {
        "token": File(b"token--3607", 0o644),
        "ca.crt": File(b"CA", 0o644),
        "namespace": File(b"t", 0o644),
    }


async def test_a_missing_limit_is_the_nodes_allocatable() -> None:
    items = [
        {"path": name, "resourceFieldRef": {"containerName": "c", "resource": f"limits.{name}", "divisor": "0"}}
        for name in ("cpu", "memory")
    ]
    one = {**pod(), "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "0"}}}]}}
    got = await payloads().of(one, "downwardAPI", {"items": items})
    assert got == {"cpu": File(b"2", 0o644), "memory": File(str(7936 << 10).encode(), 0o644)}


async def test_what_is_missing_is_named_unless_optional() -> None:
    with pytest.raises(LookupError, match=r'^secret "nope" not found$'):
        await payloads().of(pod(), "secret", {"secretName": "nope"})
    assert await payloads().of(pod(), "secret", {"secretName": "nope", "optional": True}) == {}
    volume = {"name": "cm", "items": [{"key": "x", "path": "x"}]}
    with pytest.raises(LookupError, match=r"^configmap references non-existent config key: x$"):
        await payloads(cm={}).of(pod(), "configMap", volume)


def test_host_paths(tmp_path: Path) -> None:
    hostpath.check(str(tmp_path), "Directory")
    hostpath.check(str(tmp_path / "new"), "DirectoryOrCreate")
    hostpath.check(str(tmp_path / "file"), "FileOrCreate")
    with pytest.raises(hostpath.HostPathError, match=r"^hostPath type check failed: /no/such/dir is not a directory$"):
        hostpath.check("/no/such/dir", "Directory")
    with pytest.raises(hostpath.HostPathError, match=r"is not a file$"):
        hostpath.check(str(tmp_path), "File")
