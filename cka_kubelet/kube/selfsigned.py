"""The serving certificate a kubelet makes for itself, signed by a CA that nobody keeps (client-go util/cert)."""

import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from cka_kubelet.kube.gofmt import path_error

_DAYS = "365"


class SelfSignedError(Exception):
    """No certificate. str() is upstream's message."""


def _openssl(*arguments: str) -> None:
    result = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
    if result.returncode != 0:
        text = result.stderr.decode(errors="replace").strip()
        raise SelfSignedError(f"unable to generate self signed cert: {text}")


def _extensions(*lines: str) -> list[str]:
    return [word for line in lines for word in ("-addext", line)]


def write(certificate: str, key: str, name: str, addresses: Iterable[str] = ()) -> None:
    """Make a pair for the host `name` and its IP `addresses`, good for a year. Raises SelfSignedError.

    The CA's certificate follows the own one in the file.
    """
    try:
        Path(certificate).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        Path(certificate).touch(mode=0o644)
    except OSError as error:
        raise SelfSignedError(path_error("open", certificate, error)) from error
    stamp, names = int(time.time()), ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
    with tempfile.TemporaryDirectory() as folder:
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS)
        _openssl(
            *new, "-subj", f"/CN={name}-ca@{stamp}", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt",
            *_extensions("keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"),
        )  # fmt: skip
        _openssl(
            *new, "-subj", f"/CN={name}@{stamp}", "-keyout", f"{folder}/own.key", "-out", f"{folder}/own.crt",
            "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key",
            *_extensions(
                "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment",
                "extendedKeyUsage=serverAuth", f"subjectAltName={names}",
            ),
        )  # fmt: skip
        chain = Path(f"{folder}/own.crt").read_bytes() + Path(f"{folder}/ca.crt").read_bytes()
        Path(certificate).write_bytes(chain)
        Path(key).touch(mode=0o600)
        Path(key).write_bytes(Path(f"{folder}/own.key").read_bytes())
