"""Asking the control plane for client certificates: the first one (TLS bootstrap) and each next one (rotation)."""

import asyncio
import base64
import random
from collections.abc import Callable
from typing import Any

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kubelet import pem
from cka_kubelet.kubelet.clientcert import CertificateStore

_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
_WAIT, _POLL = 900.0, 1.0
_FIRST, _MOST = 2.0, 32.0


class RequestError(Exception):
    """No certificate this time. str() is upstream's message."""


async def _new_request(node_name: str) -> tuple[bytes, bytes]:
    """(key, certificate request) in PEM, made by openssl."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "-",
        "-subj", f"/O=system:nodes/CN=system:node:{node_name}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, problem = await process.communicate()
    marker = output.find(b"-----BEGIN CERTIFICATE REQUEST-----")
    if process.returncode != 0 or marker < 0:
        raise RequestError(f"unable to generate certificate request: {problem.decode(errors='replace').strip()}")
    return output[:marker], output[marker:]


async def _signed(api: APIClient, name: str) -> bytes:
    """Wait for a request to be approved and signed, at most 15 min."""
    try:
        async with asyncio.timeout(_WAIT):
            while True:
                status = (await api.get(f"{_PATH}/{name}")).get("status") or {}
                for condition in status.get("conditions") or []:
                    if condition.get("type") in ("Denied", "Failed"):
                        verb = "is denied" if condition["type"] == "Denied" else "failed"
                        raise RequestError(
                            f"certificate signing request {verb}, reason: {condition.get('reason', '')}, "
                            f"message: {condition.get('message', '')}"
                        )
                if status.get("certificate"):
                    return base64.b64decode(status["certificate"])
                await asyncio.sleep(_POLL)
    except TimeoutError as error:
        raise RequestError("timed out waiting for the condition") from error


async def request_pair(api: APIClient, node_name: str) -> tuple[bytes, bytes]:
    """(certificate, key) signed by the control plane. Raises RequestError."""
    key, request = await _new_request(node_name)
    body: dict[str, Any] = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": _SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    }
    try:
        created = await api.create(_PATH, body)
        return await _signed(api, created["metadata"]["name"]), key
    except (StatusError, TransportError) as error:
        raise RequestError(f"cannot create certificate signing request: {error}") from error


def rotation_time(certificate: pem.Certificate, chance: float) -> float:
    """When to replace a certificate (epoch seconds): at 70–90 % of its life; `chance` in [0, 1)."""
    life = certificate.not_after - certificate.not_before
    return certificate.not_before + life * (0.7 + 0.2 * chance)


class CertificateManager:
    """Gets the first certificate with `bootstrap`, later ones with `api`; `on_new` is called after each."""

    def __init__(
        self,
        store: CertificateStore,
        node_name: str,
        clock: Clock,
        api: APIClient,
        bootstrap: APIClient | None,
        on_new: Callable[[], None],
    ) -> None:
        self._store = store
        self._node_name = node_name
        self._clock = clock
        self._api = api
        self._bootstrap = bootstrap
        self._on_new = on_new

    async def run(self, current: pem.Certificate | None) -> None:
        """Request and rotate until cancelled. `current`: the certificate now in use, None before the first."""
        while True:
            if current is not None:
                wait = rotation_time(current, random.random()) - self._clock.now()  # noqa: S311
                await asyncio.sleep(max(0.0, wait))
                klog.info("certificate_manager.go:566", "Rotating certificates", v=2)
            api = self._api if current is not None or self._bootstrap is None else self._bootstrap
            current = await self._until_signed(api)

    async def _until_signed(self, api: APIClient) -> pem.Certificate:
        delay = _FIRST
        while True:
            try:
                certificate, key = await request_pair(api, self._node_name)
                self._store.update(certificate, key)
            except RequestError as error:
                klog.error(
                    "certificate_manager.go:596",
                    "Failed while requesting a signed certificate from the control plane", err=error,
                )  # fmt: skip
            except OSError as error:
                klog.error("certificate_manager.go:620", "Unable to update the cert/key pair stored on disk", err=error)
            else:
                self._on_new()
                return pem.certificates(certificate)[0]
            await asyncio.sleep(delay)
            delay = min(delay * 2, _MOST)
