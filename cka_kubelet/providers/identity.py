"""What this installation keeps about itself and its nodes: an id, an SSH key pair, the cluster's record and PKI."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cka_kubelet import paths
from cka_kubelet.provision.spec import CONTROL_PLANES, ControlPlane


def installation_id() -> str:
    """Six hex digits that set this installation's nodes apart from any other's on the same engine."""
    path = paths.data_dir() / "installation"
    if not path.exists():
        paths.write_private(path, secrets.token_hex(3).encode())
    return path.read_text().strip()


def ssh_key() -> tuple[Path, str]:
    """This installation's private key file and its public key line; made on first use."""
    path = paths.data_dir() / "ssh" / "id_ed25519"
    public = path.with_suffix(".pub")
    if not (path.exists() and public.exists()):
        private, line = new_ssh_key(f"cka-kubelet-{installation_id()}")
        paths.write_private(path, private.encode())
        paths.write_private(public, line.encode())
    return path, public.read_text().strip()


def new_ssh_key(comment: str) -> tuple[str, str]:
    """A fresh ed25519 key in OpenSSH's format, and its public line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}\n"


@dataclass
class NodeRecord:
    """What identifies one prepared node. `host_key` is `type base64`, pinned when the node was made."""

    address: str
    host_key: str
    machine_id: str


@dataclass
class ClusterRecord:
    """The prepared images and what is known of their nodes. `expires`: when the certificates end (epoch seconds)."""

    image_key: str
    subnet: str
    runtime: str
    expires: float
    nodes: dict[str, NodeRecord]
    control_plane: ControlPlane = "unit"

    def save(self) -> None:
        paths.write_private(_record_path(self.control_plane), json.dumps(asdict(self), indent=2).encode())

    @classmethod
    def load(cls, control_plane: ControlPlane) -> "ClusterRecord | None":
        """The last record of such a cluster; None without one that is readable (the images are then made anew)."""
        try:
            raw: dict[str, Any] = json.loads(_record_path(control_plane).read_text())
            nodes = {name: NodeRecord(**about) for name, about in raw.pop("nodes").items()}
            return cls(nodes=nodes, **raw)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @staticmethod
    def forget() -> None:
        for control_plane in CONTROL_PLANES:
            _record_path(control_plane).unlink(missing_ok=True)


def _record_path(control_plane: ControlPlane) -> Path:
    return paths.data_dir() / ("cluster.json" if control_plane == "unit" else f"cluster-{control_plane}.json")
