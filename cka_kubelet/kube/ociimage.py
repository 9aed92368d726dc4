"""The OCI image format: layers of plain tars and the archive that `ctr images import` loads.

Layers are not compressed, so that the same input gives the same digest on every machine (compressors differ).
Source: github.com/opencontainers/image-spec.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """One image for one architecture under one or more references. `settings` is the config's `config` object."""

    refs: tuple[str, ...]
    arch: str
    layers: tuple[bytes, ...]
    settings: Mapping[str, object]

    def tagged(self, *refs: str) -> "Image":
        """The same image under these references instead."""
        return replace(self, refs=refs)

    @property
    def config(self) -> bytes:
        """The image's configuration document; its digest is the image id."""
        layers = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in self.layers]
        return _json(
            {
                "architecture": self.arch,
                "config": self.settings,
                "os": "linux",
                "rootfs": {"diff_ids": layers, "type": "layers"},
            }
        )

    @property
    def manifest(self) -> bytes:
        """The image's manifest document."""
        return _json(
            {
                "config": _descriptor(_CONFIG, self.config),
                "layers": [_descriptor(_LAYER, layer) for layer in self.layers],
                "mediaType": _MANIFEST,
                "schemaVersion": 2,
            }
        )


def archive(images: Sequence[Image]) -> bytes:
    """One OCI archive (a tar) with all the images under all their references."""
    blobs: dict[str, bytes] = {}
    index = []
    for image in images:
        for blob in (*image.layers, image.config, image.manifest):
            blobs[hashlib.sha256(blob).hexdigest()] = blob
        for ref in image.refs:
            annotations = {"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref.rpartition(":")[2]}
            platform = {"architecture": image.arch, "os": "linux"}
            index.append({**_descriptor(_MANIFEST, image.manifest), "annotations": annotations, "platform": platform})
    document = {"manifests": index, "mediaType": "application/vnd.oci.image.index.v1+json", "schemaVersion": 2}
    entries = [
        file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644),
        file("index.json", _json(document), 0o644),
    ]
    entries += [directory("blobs", 0o755), directory("blobs/sha256", 0o755)]
    return layer([*entries, *(file(f"blobs/sha256/{digest}", blobs[digest], 0o644) for digest in sorted(blobs))])


Entry = tuple[tarfile.TarInfo, bytes]
"""One member of a layer and its contents."""


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"digest": "sha256:" + hashlib.sha256(blob).hexdigest(), "mediaType": media_type, "size": len(blob)}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _info(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)  # owner 0:0 and time 0 are its defaults
    info.mode, info.type = mode, kind
    return info


def file(name: str, data: bytes, mode: int) -> Entry:
    """A regular file, owned by root, of the beginning of time."""
    info = _info(name, mode, tarfile.REGTYPE)
    info.size = len(data)
    return info, data


def directory(name: str, mode: int) -> Entry:
    """A directory."""
    return _info(name, mode, tarfile.DIRTYPE), b""


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    info = _info(name, 0o777, tarfile.SYMTYPE)
    info.linkname = target
    return info, b""


def layer(entries: Iterable[Entry]) -> bytes:
    """The entries as one tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
