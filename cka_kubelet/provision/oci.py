"""Container images made here, without a registry: pause, busybox and a tiny web server, as one OCI archive.

`ctr -n k8s.io images import` loads the archive. Layers are plain tars, so that the same input gives the same digest on
every machine (compressors differ). Format: github.com/opencontainers/image-spec.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cka_kubelet.errors import ProvisionError
from cka_kubelet.provision.pause_program import pause_program

PAUSE = "registry.k8s.io/pause:3.10.1"
BUSYBOX = "docker.io/library/busybox:1.36"
WEB = "docker.io/library/cka-web:1.0"

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_APPLET = re.compile(r"[a-z0-9_.\[-][a-z0-9_.\[-]*\Z")
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_SERVE = "trap 'kill $!; exit 0' TERM INT; httpd -f -v -p 8080 -h /www & wait $!"


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


def pause_image(arch: str) -> Image:
    """The sandbox image. `arch` is "amd64" or "arm64" (Go's names); raises ProvisionError for another."""
    _check(arch)
    layer = _tar([_file("pause", pause_program(arch), 0o755)])
    return Image((PAUSE,), arch, (layer,), {"Entrypoint": ["/pause"], "Env": [_PATH], "User": "65535:65535"})


def busybox_image(binary: bytes, arch: str) -> Image:
    """Busybox with all its applets in /bin. `binary`: a statically linked busybox for `arch`.

    Raises ProvisionError when the bytes are not a busybox executable.
    """
    _check(arch)
    return Image((BUSYBOX,), arch, (_busybox_layer(binary),), {"Cmd": ["sh"], "Env": [_PATH]})


def web_image(binary: bytes, arch: str) -> Image:
    """Busybox's web server as an unprivileged user: /www on port 8080. Ends at once on SIGTERM."""
    _check(arch)
    page = b"<!DOCTYPE html>\n<title>cka-web</title>\n<h1>It works</h1>\n"
    files = [_directory("www", 0o755), _file("www/index.html", page, 0o644), _file("www/healthz", b"ok\n", 0o644)]
    settings = {
        "Cmd": ["sh", "-c", _SERVE],
        "Env": [_PATH],
        "ExposedPorts": {"8080/tcp": {}},
        "User": "65534:65534",
        "WorkingDir": "/www",
    }
    return Image((WEB,), arch, (_busybox_layer(binary), _tar(files)), settings)


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
        _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644),
        _file("index.json", _json(document), 0o644),
    ]
    entries += [_directory("blobs", 0o755), _directory("blobs/sha256", 0o755)]
    return _tar([*entries, *(_file(f"blobs/sha256/{digest}", blobs[digest], 0o644) for digest in sorted(blobs))])


def applets(binary: bytes) -> list[str]:
    """The names a busybox executable answers to, read from the table inside it. Raises ProvisionError without one."""
    start = binary.find(b"[\0[[\0")  # the table's first two names; it is sorted
    end = binary.find(b"\0\0", start)
    names = binary[start:end].decode("ascii", "replace").split("\0") if 0 <= start < end else []
    if not binary.startswith(b"\x7fELF") or "sh" not in names or not all(_APPLET.match(name) for name in names):
        raise ProvisionError(
            "the file given as busybox is not a busybox executable with applets",
            "Use the statically linked busybox of the package busybox-static.",
        )
    return names


Entry = tuple[tarfile.TarInfo, bytes]


def _busybox_layer(binary: bytes) -> bytes:
    entries = [_directory(name, 0o755) for name in ("bin", "etc", "home", "usr", "usr/bin", "var", "var/www")]
    entries += [_directory("root", 0o700), _directory("tmp", 0o1777)]
    entries += [_file("bin/busybox", binary, 0o755), _file("etc/passwd", _PASSWD, 0o644)]
    entries += [_file("etc/group", _GROUP, 0o644), _link("usr/bin/env", "../../bin/env")]
    return _tar([*entries, *(_link(f"bin/{name}", "busybox") for name in applets(binary) if name != "busybox")])


def _check(arch: str) -> None:
    if arch not in ("amd64", "arm64"):
        raise ProvisionError(f'no image can be made for architecture "{arch}"', "Lab nodes are amd64 or arm64.")


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"digest": "sha256:" + hashlib.sha256(blob).hexdigest(), "mediaType": media_type, "size": len(blob)}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _info(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)  # owner 0:0 and time 0 are its defaults
    info.mode, info.type = mode, kind
    return info


def _file(name: str, data: bytes, mode: int) -> Entry:
    info = _info(name, mode, tarfile.REGTYPE)
    info.size = len(data)
    return info, data


def _directory(name: str, mode: int) -> Entry:
    return _info(name, mode, tarfile.DIRTYPE), b""


def _link(name: str, target: str) -> Entry:
    info = _info(name, 0o777, tarfile.SYMTYPE)
    info.linkname = target
    return info, b""


def _tar(entries: Iterable[Entry]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
