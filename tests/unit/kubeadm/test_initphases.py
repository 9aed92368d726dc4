"""`kubeadm init phase …` on a directory of its own, with the real openssl."""

from pathlib import Path

import pytest
import yaml

from cka_kubelet.kube import staticpods
from cka_kubelet.kubeadm import certs, initphases, x509
from cka_kubelet.kubeadm.errors import Failure

FLAGS = {**initphases.FLAGS, "apiserver-advertise-address": "172.30.1.2", "node-name": "controlplane"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with authorities and nothing else."""
    store = certs.Store(tmp_path)
    for name in ("ca", "etcd-ca", "front-proxy-ca"):
        path = store.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        arguments = ("-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "3650")
        x509.openssl("req", *arguments, "-keyout", str(store.path(name, "key")), "-out", str(path))
    return tmp_path


def run(root: Path, group: str, name: str, **more: str) -> list[str]:
    said: list[str] = []
    initphases.run(group, name, {**FLAGS, **more}, said.append, root)
    return said


def test_manifests_are_those_of_a_new_cluster(tmp_path: Path) -> None:
    said = run(tmp_path, "control-plane", "all", **{"pod-network-cidr": "10.244.0.0/16"})
    assert said[1] == '[control-plane] Creating static Pod manifest for "kube-apiserver"'
    run(tmp_path, "etcd", "local")
    for component in staticpods.COMPONENTS:
        path = tmp_path / "manifests" / f"{component}.yaml"
        assert path.read_text() == staticpods.manifest(component, staticpods.Cluster("controlplane", "172.30.1.2"))
        assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_range_of_pods_none_is_handed_out(tmp_path: Path) -> None:
    run(tmp_path, "control-plane", "controller-manager")
    text = (tmp_path / "manifests/kube-controller-manager.yaml").read_text()
    assert "--cluster-cidr" not in text
    assert "--allocate-node-cidrs" not in text
    assert "--service-cluster-ip-range=10.96.0.0/12" in text


def test_missing_certificates_are_made_and_others_stay(root: Path) -> None:
    said = run(root, "certs", "apiserver", **{"apiserver-cert-extra-sans": "api.example,10.9.9.9"})
    names = "[controlplane kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc.cluster.local api.example]"  # noqa: E501  # one line of kubeadm's
    assert said[-1] == (
        f"[certs] apiserver serving cert is signed for DNS names {names} and IPs [10.96.0.1 172.30.1.2 10.9.9.9]"
    )
    before = (root / "pki/apiserver.crt").read_bytes()
    assert run(root, "certs", "apiserver")[-1] == "[certs] Using existing apiserver certificate and key on disk"
    assert (root / "pki/apiserver.crt").read_bytes() == before


def test_all_certificates_are_then_shown_as_fine(root: Path) -> None:
    said = run(root, "certs", "all")
    assert '[certs] Generating "etcd/server" certificate and key' in said
    shown = certs.expiration(certs.Store(root), 0.0)
    for name in ("apiserver-etcd-client", "etcd-healthcheck-client", "etcd-peer", "etcd-server"):
        assert f"\n{name} " in shown
    assert "\netcd-ca " in shown
    again: list[str] = []
    certs.renew(certs.Store(root), "etcd-server", again.append)
    assert again == ["certificate for serving etcd renewed"]
    text = x509.openssl("x509", "-noout", "-text", stdin=(root / "pki/etcd/server.crt").read_bytes()).decode()
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    assert "DNS:controlplane, DNS:localhost, IP Address:172.30.1.2, IP Address:127.0.0.1" in text


def test_a_missing_kubeconfig_is_written_and_others_stay(root: Path) -> None:
    said = run(root, "kubeconfig", "scheduler")
    assert said[-1] == '[kubeconfig] Writing "scheduler.conf" kubeconfig file'
    document = yaml.safe_load((root / "scheduler.conf").read_text())
    assert document["clusters"][0]["cluster"]["server"] == "https://172.30.1.2:6443"
    assert document["current-context"] == "system:kube-scheduler@kubernetes"
    assert run(root, "kubeconfig", "scheduler")[-1].startswith("[kubeconfig] Using existing kubeconfig file")


@pytest.mark.parametrize(("group", "name"), [("control-plane", ""), ("certs", "magic"), ("etcd", "remote")])
def test_what_is_no_phase_is_refused(tmp_path: Path, group: str, name: str) -> None:
    with pytest.raises(Failure, match="subcommand"):
        run(tmp_path, group, name)


def test_without_an_authority_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    with pytest.raises(Failure, match="couldn't load CA certificate ca"):
        run(tmp_path, "certs", "apiserver")
    assert list((tmp_path / "pki").iterdir()) == []
