"""Certificates by the openssl program: read, and issue as kubeadm does (RSA 2048, one year, signed by a local CA)."""

import calendar
import hashlib
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cka_kubelet.kubeadm.errors import Failure

YEAR = 365 * 86400
_NAMES = re.compile(r"Subject Alternative Name:.*\n\s*(.+)")
_USAGE = re.compile(r"Extended Key Usage:.*\n\s*(.+)")
_USAGES = {"TLS Web Server Authentication": "serverAuth", "TLS Web Client Authentication": "clientAuth"}


class Pair(NamedTuple):
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Wanted(NamedTuple):
    """What a certificate is to say. `subject` as openssl's -subj wants it; `names` as `DNS:x`, `IP Address:y`."""

    subject: str
    names: tuple[str, ...] = ()
    usages: tuple[str, ...] = ("clientAuth",)


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Standard output. Raises Failure with openssl's last word."""
    try:
        done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False, timeout=60)
    except OSError as error:
        raise Failure(f"cannot run openssl: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Failure(said[-1] if said else "openssl failed")
    return done.stdout


def not_after(pem: bytes) -> float:
    """When the certificate ends, seconds since the epoch."""
    text = openssl("x509", "-noout", "-enddate", stdin=pem).decode().strip().partition("=")[2]
    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))


def wanted_again(pem: bytes) -> Wanted:
    """What a certificate says, to be said by the next one: subject, names, usages."""
    text = openssl("x509", "-noout", "-text", stdin=pem).decode("utf-8", "replace")
    subject = openssl("x509", "-noout", "-subject", "-nameopt", "multiline,utf8,-esc_msb", stdin=pem).decode()
    names, usages = _NAMES.search(text), _USAGE.search(text)
    return Wanted(
        subject_of(subject),
        tuple(entry.strip() for entry in names[1].split(",")) if names else (),
        tuple(_USAGES[usage.strip()] for usage in usages[1].split(",") if usage.strip() in _USAGES) if usages else (),
    )


def subject_of(multiline: str) -> str:
    """openssl's multiline subject as -subj wants it."""
    short = {"organizationName": "O", "commonName": "CN", "countryName": "C", "organizationalUnitName": "OU"}
    parts = []
    for line in multiline.splitlines()[1:]:
        name, _, value = line.partition("=")
        parts.append(f"/{short.get(name.strip(), name.strip())}={escaped(value.strip())}")
    return "".join(parts)


def escaped(value: str) -> str:
    r"""A value for -subj, where / and \ are syntax."""
    return value.replace("\\", "\\\\").replace("/", "\\/")


def issue(wanted: Wanted, ca_certificate: Path, ca_key: Path, seconds: int = YEAR) -> Pair:
    """A new key and a certificate for it, signed by the CA. Raises Failure."""
    key = openssl("genrsa", "-traditional", "2048")
    lines = [
        "keyUsage=critical,digitalSignature,keyEncipherment",
        f"extendedKeyUsage={','.join(wanted.usages) or 'clientAuth'}",
        "basicConstraints=critical,CA:FALSE",
        "subjectKeyIdentifier=none",
        "authorityKeyIdentifier=keyid",
    ]
    if wanted.names:
        lines.append("subjectAltName=" + ",".join(name.replace("IP Address:", "IP:") for name in wanted.names))
    with tempfile.TemporaryDirectory() as directory:
        extensions, key_file = Path(directory, "extensions"), Path(directory, "key")
        extensions.write_text("\n".join(lines))
        key_file.write_bytes(key)
        request = openssl("req", "-new", "-utf8", "-key", str(key_file), "-subj", wanted.subject)
        days = ["-days", str(max(1, round(seconds / 86400)))]
        certificate = openssl(
            "x509", "-req", "-sha256", "-CA", str(ca_certificate), "-CAkey", str(ca_key), *days,
            "-extfile", str(extensions), stdin=request,
        )  # fmt: skip
    return Pair(certificate, key)


def public_key_hash(pem: bytes) -> str:
    """`sha256:<hex>` of the certificate's SubjectPublicKeyInfo: what --discovery-token-ca-cert-hash pins."""
    public = openssl("x509", "-noout", "-pubkey", stdin=pem)
    return "sha256:" + hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", stdin=public)).hexdigest()
