"""Certificates from the control plane: the first one, each next one (client-go util/certificate).

One CertificateManager keeps one certificate: the client's or, with serverTLSBootstrap, the server's.
"""

import asyncio
import base64
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog, pem
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.gofmt import format_duration
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kube.reflector import Reflector
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.clientcert import CertificateStore

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
_USAGES = {
    CLIENT_SIGNER: ["digital signature", "client auth"],
    SERVING_SIGNER: ["digital signature", "server auth"],
}
_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_FILE = "certificate_manager.go"
_WAIT = 900.0
_STEPS, _FIRST, _JITTER, _POLL = 5, 2.0, 0.1, 32.0
_TEMPLATE_PERIOD, _PAUSE = 1.0, 1.0
_TIMED_OUT = "timed out waiting for the condition"


class Template(NamedTuple):
    """What a certificate must say."""

    common_name: str
    organizations: tuple[str, ...] = ("system:nodes",)
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


class RequestError(Exception):
    """No certificate this time. str() is upstream's message."""


def unsatisfied(template: Template, certificate: pem.Certificate) -> tuple[str, dict[str, object]] | None:
    """The line, and its pairs, that says what a certificate lacks; None when it has everything."""
    if template.common_name != certificate.common_name:
        names: dict[str, object] = {"currentName": certificate.common_name, "requestedName": template.common_name}
        return "Current certificate CN does not match requested CN", names
    for wanted, found, what, key in (
        (template.names, certificate.names, "DNS names", "dnsNames"),
        (template.addresses, certificate.addresses, "IP addresses", "IPs"),
        (template.organizations, certificate.organizations, "orgs", "orgs"),
    ):
        missing = sorted(set(wanted) - set(found))
        if missing:
            return f"Current certificate is missing requested {what}", {key: missing}
    return None


async def new_request(template: Template) -> tuple[bytes, bytes]:
    """(key, certificate request) in PEM, made by openssl. Raises RequestError."""
    subject = "".join(f"/O={name}" for name in template.organizations) + f"/CN={template.common_name}"
    names = [f"DNS:{name}" for name in template.names] + [f"IP:{address}" for address in template.addresses]
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "-",
        "-subj", subject, *(("-addext", f"subjectAltName={','.join(names)}") if names else ()),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, problem = await process.communicate()
    marker = output.find(b"-----BEGIN CERTIFICATE REQUEST-----")
    if process.returncode != 0 or marker < 0:
        raise RequestError(problem.decode(errors="replace").strip())
    return output[:marker], output[marker:]


def verdict(request: dict[str, Any]) -> bytes | None:
    """The certificate in an approved request, None while it waits. Raises RequestError when it was turned down."""
    status = request.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or []}
    for kind, words in (("Denied", "is denied"), ("Failed", "failed")):
        if kind in conditions:
            reason, message = conditions[kind].get("reason", ""), conditions[kind].get("message", "")
            raise RequestError(
                "cannot watch on the certificate signing request: "
                f"certificate signing request {words}, reason: {reason}, message: {message}"
            )
    if "Approved" not in conditions:
        return None
    return base64.b64decode(status["certificate"]) if status.get("certificate") else b""


def rotation_time(certificate: pem.Certificate, chance: float) -> float:
    """When to replace a certificate (epoch seconds): at 70–90 % of its life; `chance` in [0, 1)."""
    life = certificate.not_after - certificate.not_before
    return certificate.not_before + life * (0.7 + 0.2 * chance)


class CertificateManager:
    """Keeps a store's certificate valid and after its template.

    `template` gives None while it is not known what to ask for; `api(valid)` the client to ask with, `valid` telling
    whether a certificate is in use; `on_new` is called after each new one. `pair`: what there is at the start, and
    `force`: replace it at once.
    """

    def __init__(
        self,
        store: CertificateStore,
        signer: str,
        template: Callable[[], Template | None],
        api: Callable[[bool], APIClient],
        clock: Clock,
        on_new: Callable[[], None],
        pair: bytes | None,
        *,
        force: bool = False,
    ) -> None:
        self._store = store
        self._signer = signer
        self._template = template
        self._api = api
        self._clock = clock
        self._on_new = on_new
        self._force = force
        self._certificate = pem.certificates(pair)[0] if pair else None
        self._last_template: Template | None = None
        observed.certificate(signer, self._certificate.not_after if self._certificate else None)
        self.pair = pair
        self.server_healthy = False
        """Whether the last request found an API server that works."""

    def current(self) -> pem.Certificate | None:
        """The certificate in use, None without one or when it has expired."""
        found = self._certificate
        if found is not None and self._clock.now() > found.not_after:
            self._info(410, "Current certificate is expired")
            return None
        return found

    async def run(self) -> None:
        """Request and rotate until cancelled."""
        self._info(422, "Certificate rotation is enabled")
        while True:
            await self._cycle()
            await asyncio.sleep(_PAUSE)

    async def _cycle(self) -> None:
        wait = self._deadline() - self._clock.now()
        if wait > 0:
            self._info(431, "Waiting for next certificate rotation", sleep=format_duration(wait))
            await self._wait(wait)
        if self._template() is None:
            return
        step = _FIRST
        for attempt in range(_STEPS):
            if await self._rotate():
                return
            observed.renew_errors[self._signer].add()
            if attempt < _STEPS - 1:
                await asyncio.sleep(step * (1 + _JITTER * random.random()))  # noqa: S311
                step *= 2
        self._error(461, "Reached backoff limit, still unable to rotate certs", _TIMED_OUT)
        while True:
            await asyncio.sleep(_POLL)
            if await self._rotate():
                return

    async def _wait(self, seconds: float) -> None:
        """Until then, or until the template asks for something else than the last request did."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            await asyncio.sleep(min(left, _TEMPLATE_PERIOD) if self._signer == SERVING_SIGNER else left)
            if not self._satisfied() and self._template() != self._last_template:
                self._info(445, "Certificate template changed, rotating")
                return

    def _satisfied(self) -> bool:
        template = self._template()
        if self._certificate is None:
            return False
        lack = unsatisfied(template, self._certificate) if template is not None else None
        if lack is not None:
            self._info(650, lack[0], **lack[1])
        return lack is None

    def _deadline(self) -> float:
        if self._force or self._certificate is None or not self._satisfied():
            self._force = False
            return self._clock.now()
        deadline = rotation_time(self._certificate, random.random())  # noqa: S311
        self._info(
            715, "Certificate rotation deadline determined", expiration=pem.go_time(self._certificate.not_after),
            deadline=pem.go_time(deadline),
        )  # fmt: skip
        return deadline

    async def _rotate(self) -> bool:
        self._info(566, "Rotating certificates")
        template = self._template()
        if template is None:
            return False
        try:
            key, request = await new_request(template)
        except RequestError as error:
            self._error(570, "Unable to generate a certificate signing request", error)
            return False
        api = self._api(self.current() is not None)
        try:
            created = await api.create(_PATH, self._body(request))
        except (StatusError, TransportError) as error:
            self._error(
                596, "Failed while requesting a signed certificate from the control plane",
                f"cannot create certificate signing request: {error}",
            )  # fmt: skip
            self.server_healthy = isinstance(error, StatusError) and error.code in (401, 403, 404)
            return False
        name = str(created["metadata"]["name"])
        klog.info("csr.go:86", "Certificate signing request created", v=2, logger=self._signer, csr=name)
        self._last_template = template
        try:
            certificate = await self._signed(api, name)
        except RequestError as error:
            self._error(613, "Certificate request was not signed", error)
            return False
        return self._take(certificate, key)

    def _body(self, request: bytes) -> dict[str, Any]:
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "csr-"},
            "spec": {
                "request": base64.b64encode(request).decode(),
                "signerName": self._signer,
                "usages": _USAGES[self._signer],
            },
        }

    def _take(self, certificate: bytes, key: bytes) -> bool:
        before = self._certificate
        try:
            self._store.update(certificate, key)
            self._certificate = pem.certificates(certificate)[0]
        except (OSError, pem.PEMError) as error:
            self._error(622, "Unable to store the new cert/key pair", error)
            return False
        observed.certificate(self._signer, self._certificate.not_after)
        if before is not None and self._signer == SERVING_SIGNER:
            observed.serving_rotation_seconds.add(self._clock.now() - before.not_before)
        self.pair = certificate + key
        self.server_healthy = True
        self._on_new()
        return True

    async def _signed(self, api: APIClient, name: str) -> bytes:
        """Watch a request until it is approved and signed, at most 15 min. Raises RequestError."""
        changed = asyncio.Event()
        watch = Reflector(
            api, _PATH, "*v1.CertificateSigningRequest", on_event=lambda _kind, _object: changed.set(),
            name="k8s.io/client-go/tools/watch/informerwatcher.go:162", fieldSelector=f"metadata.name={name}",
        )  # fmt: skip
        watching = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(_WAIT):
                while True:
                    await changed.wait()
                    changed.clear()
                    request = watch.items.get(name)
                    if request is None:
                        text = f'cannot watch on the certificate signing request: csr "{name}" was deleted'
                        raise RequestError(text)
                    certificate = verdict(request)
                    if certificate:
                        klog.info("csr.go:272", "Certificate signing request is issued", v=2,
                                  logger=self._signer, csr=klog.KObj("", name))  # fmt: skip
                        return certificate
                    if certificate is not None:
                        klog.info("csr.go:276", "Certificate signing request is approved, waiting to be issued", v=2,
                                  logger=self._signer, csr=klog.KObj("", name))  # fmt: skip
        except TimeoutError as error:
            raise RequestError(_TIMED_OUT) from error
        finally:
            watching.cancel()

    def _info(self, line: int, message: str, **pairs: object) -> None:
        klog.info(f"{_FILE}:{line}", message, v=2, logger=self._signer, **pairs)

    def _error(self, line: int, message: str, error: object) -> None:
        klog.error(f"{_FILE}:{line}", message, err=error, logger=f"{self._signer}.UnhandledError")
