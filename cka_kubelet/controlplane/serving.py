"""Listening for HTTPS as upstream's programs do: port, certificate and client CA, with their errors."""

import ssl
import tempfile

from cka_kubelet.controlplane.command import StartError
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube import httpserver, klog, tlsserver
from cka_kubelet.kube.certfiles import authority_problem, pair_problem
from cka_kubelet.kube.connection import host_port
from cka_kubelet.kube.gofmt import errno_text
from cka_kubelet.kube.httpserver import Handler, Server


def check_files(settings: Settings) -> None:
    """The certificate, its key and the client CAs. Raises StartError for the first that cannot be used."""
    certificate, key = settings.text("tls-cert-file"), settings.text("tls-private-key-file")
    if certificate or key:
        if not (certificate and key):
            raise StartError("missing filename for serving cert")
        problem = pair_problem(certificate, key)
        if problem:
            raise StartError(problem)


def check_authorities(settings: Settings, client: str, request_header: str) -> None:
    """The client CAs; the two texts go before what is wrong with them. Raises StartError."""
    path = settings.text("client-ca-file")
    problem = authority_problem(path) if path else None
    if problem:
        raise StartError(f"{client.format(path)}: {problem}")
    path = settings.text("requestheader-client-ca-file")
    problem = authority_problem(path, "request-header") if path else None
    if problem:
        raise StartError(f"{request_header}: {problem}")


def _context(settings: Settings, name: str) -> ssl.SSLContext:
    certificate, key = settings.text("tls-cert-file"), settings.text("tls-private-key-file")
    authority = settings.text("client-ca-file")
    if certificate:
        return tlsserver.server_context(certificate, key, authority)
    from cka_kubelet.kube import selfsigned  # a program that is given a certificate makes none

    with tempfile.TemporaryDirectory() as folder:
        certificate, key = f"{folder}/{name}.crt", f"{folder}/{name}.key"
        try:
            selfsigned.write(certificate, key, "localhost", ("127.0.0.1",))
        except selfsigned.SelfSignedError as error:
            raise StartError(f"error creating self-signed certificates: {error}") from error
        klog.raw("I", "serving.go:392", "Generated self-signed cert in-memory")
        return tlsserver.server_context(certificate, key, authority)


async def listen(settings: Settings, handler: Handler, name: str) -> Server:
    """Answer on --bind-address and --secure-port. Raises StartError."""
    try:
        context = _context(settings, name)
    except (OSError, ssl.SSLError) as error:
        raise StartError(str(error)) from error
    address, port = settings.text("bind-address"), settings.number("secure-port")
    where = host_port(address, port)
    try:
        return await httpserver.serve(handler, address, port, context)
    except OSError as error:
        problem = f"listen tcp {where}: bind: {errno_text(error)}"
        raise StartError(f"failed to create listener: failed to listen on {where}: {problem}") from error


def announce(settings: Settings) -> None:
    """The lines about serving."""
    address, port = settings.text("bind-address"), settings.number("secure-port")
    shown = "[::]" if address in ("0.0.0.0", "::") else address  # noqa: S104  # Go shows both families so
    klog.raw("I", "secure_serving.go:214", f"Serving securely on {shown}:{port}")
    klog.info("tlsconfig.go:243", "Starting DynamicServingCertificateController")
    for name, file in (("client-ca-bundle", "client-ca-file"), ("request-header", "requestheader-client-ca-file")):
        if settings.text(file):
            klog.info("dynamic_cafile_content.go:161", "Starting controller", name=f"{name}::{settings.text(file)}")
    certificate = settings.text("tls-cert-file")
    if certificate:
        pair = f"serving-cert::{certificate}::{settings.text('tls-private-key-file')}"
        klog.info("dynamic_serving_content.go:135", "Starting controller", name=pair)
