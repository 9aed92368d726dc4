"""Container images made here, without a registry: pause, busybox and a tiny web server."""

import re

from cka_kubelet.errors import ProvisionError
from cka_kubelet.kube import ociimage
from cka_kubelet.kube.ociimage import Image
from cka_kubelet.provision.pause_program import pause_program

PAUSE = "registry.k8s.io/pause:3.10.1"
BUSYBOX = "docker.io/library/busybox:1.36"
WEB = "docker.io/library/cka-web:1.0"

_APPLET = re.compile(r"[a-z0-9_.\[-][a-z0-9_.\[-]*\Z")
_SERVE = "trap 'kill $!; exit 0' TERM INT; httpd -f -v -p 8080 -h /www & wait $!"


def pause_image(arch: str) -> Image:
    """The sandbox image. `arch` is "amd64" or "arm64" (Go's names); raises ProvisionError for another."""
    _check(arch)
    layer = ociimage.layer([ociimage.file("pause", pause_program(arch), 0o755)])
    return Image((PAUSE,), arch, (layer,), {"Entrypoint": ["/pause"], "Env": [ociimage.PATH], "User": "65535:65535"})


def busybox_image(binary: bytes, arch: str) -> Image:
    """Busybox with all its applets in /bin. `binary`: a statically linked busybox for `arch`.

    Raises ProvisionError when the bytes are not a busybox executable.
    """
    _check(arch)
    return Image((BUSYBOX,), arch, (_busybox_layer(binary),), {"Cmd": ["sh"], "Env": [ociimage.PATH]})


def web_image(binary: bytes, arch: str) -> Image:
    """Busybox's web server as an unprivileged user: /www on port 8080. Ends at once on SIGTERM."""
    _check(arch)
    page = b"<!DOCTYPE html>\n<title>cka-web</title>\n<h1>It works</h1>\n"
    files = [
        ociimage.directory("www", 0o755),
        ociimage.file("www/index.html", page, 0o644),
        ociimage.file("www/healthz", b"ok\n", 0o644),
    ]
    settings = {
        "Cmd": ["sh", "-c", _SERVE],
        "Env": [ociimage.PATH],
        "ExposedPorts": {"8080/tcp": {}},
        "User": "65534:65534",
        "WorkingDir": "/www",
    }
    return Image((WEB,), arch, (_busybox_layer(binary), ociimage.layer(files)), settings)


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


def _busybox_layer(binary: bytes) -> bytes:
    entries = [ociimage.directory(name, 0o755) for name in ("bin", "etc", "home", "usr", "usr/bin", "var", "var/www")]
    entries += [ociimage.directory("root", 0o700), ociimage.directory("tmp", 0o1777)]
    entries += [ociimage.file("bin/busybox", binary, 0o755), ociimage.file("etc/passwd", ociimage.PASSWD, 0o644)]
    entries += [ociimage.file("etc/group", ociimage.GROUP, 0o644), ociimage.link("usr/bin/env", "../../bin/env")]
    return ociimage.layer(
        [*entries, *(ociimage.link(f"bin/{name}", "busybox") for name in applets(binary) if name != "busybox")]
    )


def _check(arch: str) -> None:
    if arch not in ("amd64", "arm64"):
        raise ProvisionError(f'no image can be made for architecture "{arch}"', "Lab nodes are amd64 or arm64.")
