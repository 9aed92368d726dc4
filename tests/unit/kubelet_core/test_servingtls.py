import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from cka_kubelet.kube import selfsigned
from cka_kubelet.kube.certfiles import authority_problem, pair_problem
from cka_kubelet.kube.httpserver import Request, Response, serve
from cka_kubelet.kubelet import tlsoptions
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.servingtls import ServingTLS


def _pair(folder: Path, name: str) -> tuple[str, str]:
    certificate, key = f"{folder}/{name}.crt", f"{folder}/{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-subj", f"/CN={name}", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _shown(port: int) -> str:
    """Common name that the server at a port shows, or the error."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"]
    shown = subprocess.run(command, capture_output=True, input=b"", timeout=10, check=False)
    text = (shown.stdout + shown.stderr).decode()
    line = next((line for line in text.splitlines() if line.startswith("subject=") or "alert" in line), "")
    return line.rpartition("=")[2].strip() if "subject=" in line else line


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _replace(path: str, content: bytes) -> None:
    Path(path).unlink()
    Path(path).write_bytes(content)


async def _answer(_request: Request) -> Response:
    return Response()


async def test_a_certificate_replaced_on_disk_is_served_without_a_restart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    certificate, key = _pair(tmp_path, "first")
    tls = ServingTLS("")
    tls.use(certificate, key)
    server = await serve(_answer, "127.0.0.1", 0, tls.context, tls_problem=tls.problem)
    try:
        tls.look(certificate, key)
        assert await asyncio.to_thread(_shown, server.port) == "first"
        _replace(certificate, b"junk")
        tls.look(certificate, key)
        assert (
            '"Unhandled Error" err="key failed with : tls: failed to find any PEM data in certificate input" '
            'logger="UnhandledError"'
        ) in capfd.readouterr().err
        assert await asyncio.to_thread(_shown, server.port) == "first"
        second = _pair(tmp_path, "second")
        _replace(certificate, _read(second[0]))
        _replace(key, _read(second[1]))
        tls.look(certificate, key)
        assert await asyncio.to_thread(_shown, server.port) == "second"
    finally:
        server.close()


async def test_without_a_certificate_clients_get_an_internal_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tls = ServingTLS("")
    server = await serve(_answer, "127.0.0.1", 0, tls.context, tls_problem=tls.problem)
    try:
        assert "alert internal error" in await asyncio.to_thread(_shown, server.port)
        line = capfd.readouterr().err
        assert "http: TLS handshake error from 127.0.0.1:" in line
        assert line.endswith(": no serving certificate available for the kubelet\n")
        certificate, key = _pair(tmp_path, "now")
        tls.use_pem(_read(certificate) + _read(key))
        assert await asyncio.to_thread(_shown, server.port) == "now"
    finally:
        server.close()


def _options(**fields: object) -> tlsoptions.TLSOptions:
    return tlsoptions.parse(KubeletConfiguration(fields))


def test_cipher_suites_and_versions_are_gos(capfd: pytest.CaptureFixture[str]) -> None:
    found = _options(tlsCipherSuites=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"])
    assert found == (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA")
    assert '"Use of insecure cipher detected." cipher="TLS_RSA_WITH_AES_128_CBC_SHA"' in capfd.readouterr().err
    assert _options(tlsMinVersion="VersionTLS13").version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"tlsCipherSuites": ["TLS_X"]}, "Cipher suite TLS_X not supported or doesn't exist"),
     ({"tlsMinVersion": "TLS1.2"}, 'unknown tls version "TLS1.2"')],
)  # fmt: skip
def test_unknown_tls_options(fields: dict[str, object], message: str) -> None:
    with pytest.raises(tlsoptions.TLSOptionError) as caught:
        _options(**fields)
    assert str(caught.value) == message


def test_the_self_signed_pair_has_an_issuer_of_its_own(tmp_path: Path) -> None:
    certificate, key = f"{tmp_path}/pki/kubelet.crt", f"{tmp_path}/pki/kubelet.key"
    selfsigned.write(certificate, key, "n1")
    assert pair_problem(certificate, key) is None
    command = ["openssl", "x509", "-in", certificate, "-noout", "-issuer", "-subject", "-ext", "extendedKeyUsage"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout.replace(" ", "")
    assert "issuer=CN=n1-ca@" in shown
    assert "subject=CN=n1@" in shown
    assert "TLSWebServerAuthentication" in shown
    assert Path(key).stat().st_mode & 0o777 == 0o600


def test_problems_with_files(tmp_path: Path) -> None:
    missing = f"{tmp_path}/no.crt"
    assert pair_problem(missing, missing) == f"open {missing}: no such file or directory"
    assert authority_problem(missing) == f"open {missing}: no such file or directory"
    Path(missing).touch()
    assert authority_problem(missing) == f'missing content for CA bundle "client-ca-bundle::{missing}"'
