"""Requests for certificates against a fake control plane that signs with the openssl command."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.kube import klog, pem
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kubelet import certrequest, clientcert, servingcert
from cka_kubelet.kubelet.certrequest import CLIENT_SIGNER, SERVING_SIGNER, CertificateManager, Template

NODE = Template("system:node:n1")


def _sign(request: bytes, folder: Path) -> bytes:
    (folder / "request").write_bytes(request)
    ca = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
          "-subj", "/CN=ca", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt"]  # fmt: skip
    subprocess.run(ca, check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", f"{folder}/request", "-CA", f"{folder}/ca.crt", "-CAkey",
            f"{folder}/ca.key", "-CAcreateserial", "-copy_extensions", "copy"]  # fmt: skip
    return subprocess.run(sign, check=True, capture_output=True).stdout


def _text(request: bytes) -> bytes:
    command = ["openssl", "req", "-noout", "-text"]
    return subprocess.run(command, input=request, capture_output=True, check=True).stdout


class _ControlPlane:
    """Answers each request with the next verdict: "sign", "deny" or a StatusError."""

    def __init__(self, folder: Path, *verdicts: "str | StatusError") -> None:
        self._folder = folder
        self._verdicts = list(verdicts)
        self.requests: list[dict[str, Any]] = []

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path.endswith("/certificatesigningrequests")
        verdict = self._verdicts.pop(0)
        if isinstance(verdict, StatusError):
            raise verdict
        request = {**body, "metadata": {"name": f"csr-{len(self.requests)}", "resourceVersion": "1"}}
        if verdict == "deny":
            denied = {"type": "Denied", "reason": "KubectlDeny", "message": "no"}
            request["status"] = {"conditions": [denied]}
        else:
            signed = _sign(base64.b64decode(body["spec"]["request"]), self._folder)
            request["status"] = {
                "conditions": [{"type": "Approved"}], "certificate": base64.b64encode(signed).decode()
            }  # fmt: skip
        self.requests.append(request)
        return {"metadata": {"name": request["metadata"]["name"]}}

    async def list(self, _path: str, **options: object) -> dict[str, Any]:
        name = str(options["fieldSelector"]).partition("=")[2]
        found = [request for request in self.requests if request["metadata"]["name"] == name]
        return {"kind": "CertificateSigningRequestList", "metadata": {"resourceVersion": "1"}, "items": found}

    async def watch(self, *_path: str, **_options: object) -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}


def _manager(
    folder: Path, plane: _ControlPlane, signer: str = CLIENT_SIGNER, template: Template | None = NODE
) -> tuple[CertificateManager, asyncio.Event, FakeClock]:
    renewed, clock = asyncio.Event(), FakeClock(0.0)
    store = clientcert.CertificateStore(str(folder / "pki"), "kubelet-client")
    manager = CertificateManager(
        store, signer, lambda: template, lambda _valid: cast(APIClient, plane), clock, renewed.set, None
    )
    return manager, renewed, clock


async def _until_renewed(manager: CertificateManager, renewed: asyncio.Event) -> None:
    running = asyncio.create_task(manager.run())
    try:
        async with asyncio.timeout(20):
            await renewed.wait()
    finally:
        running.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certrequest, "_FIRST", 0.01)
    monkeypatch.setattr(certrequest, "_POLL", 0.01)


async def test_the_first_certificate_is_requested_stored_and_used(tmp_path: Path) -> None:
    plane = _ControlPlane(tmp_path, "sign")
    manager, renewed, _ = _manager(tmp_path, plane)
    assert manager.current() is None
    await _until_renewed(manager, renewed)
    found = manager.current()
    assert found is not None
    assert (found.common_name, found.organizations) == ("system:node:n1", ("system:nodes",))
    spec = plane.requests[0]["spec"]
    assert (spec["signerName"], spec["usages"]) == (CLIENT_SIGNER, ["digital signature", "client auth"])
    link = tmp_path / "pki" / "kubelet-client-current.pem"
    assert link.is_symlink()
    assert link.read_bytes() == manager.pair
    assert manager.server_healthy


async def test_a_denied_request_is_told_and_made_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plane = _ControlPlane(tmp_path, "deny", StatusError(401, "Unauthorized", "Unauthorized", None), "sign")
    manager, renewed, _ = _manager(tmp_path, plane, SERVING_SIGNER)
    await _until_renewed(manager, renewed)
    lines = [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]
    logger = ' logger="kubernetes.io/kubelet-serving.UnhandledError"'
    assert lines == [
        '"Certificate request was not signed" err="cannot watch on the certificate signing request: certificate '
        f'signing request is denied, reason: KubectlDeny, message: no"{logger}',
        '"Failed while requesting a signed certificate from the control plane" err="cannot create certificate '
        f'signing request: Unauthorized"{logger}',
    ]


async def test_after_five_failures_the_back_off_ends_and_it_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused = StatusError(503, "ServiceUnavailable", "busy", None)
    manager, renewed, _ = _manager(tmp_path, _ControlPlane(tmp_path, *[refused] * 6, "sign"))
    await _until_renewed(manager, renewed)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 7
    assert '"Reached backoff limit, still unable to rotate certs" err="timed out waiting for the condition"' in lines[5]


async def test_nothing_is_asked_for_without_a_template(tmp_path: Path) -> None:
    plane = _ControlPlane(tmp_path)
    manager, _, _ = _manager(tmp_path, plane, SERVING_SIGNER, None)
    running = asyncio.create_task(manager.run())
    await asyncio.sleep(0.05)
    running.cancel()
    assert plane.requests == []


def test_an_expired_certificate_is_none(tmp_path: Path) -> None:
    manager, _, clock = _manager(tmp_path, _ControlPlane(tmp_path))
    manager._certificate = pem.Certificate(0.0, 10.0, "system:node:n1", ("system:nodes",))
    assert manager.current() is not None
    clock.sleep(11)
    assert manager.current() is None


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (Template("cn", ("o",), ("d",), ("10.0.0.1",)), None),
        (Template("other"), "Current certificate CN does not match requested CN"),
        (Template("cn", ("o",), ("d", "e")), "Current certificate is missing requested DNS names"),
        (Template("cn", ("o",), (), ("10.0.0.2",)), "Current certificate is missing requested IP addresses"),
        (Template("cn", ("p",)), "Current certificate is missing requested orgs"),
    ],
)
def test_what_a_certificate_lacks(wanted: Template, line: str | None) -> None:
    found = certrequest.unsatisfied(wanted, pem.Certificate(0, 1, "cn", ("o",), ("d",), ("10.0.0.1",)))
    assert (found[0] if found else None) == line


async def test_the_alternative_names_are_in_the_request() -> None:
    _, request = await certrequest.new_request(Template("cn", names=("n1",), addresses=("10.0.0.1",)))
    assert b"DNS:n1, IP Address:10.0.0.1" in await asyncio.to_thread(_text, request)


def test_the_serving_template_needs_an_address() -> None:
    hostname = {"type": "Hostname", "address": "n1"}
    assert servingcert.template("n1", [hostname]) is None
    found = servingcert.template("n1", [{"type": "InternalIP", "address": "10.0.0.1"}, hostname])
    assert found == Template("system:node:n1", names=("n1",), addresses=("10.0.0.1",))


class _Watched:
    def __init__(self) -> None:
        self.certificate: pem.Certificate | None = pem.Certificate(0, 1e9, "n")
        self.healthy = False
        self.rotations = 0
        self.exits: list[int] = []
        self.clock = FakeClock(1000.0)
        self.watch = clientcert.RotationWatch(
            lambda: self.certificate, lambda: self.healthy, self._rotated, self.clock, self.exits.append
        )

    def _rotated(self) -> None:
        self.rotations += 1


def test_a_new_certificate_means_new_connections(capfd: pytest.CaptureFixture[str]) -> None:
    watched = _Watched()
    watched.watch.check()
    assert watched.rotations == 0
    watched.certificate = pem.Certificate(0, 2e9, "n")
    watched.watch.check()
    watched.watch.check()
    assert watched.rotations == 1
    assert "Certificate rotation detected, shutting down client connections to start using new credentials" in (
        capfd.readouterr().err
    )


def test_without_a_certificate_the_kubelet_ends_once_the_server_answers(capfd: pytest.CaptureFixture[str]) -> None:
    watched = _Watched()
    watched.certificate = None
    watched.clock.sleep(299)
    watched.watch.check()
    assert capfd.readouterr().err == ""
    watched.clock.sleep(2)
    watched.watch.check()
    assert watched.exits == []
    assert "but the server is not responsive" in capfd.readouterr().err
    watched.healthy = True
    watched.watch.check()
    assert watched.exits == [1]
    assert "No valid client certificate is found and the server is responsive, exiting." in capfd.readouterr().err


def test_the_rotation_is_told_at_v_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manager, _, clock = _manager(tmp_path, _ControlPlane(tmp_path))
    manager._certificate = pem.Certificate(0.0, 1000.0, "system:node:n1", ("system:nodes",))
    klog.set_verbosity(2)
    try:
        deadline = manager._deadline()
    finally:
        klog.set_verbosity(0)
    assert 700 <= deadline <= 900
    assert clock.now() == 0
    assert '"Certificate rotation deadline determined" logger="kubernetes.io/kube-apiserver-client-kubelet"' in (
        capfd.readouterr().err
    )
