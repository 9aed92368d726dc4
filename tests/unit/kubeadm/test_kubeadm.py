"""kubeadm's stand-in on a directory of its own, with the real openssl."""

import base64
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cka_kubelet.kube.kubeconfig import load
from cka_kubelet.kubeadm import certs, join, reset, tokens, x509
from cka_kubelet.kubeadm.app import main
from cka_kubelet.kubeadm.errors import Failure
from cka_kubelet.kubeadm.flags import parse
from cka_kubelet.kubeadm.kubeconfigs import embedded, kubeconfig
from cka_kubelet.provision.pki import NodeName, make_pki

CONF_USERS = ("admin", "super-admin", "controller-manager", "scheduler")


@pytest.fixture(scope="module")
def pki() -> dict[str, bytes]:
    node = NodeName("controlplane", "172.30.1.2")
    return make_pki(node, [node], "10.96.0.1", datetime.now(UTC) - timedelta(days=400))


@pytest.fixture
def store(tmp_path: Path, pki: dict[str, bytes]) -> certs.Store:
    (tmp_path / "pki").mkdir()
    for name in ("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"):
        for end in ("crt", "key"):
            (tmp_path / "pki" / f"{name}.{end}").write_bytes(pki[f"{name}.{end}"])
    for name in CONF_USERS:
        pair = x509.Pair(pki[f"users/{name}.crt"], pki[f"users/{name}.key"])
        text = kubeconfig("kubernetes", "https://172.30.1.2:6443", pki["ca.crt"], name, pair)
        (tmp_path / f"{name}.conf").write_text(text)
    return certs.Store(tmp_path)


def text_of(pem: bytes) -> str:
    return x509.openssl("x509", "-noout", "-text", stdin=pem).decode()


def test_expired_certificates_are_shown_as_kubeadm_does(store: certs.Store) -> None:
    lines = certs.expiration(store, time.time()).splitlines()
    assert lines[0].split("  ")[0] == "CERTIFICATE"
    assert re.fullmatch(
        r"apiserver +[A-Z][a-z]{2} \d\d, \d{4} \d\d:\d\d UTC   <invalid>       ca                      no      ",
        lines[2],
    )
    assert lines[8] == ""
    assert re.fullmatch(r"ca +[A-Z][a-z]{2} \d\d, \d{4} \d\d:\d\d UTC   8y +no      ", lines[10])


def test_a_missing_certificate_is_shown_as_missing(store: certs.Store) -> None:
    (store.pki / "apiserver.crt").unlink()
    assert "\n!MISSING! apiserver " in certs.expiration(store, time.time())


def test_renewal_keeps_what_a_certificate_says_and_gives_it_a_new_key(
    store: certs.Store, tmp_path: Path, pki: dict[str, bytes]
) -> None:
    said: list[str] = []
    before = text_of(pki["apiserver.crt"])
    certs.renew(store, "all", said.append)
    assert said[1] == "certificate for serving the Kubernetes API renewed"
    assert said[-1].startswith("\nDone renewing certificates. You must restart")
    new = store.read("apiserver")
    assert new is not None
    x509.openssl("verify", "-CAfile", str(store.pki / "ca.crt"), str(store.pki / "apiserver.crt"))
    for pattern in (r"Subject: .*", r"DNS:.*", r"Extended Key Usage:.*\n.*", r"X509v3 Key Usage: critical\n.*"):
        assert re.search(pattern, text_of(new))[0] == re.search(pattern, before)[0]  # type: ignore[index]
    assert 364 * 86400 < x509.not_after(new) - time.time() <= 365 * 86400 + 5
    assert (store.pki / "apiserver.key").read_bytes() != pki["apiserver.key"]
    assert (store.pki / "apiserver.key").stat().st_mode & 0o777 == 0o644  # as it was before; a new file gets 0600
    conf = (tmp_path / "admin.conf").read_text()
    certificate, key = embedded(conf, "client-certificate-data"), embedded(conf, "client-key-data")
    assert certificate is not None
    assert key is not None
    assert "O = kubeadm:cluster-admins, CN = kubernetes-admin" in text_of(certificate).replace("O=", "O = ").replace(
        "CN=", "CN = "
    )
    public = x509.openssl("x509", "-noout", "-pubkey", stdin=certificate)
    assert x509.openssl("pkey", "-pubout", stdin=key) == public


def test_without_the_cas_key_nothing_is_renewed(store: certs.Store, pki: dict[str, bytes]) -> None:
    (store.pki / "ca.key").unlink()
    said: list[str] = []
    certs.renew(store, "apiserver", said.append)
    assert said == ["Detected external ca, certificate for serving the Kubernetes API can't be renewed"]
    assert store.read("apiserver") == pki["apiserver.crt"]


def test_garbage_in_place_of_a_certificate_is_said(store: certs.Store) -> None:
    (store.pki / "apiserver.crt").write_text("garbage")
    with pytest.raises(Failure, match="failed to load certificate apiserver"):
        certs.expiration(store, time.time())


def test_a_token_goes_to_a_secret_and_comes_back_in_the_list() -> None:
    token = tokens.generate()
    secret = tokens.secret_of(token, 86400, 1_000_000_000, tokens.USAGES, [tokens.GROUP], "")
    assert secret["metadata"]["name"] == f"bootstrap-token-{token[:6]}"
    assert base64.b64decode(secret["data"]["expiration"]) == b"2001-09-10T01:46:40Z"
    header, line = tokens.table([secret], 1_000_000_000).splitlines()
    assert re.split(r" {2,}", header) == ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"]
    assert re.split(r" {2,}", line) == [
        token, "24h", "2001-09-10T01:46:40Z", "authentication,signing", "<none>", tokens.GROUP,
    ]  # fmt: skip
    assert tokens.table([], 0.0) == ""


def test_a_wrong_token_is_refused() -> None:
    with pytest.raises(Failure, match="was not of the form"):
        tokens.secret_of("ABC", 0, 0, (), (), "")
    with pytest.raises(Failure, match="didn't match pattern"):
        tokens.secret_name("abc")


def test_the_ca_pin_is_of_the_public_key(pki: dict[str, bytes]) -> None:
    from cryptography import x509 as reference
    from cryptography.hazmat.primitives import hashes, serialization

    public = reference.load_pem_x509_certificate(pki["ca.crt"]).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    assert x509.public_key_hash(pki["ca.crt"]) == f"sha256:{digest.finalize().hex()}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], 'unknown command "nonsense" for "kubeadm"'),
        (["certs", "nonsense"], 'invalid subcommand: "nonsense". See "kubeadm certs --help"'),
        (["certs", "check-expiration", "--nonsense"], "unknown flag: --nonsense"),
        (["kubeconfig", "user"], 'required flag(s) "client-name" not set'),
        (["token", "delete"], "'token delete' is missing token of form"),
        (["token", "create", "--ttl", "x"], 'invalid argument "x" for "--ttl" flag'),
    ],
)
def test_wrong_usage_is_one_message(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.endswith("To see the stack trace of this error execute with --v=5 or higher\n")


def test_flags_may_stand_anywhere() -> None:
    known = {"ttl": "24h", "print-join-command": "false"}
    assert parse(["a", "--ttl=1h", "b", "--print-join-command"], known) == (
        ["a", "b"],
        {"ttl": "1h", "print-join-command": "true"},
    )
    with pytest.raises(Failure, match="flag needs an argument: --ttl"):
        parse(["--ttl"], known)


def cluster_info(pki: dict[str, bytes]) -> dict[str, object]:
    text = kubeconfig("", "https://172.30.1.2:6443", pki["ca.crt"], "", "")
    return {"data": {"kubeconfig": text}}


@pytest.mark.parametrize("pin", ["right", "wrong", "none"])
def test_the_cluster_is_believed_for_its_pinned_ca_alone(
    pin: str, pki: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join.API, "call", lambda self, method, path, body=None: cluster_info(pki))
    right = x509.public_key_hash(pki["ca.crt"])
    given = {"right": right, "wrong": f"sha256:{'0' * 64}", "none": ""}[pin]
    request = join.Request("172.30.1.2:6443", "abcdef.0123456789abcdef", given, False, "")
    if pin == "right":
        assert join.discover(request) == pki["ca.crt"]
        return
    with pytest.raises(Failure, match="are pinned" if pin == "wrong" else "without caCertHashes can be unsafe"):
        join.discover(request)


def test_the_bootstrap_kubeconfig_carries_the_token(pki: dict[str, bytes], tmp_path: Path) -> None:
    request = join.Request("172.30.1.2:6443", "abcdef.0123456789abcdef", "", True, "")
    path = tmp_path / "bootstrap-kubelet.conf"
    path.write_text(join.bootstrap_kubeconfig(request, pki["ca.crt"]))
    config = load(str(path)).resolve()
    assert (config.server, config.token, config.ca_data) == (
        "https://172.30.1.2:6443",
        "abcdef.0123456789abcdef",
        pki["ca.crt"],
    )


def test_the_deepest_mounts_go_first() -> None:
    table = (
        "proc /proc proc rw 0 0\n"
        "tmpfs /var/lib/kubelet/pods/1/volumes/a\\040b tmpfs rw 0 0\n"
        "tmpfs /var/lib/kubelet/pods/1 tmpfs rw 0 0\n"
        "tmpfs /var/lib/kubelet-not-mine tmpfs rw 0 0\n"
    )
    found = reset.mounts_below(Path("/var/lib/kubelet"), table)
    assert found == ["/var/lib/kubelet/pods/1/volumes/a b", "/var/lib/kubelet/pods/1"]
