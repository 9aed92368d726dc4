"""Bodies as kubectl's typed commands send them, built by hand."""

import pytest

from cka_kubelet.controlplane import openapi, protobuf


def _field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    key = _varint(number << 3 | 2)
    return key + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    types = _field(1, api_version) + _field(2, kind)
    return protobuf.MAGIC + _field(1, types) + _field(2, raw)


def test_a_pod_with_inline_fields_maps_and_pointers() -> None:
    probe = _field(1, _field(2, _field(1, "/x") + _field(2, _field(1, 1) + _field(2, 0) + _field(3, "http"))))
    limits = _field(1, _field(1, "memory") + _field(2, _field(1, "32Mi")))
    container = _field(1, "c") + _field(2, "busybox") + _field(8, limits) + _field(11, probe) + _field(5, "")
    volume = _field(1, "v") + _field(2, _field(2, b""))  # an emptyDir is set although it is empty
    spec = _field(1, volume) + _field(2, container) + _field(4, 0)
    metadata = _field(1, "p") + _field(8, b"") + _field(11, _field(1, "a") + _field(2, "b"))
    assert protobuf.decode(_envelope("v1", "Pod", _field(1, metadata) + _field(2, spec) + _field(3, b""))) == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", "labels": {"a": "b"}},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [
                {
                    "name": "c",
                    "image": "busybox",
                    "resources": {"limits": {"memory": "32Mi"}},
                    "readinessProbe": {"httpGet": {"path": "/x", "port": "http"}},
                }
            ],
            "terminationGracePeriodSeconds": 0,
        },
    }


def test_delete_options_of_any_group_keep_a_zero_grace_period() -> None:
    body = _envelope("apps/v1", "DeleteOptions", _field(1, 0))
    assert protobuf.decode(body) == {"kind": "DeleteOptions", "apiVersion": "apps/v1", "gracePeriodSeconds": 0}


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00\x0a\xff", _envelope("v9", "Nothing", b"")])
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(protobuf.DecodeError):
        protobuf.decode(body)


def test_the_same_table_explains_fields() -> None:
    document = openapi.document("apps/v1")
    assert document is not None
    schemas = document["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]
    assert spec["replicas"]["type"] == "integer"
    probe = schemas["io.k8s.api.core.v1.Probe"]["properties"]
    assert {"httpGet", "periodSeconds"} <= probe.keys()
    assert openapi.document("nosuch/v1") is None
