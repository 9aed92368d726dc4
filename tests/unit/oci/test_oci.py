"""The images are what the OCI specification says, the same bytes every time, and refuse what is no busybox."""

import hashlib
import io
import json
import struct
import tarfile

import pytest

from cka_kubelet.errors import ProvisionError
from cka_kubelet.kube import ociimage
from cka_kubelet.provision import oci
from cka_kubelet.provision.pause_program import pause_program

BUSYBOX = b"\x7fELF" + b"\1 [\0[[\0ash\0busybox\0httpd\0sh\0\0 more"


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: (f.read() if (f := tar.extractfile(m)) else b"") if m.isreg() else b"" for m in tar}


def test_archive_is_a_complete_oci_layout() -> None:
    images = [oci.pause_image("amd64").tagged("a/pause:1", "b/pause:2"), oci.web_image(BUSYBOX, "amd64")]
    files = members(ociimage.archive(images))
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files["index.json"])["manifests"]
    assert [m["annotations"]["io.containerd.image.name"] for m in index] == ["a/pause:1", "b/pause:2", oci.WEB]
    for entry in index:
        manifest = json.loads(blob(files, entry))
        config = json.loads(blob(files, manifest["config"]))
        layers = [blob(files, layer) for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
        assert config["architecture"] == "amd64"


def blob(files: dict[str, bytes], descriptor: dict[str, object]) -> bytes:
    digest = str(descriptor["digest"])
    data = files["blobs/sha256/" + digest.removeprefix("sha256:")]
    assert len(data) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    return data


def test_same_input_same_bytes() -> None:
    once, again = (ociimage.archive([oci.pause_image("arm64"), oci.busybox_image(BUSYBOX, "arm64")]) for _ in range(2))
    assert once == again


def test_busybox_layer_has_applets_and_the_usual_directories() -> None:
    layer = oci.busybox_image(BUSYBOX, "amd64").layers[0]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        by_name = {m.name: m for m in tar}
    assert by_name["bin/sh"].linkname == "busybox"
    assert by_name["tmp"].mode == 0o1777
    assert by_name["bin/busybox"].mode == 0o755
    assert all((m.uid, m.gid, m.mtime) == (0, 0, 0) for m in by_name.values())


def test_applets_come_out_of_the_binary() -> None:
    assert oci.applets(BUSYBOX) == ["[", "[[", "ash", "busybox", "httpd", "sh"]


@pytest.mark.parametrize(
    "binary", [b"", b"#!/bin/sh\n", b"\x7fELF nothing", b"\x7fELF [\0[[\0sh\0../../etc\0\0", BUSYBOX[:-8]]
)
def test_what_is_no_busybox_is_refused(binary: bytes) -> None:
    with pytest.raises(ProvisionError, match="not a busybox"):
        oci.busybox_image(binary, "amd64")


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(ProvisionError, match="riscv64"):
        oci.pause_image("riscv64")


@pytest.mark.parametrize(("arch", "machine"), [("amd64", 62), ("arm64", 183)])
def test_pause_is_a_small_static_executable(arch: str, machine: int) -> None:
    program = pause_program(arch)
    kind, got, _, entry, headers = struct.unpack_from("<HHIQQ", program, 16)
    assert (kind, got, entry, headers) == (2, machine, 0x400078, 64)
    (size,) = struct.unpack_from("<Q", program, 64 + 32)
    assert size == len(program) < 512
    (handler,) = struct.unpack_from("<Q", program, len(program) - 32)
    assert entry < handler < entry + size
