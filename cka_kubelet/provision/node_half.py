"""The part of this package that ships to a node, and nothing else of it."""

import hashlib
import io
import tarfile
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

PACKAGES = ("kube", "cri", "kubelet", "controlplane", "crictl", "kubeadm")
"""Sub-packages of cka_kubelet that run on nodes. No fault, lab or trainer code is ever among them."""
MODULES = ("__init__.py", "clock.py")
ROOT = "/opt/cka-kubelet"


@cache
def sources() -> dict[str, bytes]:
    """Path below the install directory → contents, sorted by path."""
    package = resources.files("cka_kubelet")
    found = {f"cka_kubelet/{name}": (package / name).read_bytes() for name in MODULES}
    for name in PACKAGES:
        _collect(package / name, f"cka_kubelet/{name}", found)
    return dict(sorted(found.items()))


def _collect(directory: Traversable, path: str, into: dict[str, bytes]) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            _collect(entry, f"{path}/{entry.name}", into)
        elif entry.is_file() and not entry.name.endswith((".pyc", ".pyi", ".md", ".proto")):
            into[f"{path}/{entry.name}"] = entry.read_bytes()


def content_hash() -> str:
    """Names the install directory; changes with any byte of the node half."""
    digest = hashlib.sha256()
    for path, data in sources().items():
        digest.update(f"{path}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def directory() -> str:
    """Where this version lives on a node."""
    return f"{ROOT}/{content_hash()}"


def archive() -> bytes:
    """A tar of the node half, to be unpacked in `directory()`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=5) as tar:
        for path, data in sources().items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
