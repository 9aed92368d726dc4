"""TLS for our servers: ask for a client certificate, never insist, and know whether it is good.

Go's servers ask with `RequestClientCert`: a handshake succeeds with an expired or unknown certificate, and the request
is then refused with 401. Python's ssl can only break the handshake (`CERT_OPTIONAL`), which clients would report as
another fault. So OpenSSL's verify callback is set through ctypes to carry on, and the verdict is read afterwards.
Where that is impossible the context stays with CERT_OPTIONAL.
"""

import asyncio
import ctypes
import ssl
import sys
from typing import Any, NamedTuple

_VERIFY_PEER = 0x01
_X509_V_OK = 0
_CARRY_ON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(lambda _ok, _store: 1)
_HEADER = object.__basicsize__  # PyObject_HEAD; SSL_CTX* and (after the socket) SSL* follow in CPython 3.11-3.13
_POINTER = ctypes.sizeof(ctypes.c_void_p)


class PeerCertificate(NamedTuple):
    """Who the client's certificate says it is: user name and groups."""

    cn: str
    organizations: tuple[str, ...]


def _library() -> Any | None:
    if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return None
    try:
        library = ctypes.CDLL("libssl.so.3")  # already loaded by _ssl: the same instance
        library.SSL_CTX_get_verify_mode.argtypes = [ctypes.c_void_p]
        library.SSL_CTX_set_verify.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        library.SSL_get_verify_result.argtypes = [ctypes.c_void_p]
        library.SSL_get_verify_result.restype = ctypes.c_long
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY = _library()
_LENIENT: set[int] = set()


def _pointer(owner: object, offset: int) -> int:
    return ctypes.c_void_p.from_address(id(owner) + offset).value or 0


def server_context(cert_file: str, key_file: str, client_ca_file: str = "") -> ssl.SSLContext:
    """A server's context. With `client_ca_file` clients are asked for a certificate. Raises OSError, ssl.SSLError.

    Without `cert_file` an `sni_callback` must choose a context that has one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 0
    if client_ca_file:
        context.load_verify_locations(client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        _accept_any(context)
    return context


def _accept_any(context: ssl.SSLContext) -> None:
    if _LIBRARY is None:
        return
    native = _pointer(context, _HEADER)
    # A guard against another struct layout: what lies there must be the SSL_CTX whose mode was just set.
    if native and _LIBRARY.SSL_CTX_get_verify_mode(native) == _VERIFY_PEER:
        _LIBRARY.SSL_CTX_set_verify(native, _VERIFY_PEER, _CARRY_ON)
        _LENIENT.add(id(context))


_HANDSHAKE = {
    "NO_SHARED_CIPHER": "tls: no cipher suite supported by both client and server",
    "SSLV3_ALERT_BAD_CERTIFICATE": "remote error: tls: bad certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "remote error: tls: expired certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "remote error: tls: unknown certificate",
    "SSL/TLS_ALERT_BAD_CERTIFICATE": "remote error: tls: bad certificate",
    "SSL/TLS_ALERT_CERTIFICATE_UNKNOWN": "remote error: tls: unknown certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "remote error: tls: unknown certificate authority",
    "UNSUPPORTED_PROTOCOL": "tls: client offered only unsupported versions: [303 302 301]",
}


def handshake_problem(error: Exception) -> str:
    """What Go's server says of a handshake that failed with `error`."""
    reason = getattr(error, "reason", None)
    if reason is None and isinstance(error, ConnectionResetError | EOFError):
        return str(error) if isinstance(error, EOFError) and str(error) else "EOF"
    return _HANDSHAKE.get(str(reason), str(reason or error))


def peer_certificate(writer: asyncio.StreamWriter) -> tuple[PeerCertificate | None, str]:
    """The client's verified identity, or None; and, for a certificate that did not verify, why (else "")."""
    ssl_object = writer.get_extra_info("ssl_object")
    if ssl_object is None:
        return None, ""
    certificate = ssl_object.getpeercert()
    if not certificate:
        return None, ""
    if id(ssl_object.context) in _LENIENT and _LIBRARY is not None:
        verdict = _LIBRARY.SSL_get_verify_result(_pointer(ssl_object._sslobj, _HEADER + _POINTER))
        if verdict != _X509_V_OK:
            return None, _reason(verdict)
    return _subject(certificate), ""


def _reason(verdict: int) -> str:
    known = {
        9: "x509: certificate has expired or is not yet valid",
        10: "x509: certificate has expired or is not yet valid",
        26: "x509: certificate specifies an incompatible key usage",
    }
    return known.get(verdict, "x509: certificate signed by unknown authority")


def _subject(certificate: dict[str, Any]) -> PeerCertificate:
    names = [pair for relative in certificate.get("subject", ()) for pair in relative]
    cn = next((value for key, value in reversed(names) if key == "commonName"), "")
    return PeerCertificate(cn, tuple(value for key, value in names if key == "organizationName"))
