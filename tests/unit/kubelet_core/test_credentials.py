"""Certificates are made with the openssl command, as on a node."""

import subprocess
import time
from pathlib import Path

import pytest

from cka_kubelet.kube import pem
from cka_kubelet.kubelet import bootstrap, clientcert
from cka_kubelet.kubelet.certrequest import rotation_time


def _pair(folder: Path, name: str, days: int = 1) -> tuple[bytes, bytes]:
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
        f"/CN={name}", "-days", str(days), "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return (folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return _pair(tmp_path_factory.mktemp("pki"), "node")


def _pem_problem(certificate: bytes, key: bytes) -> str:
    with pytest.raises(pem.PEMError) as caught:
        pem.check_pair(certificate, key)
    return str(caught.value)


def test_what_is_in_a_certificate(pair: tuple[bytes, bytes]) -> None:
    (found,) = pem.certificates(pair[0] + pair[1])
    assert found.common_name == "node"
    assert 86000 < found.not_after - time.time() <= 86400


def test_junk_holds_no_certificates() -> None:
    with pytest.raises(pem.PEMError, match=r"^data does not contain any valid RSA or ECDSA certificates$"):
        pem.certificates(b"not a cert")


def test_pairs_that_do_not_fit(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    certificate, key = pair
    pem.check_pair(certificate + key, certificate + key)
    assert _pem_problem(certificate, certificate) == (
        "tls: found a certificate rather than a key in the PEM for the private key"
    )
    assert _pem_problem(b"", key) == "tls: failed to find any PEM data in certificate input"
    assert _pem_problem(certificate, b"junk") == "tls: failed to find any PEM data in key input"
    assert _pem_problem(certificate, _pair(tmp_path, "other")[1]) == "tls: private key does not match public key"


def _kubeconfig(folder: Path, **user: str) -> str:
    path = folder / "kubelet.conf"
    fields = ", ".join(f"{key.replace('_', '-')}: {value}" for key, value in user.items())
    path.write_text(
        "clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443'}}]\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\ncurrent-context: c\n"
        f"users: [{{name: u, user: {{{fields}}}}}]\n"
    )
    return str(path)


def test_a_good_kubeconfig_needs_no_bootstrap(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "p.pem").write_bytes(pair[0] + pair[1])
    path = _kubeconfig(tmp_path, client_certificate=f"{tmp_path}/p.pem", client_key=f"{tmp_path}/p.pem")
    configs = bootstrap.load_client_config(path, "/no/bootstrap.conf", str(tmp_path))
    assert configs.client is configs.certificates


@pytest.mark.parametrize("content", [b"junk", b""])
def test_a_useless_certificate_is_told_and_then_bootstrap_is_missing(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.pem").write_bytes(content)
    path = _kubeconfig(tmp_path, client_certificate=f"{tmp_path}/p.pem", client_key=f"{tmp_path}/p.pem")
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap.load_client_config(path, "/no/bootstrap.conf", str(tmp_path))
    assert str(caught.value) == (
        "unable to load bootstrap kubeconfig: stat /no/bootstrap.conf: no such file or directory"
    )
    assert capfd.readouterr().err.split("] ", 1)[1] == (
        '"Unhandled Error" err="unable to load TLS certificates from existing bootstrap client config read from '
        f'{path}: data does not contain any valid RSA or ECDSA certificates" logger="UnhandledError"\n'
    )


def test_bootstrapping_writes_the_kubeconfig(tmp_path: Path) -> None:
    first = tmp_path / "bootstrap.conf"
    first.write_text(
        "clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443'}}]\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\ncurrent-context: c\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    configs = bootstrap.load_client_config(f"{tmp_path}/kubelet.conf", str(first), "/pki")
    assert (configs.certificates.token, configs.client.token) == ("t", "")
    text = (tmp_path / "kubelet.conf").read_text()
    assert "default-auth" in text
    assert "/pki/kubelet-client-current.pem" in text


def test_the_store_links_the_newest_pair(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    store = clientcert.CertificateStore(str(tmp_path))
    assert store.current() is None
    store.update(*pair)
    assert Path(store.current_path).is_symlink()
    assert store.current() == pair[0] + pair[1]
    assert Path(store.current_path).resolve().stat().st_mode & 0o777 == 0o600


def test_a_plain_file_in_the_links_place_is_refused(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    store = clientcert.CertificateStore(str(tmp_path))
    Path(store.current_path).write_bytes(b"x")
    with pytest.raises(OSError, match="to be a symlink but it is a file"):
        store.update(*pair)


def test_rotation_falls_in_the_last_third() -> None:
    certificate = pem.Certificate(0.0, 1000.0, "n")
    assert rotation_time(certificate, 0.0) == 700
    assert rotation_time(certificate, 0.5) == pytest.approx(800)
