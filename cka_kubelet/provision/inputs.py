"""One hash over everything that shapes a prepared node image; a changed byte anywhere makes a new image."""

import hashlib
from importlib import resources

from cka_kubelet.provision import node_half


def inputs_hash(*more: str) -> str:
    """Of this package's own code and templates, the node half, and whatever the provider adds (base image, subnet)."""
    digest = hashlib.sha256()
    package = resources.files("cka_kubelet.provision")
    entries = [entry for entry in package.iterdir() if entry.is_file() and entry.name.endswith(".py")]
    entries += list((package / "templates").iterdir())
    for entry in sorted(entries, key=lambda entry: entry.name):
        digest.update(f"{entry.name}\0".encode() + entry.read_bytes() + b"\0")
    digest.update("\0".join([node_half.content_hash(), *more]).encode())
    return digest.hexdigest()[:12]
