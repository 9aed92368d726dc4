"""Checks of the server's certificate files, in Go's words."""

from pathlib import Path

from cka_kubelet.kube import pem
from cka_kubelet.kube.gofmt import path_error


def pair_problem(certificate: str, key: str) -> str | None:
    """Why two files are no certificate and key, in Go's words; None when they are."""
    contents = []
    for path in (certificate, key):
        try:
            contents.append(Path(path).read_bytes())
        except OSError as error:
            return path_error("open", path, error)
    try:
        pem.check_pair(*contents)
    except pem.PEMError as error:
        return str(error)
    return None


def private_key_problem(path: str) -> str | None:
    """Why a file is no private key; None when it is."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return path_error("open", path, error)
    if b"PRIVATE KEY-----" not in data:
        return f"error reading private key file {path}: data does not contain a valid RSA or ECDSA private key"
    return None


def public_keys_problem(path: str) -> str | None:
    """Why a file has no public keys; None when it has. A private key and a certificate have one, too."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return path_error("open", path, error)
    if not any(mark in data for mark in (b"PUBLIC KEY-----", b"PRIVATE KEY-----", b"BEGIN CERTIFICATE-----")):
        return f"error reading public key file {path}: data does not contain any valid RSA or ECDSA public keys"
    return None


def authority_problem(path: str, name: str = "client-ca-bundle") -> str | None:
    """Why a file is no bundle of CAs; None when it is. `name`: what Go's provider of them is called."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return path_error("read" if isinstance(error, IsADirectoryError) else "open", path, error)
    if not data:
        return f'missing content for CA bundle "{name}::{path}"'
    try:
        pem.certificates(data)
    except pem.PEMError as error:
        return f'error loading CA bundle for "{name}::{path}": {error}'
    return None
