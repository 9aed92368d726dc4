"""kubeconfig files with certificates in them: read the certificate, put in another, write a new file."""

import base64
import re
from pathlib import Path

from cka_kubelet.kubeadm.x509 import Pair

_LINE = r"(?m)^(\s*{}:\s*)(\S+)[ \t]*$"


def embedded(text: str, key: str) -> bytes | None:
    """The PEM behind a `…-data` key, None when there is none that can be read."""
    found = re.search(_LINE.format(re.escape(key)), text)
    try:
        return base64.b64decode(found[2], validate=True) if found else None
    except ValueError:
        return None


def with_pair(text: str, pair: Pair) -> str:
    """The same file with another client certificate and key."""
    for key, pem in (("client-certificate-data", pair.certificate), ("client-key-data", pair.key)):
        data = base64.b64encode(pem).decode()
        text = re.sub(_LINE.format(key), rf"\g<1>{data}", text)
    return text


def kubeconfig(cluster: str, server: str, ca: bytes, user: str, credentials: Pair | str) -> str:
    """A new file; `credentials`: a certificate or a token."""
    if isinstance(credentials, str):
        secret = f"    token: {credentials}\n"
    else:
        secret = (
            f"    client-certificate-data: {base64.b64encode(credentials.certificate).decode()}\n"
            f"    client-key-data: {base64.b64encode(credentials.key).decode()}\n"
        )
    return (
        "apiVersion: v1\nclusters:\n- cluster:\n"
        f"    certificate-authority-data: {base64.b64encode(ca).decode()}\n    server: {server}\n  name: {cluster}\n"
        f"contexts:\n- context:\n    cluster: {cluster}\n    user: {user}\n  name: {user}@{cluster}\n"
        f"current-context: {user}@{cluster}\nkind: Config\nusers:\n- name: {user}\n  user:\n{secret}"
    )


def write_private(path: Path, text: str | bytes) -> None:
    """Replace a file in one step, keeping its mode; 0600 for a new one."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    temporary = path.with_name(f".{path.name}.new")
    temporary.touch(0o600)
    temporary.write_bytes(text.encode() if isinstance(text, str) else text)
    temporary.chmod(mode)
    temporary.replace(path)
