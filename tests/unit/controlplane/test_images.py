"""The control plane's images, as far as they can be made without a node."""

import io
import marshal
import tarfile
from pathlib import Path

import pytest

from cka_kubelet.controlplane import images
from cka_kubelet.kube import ociimage


def test_every_directory_of_an_entry_is_in_the_layer() -> None:
    entries = images.with_parents([ociimage.file("usr/bin/x", b"x", 0o755), ociimage.directory("tmp", 0o1777)])
    with tarfile.open(fileobj=io.BytesIO(ociimage.layer(entries))) as tar:
        assert [(member.name, member.isdir(), member.mode) for member in tar] == [
            ("tmp", True, 0o1777),
            ("usr", True, 0o755),
            ("usr/bin", True, 0o755),
            ("usr/bin/x", False, 0o755),
        ]


def test_modules_are_compiled_without_asserts_and_docstrings(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text('"""About."""\nassert False\nx = 1\n')
    (tmp_path / "data.txt").write_text("kept")
    found = {
        info.name: data for info, data in images._modules({source: "lib/m.py", tmp_path / "data.txt": "lib/data.txt"})
    }
    assert found["lib/data.txt"] == b"kept"
    names: dict[str, object] = {}
    exec(marshal.loads(found["lib/m.pyc"][16:]), names)  # noqa: S102, S302  # our own code, compiled above
    assert names["x"] == 1
    assert names.get("__doc__") is None


@pytest.mark.parametrize(
    ("text", "version"), [("etcd Version: 3.5.16\nGit SHA: x\n", (3, 5)), ("etcd Version: 3.6.0-rc.1", (3, 6))]
)
def test_etcds_version(text: str, version: tuple[int, int]) -> None:
    assert images.etcd_version(text) == version


def test_an_etcd_that_tells_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        images.etcd_version("hello")


def test_the_archive_holds_all_four_images(monkeypatch: pytest.MonkeyPatch) -> None:
    from cka_kubelet.kube import staticpods

    monkeypatch.setattr(images, "_python", lambda stdlib: [ociimage.file("usr/bin/python3", b"p", 0o755)])
    made = images.python_images("amd64")
    assert [ref for image in made for ref in image.refs] == [
        staticpods.IMAGES[name] for name in staticpods.COMPONENTS if name != "etcd"
    ]
    assert len({image.layers[:2] for image in made}) == 1
    assert len({image.config for image in made}) == 3
    with tarfile.open(fileobj=io.BytesIO(made[0].layers[2])) as tar:
        [program] = tar.getmembers()
    assert (program.name, program.mode) == ("usr/local/bin/kube-apiserver", 0o755)
