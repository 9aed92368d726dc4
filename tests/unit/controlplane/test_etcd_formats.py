"""Messages, keys and files of the store in etcd: what needs no etcd."""

from pathlib import Path

import pytest

from cka_kubelet.controlplane.etcd import messages
from cka_kubelet.controlplane.etcd.keys import Layout, after
from cka_kubelet.controlplane.etcd.servers import Files, client_context


def test_messages_survive_encoding_and_garbage_is_refused() -> None:
    request = {
        "compare": [{"result": 0, "target": 2, "key": b"k", "version": 0, "mod_revision": 1 << 40}],
        "success": [{"put": {"key": b"k", "value": b"\xff\x00", "lease": -5}}],
        "failure": [],
    }
    assert messages.decode("TxnRequest", messages.encode("TxnRequest", request)) == request
    assert messages.decode("RangeResponse", b"")["kvs"] == []
    for data in (b"\x0a\x7f", b"\x80", b"\x0b", b"\x08\x01"):
        with pytest.raises(messages.DecodeError):
            messages.decode("TxnRequest", data)


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "key"),
    [
        ("pods", "a", "b", "/registry/pods/a/b"),
        ("nodes", "", "n", "/registry/minions/n"),
        ("services", "a", "b", "/registry/services/specs/a/b"),
        ("endpoints", "a", "b", "/registry/services/endpoints/a/b"),
        ("ingresses.networking.k8s.io", "a", "b", "/registry/ingress/a/b"),
        ("leases.coordination.k8s.io", "kube-node-lease", "n", "/registry/leases/kube-node-lease/n"),
        ("clusterroles.rbac.authorization.k8s.io", "", "system:node", "/registry/clusterroles/system:node"),
        (
            "customresourcedefinitions.apiextensions.k8s.io",
            "",
            "x",
            "/registry/apiextensions.k8s.io/customresourcedefinitions/x",
        ),
        ("foos.example.com", "a", "b", "/registry/example.com/foos/a/b"),
        ("foos.example.com", "", "b", "/registry/example.com/foos/b"),
    ],
)
def test_objects_are_where_upstream_keeps_them(resource: str, namespace: str, name: str, key: str) -> None:
    layout = Layout("/registry")
    assert layout.key(resource, namespace, name) == key.encode()
    assert layout.parse(key.encode()) == (resource, namespace, name)


def test_other_keys_are_no_objects() -> None:
    layout = Layout("registry/")
    for key in (b"health", b"masterleases/10.0.0.1", b"pods/a/b/c", b"\xff/a", b"pods"):
        assert layout.parse(layout.root + key) is None
    assert after(layout.root) == b"/registry0"


def test_files_that_do_not_serve_are_refused_in_upstreams_words(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("junk")
    missing = str(tmp_path / "none")
    for files, text in (
        (Files(missing, "", ""), f"open {missing}: no such file or directory"),
        (Files("", str(junk), ""), f"KeyFile and CertFile must both be present[key: , cert: {junk}]"),
        (Files("", str(junk), str(junk)), "tls: failed to find any PEM data in certificate input"),
    ):
        with pytest.raises(ValueError, match="^" + text.replace("[", r"\[").replace("]", r"\]")):
            client_context(files)
    assert client_context(Files("", "", "")) is None
