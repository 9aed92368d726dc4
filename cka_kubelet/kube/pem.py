"""PEM files and X.509 with the standard library alone: what is in them, whether cert and key fit, Go's error texts."""

import base64
import binascii
import ipaddress
import os
import re
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kube.gofmt import quote

NO_CERTIFICATES = "data does not contain any valid RSA or ECDSA certificates"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


class PEMError(ValueError):
    """Not what was asked for. str() is Go's message."""


class Certificate(NamedTuple):
    """Times in seconds since the epoch; the subject's name and organizations; the alternative names it is good for."""

    not_before: float
    not_after: float
    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def _blocks(data: bytes) -> list[tuple[str, bytes]]:
    """PEM blocks with decodable bodies, as Go's pem.Decode sees them."""
    found = []
    for match in _BLOCK.finditer(data):
        try:
            body = b"".join(match.group().split(b"\n")[1:-1])
            base64.b64decode(body, validate=False)
        except binascii.Error:
            continue
        found.append((match[1].decode(), match.group() + b"\n"))
    return found


@contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """`data` in a file only root can read, for the functions of `ssl` that take nothing else."""
    fd, path = tempfile.mkstemp()
    try:
        os.write(fd, data)
        os.close(fd)
        yield path
    finally:
        Path(path).unlink()


def _decode(block: bytes) -> Certificate:
    with as_file(block) as path:
        try:
            fields = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]  # the only decoder without OpenSSL's CLI
        except (OSError, ssl.SSLError) as error:
            raise PEMError("x509: malformed certificate") from error
    subject = [pair for part in fields.get("subject", ()) for pair in part]
    alternatives = fields.get("subjectAltName", ())
    return Certificate(
        ssl.cert_time_to_seconds(fields["notBefore"]),
        ssl.cert_time_to_seconds(fields["notAfter"]),
        next((value for key, value in subject if key == "commonName"), ""),
        tuple(value for key, value in subject if key == "organizationName"),
        tuple(value for key, value in alternatives if key == "DNS"),
        tuple(str(ipaddress.ip_address(value.strip())) for key, value in alternatives if key == "IP Address"),
    )


def certificates(data: bytes) -> list[Certificate]:
    """All certificates in `data`. Raises PEMError when there is none."""
    found = [_decode(block) for kind, block in _blocks(data) if kind == "CERTIFICATE"]
    if not found:
        raise PEMError(NO_CERTIFICATES)
    return found


def check_pair(certificate: bytes, key: bytes) -> None:
    """Go's tls.X509KeyPair: raise PEMError unless both are there and belong together."""
    kinds = [kind for kind, _ in _blocks(certificate)]
    if "CERTIFICATE" not in kinds:
        if not kinds:
            raise PEMError("tls: failed to find any PEM data in certificate input")
        if len(kinds) == 1 and kinds[0].endswith("PRIVATE KEY"):
            raise PEMError(
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            )
        raise PEMError(_skipped("certificate", "CERTIFICATE", kinds))
    kinds = [kind for kind, _ in _blocks(key)]
    if not any(kind == "PRIVATE KEY" or kind.endswith(" PRIVATE KEY") for kind in kinds):
        if not kinds:
            raise PEMError("tls: failed to find any PEM data in key input")
        if kinds == ["CERTIFICATE"]:
            raise PEMError("tls: found a certificate rather than a key in the PEM for the private key")
        raise PEMError(
            'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks '
            f"of the following types: [{' '.join(kinds)}]"
        )
    with as_file(certificate) as cert_path, as_file(key) as key_path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_path, key_path)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise PEMError("tls: private key does not match public key") from error
            raise PEMError("tls: failed to parse private key") from error


def _skipped(what: str, wanted: str, kinds: list[str]) -> str:
    return (
        f"tls: failed to find {quote(wanted)} PEM block in {what} input after skipping PEM blocks of the following "
        f"types: [{' '.join(kinds)}]"
    )


def has_certificates(data: bytes) -> bool:
    """Whether a trust store can be made of `data`."""
    return any(kind == "CERTIFICATE" for kind, _ in _blocks(data))


def go_time(stamp: float) -> str:
    """A time as Go prints it: `2025-02-01 00:00:00 +0000 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(stamp))
