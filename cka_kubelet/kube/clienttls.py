"""The TLS context of a client, from what a kubeconfig says (client-go transport.TLSConfigFor)."""

import ssl
from pathlib import Path

from cka_kubelet.kube import pem
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.kubeconfig import RESTConfig

_ROOTS = "unable to load root certificates: unable to parse bytes as PEM block"


class TLSError(Exception):
    """A TLS configuration cannot be made; str() is client-go's message."""


def read_pem(path: str, data: bytes) -> bytes:
    """`data`, else what the file has; nothing without either. Raises TLSError."""
    if data or not path:
        return data
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TLSError(path_error("open", path, error)) from error


def check_tls(config: RESTConfig) -> None:
    """What transport.TLSConfigFor checks: roots parse, inline cert and key fit. Raises TLSError."""
    if not config.tls:
        return
    roots = read_pem(config.ca_file, config.ca_data)
    if roots and not config.insecure and not pem.has_certificates(roots):
        raise TLSError(_ROOTS)
    if config.cert_data or config.key_data:
        try:
            pem.check_pair(read_pem(config.cert_file, config.cert_data), read_pem(config.key_file, config.key_data))
        except pem.PEMError as error:
            raise TLSError(str(error)) from error


def tls_context(config: RESTConfig) -> ssl.SSLContext | None:
    """The TLS context of a client, None for plain HTTP. Raises TLSError."""
    if not config.tls:
        return None
    check_tls(config)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    roots = read_pem(config.ca_file, config.ca_data)
    if config.insecure:
        context.verify_mode = ssl.CERT_NONE
    elif roots:
        with pem.as_file(roots) as path:
            context.load_verify_locations(path)
    else:
        context.load_default_certs()
    certificate, key = read_pem(config.cert_file, config.cert_data), read_pem(config.key_file, config.key_data)
    try:
        if certificate and key:
            with pem.as_file(certificate) as cert_path, pem.as_file(key) as key_path:
                context.load_cert_chain(cert_path, key_path)
    except (OSError, ssl.SSLError) as error:
        raise TLSError(str(error)) from error
    return context
