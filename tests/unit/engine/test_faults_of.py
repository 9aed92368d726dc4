"""A lab that names a fault that is not there, or gives it what it does not take, is told where."""

import re
from pathlib import Path

import pytest

from cka_kubelet.engine.run import _faults_of
from cka_kubelet.errors import LabFileError
from cka_kubelet.labspec import catalogue
from cka_kubelet.labspec.loader import load


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("use: kubelet-stopped", "use: kubelet-stoped", "Did you mean 'kubelet-stopped'"),
        ("disabled: true", "enabled: true", "no parameter 'enabled'"),
        ("disabled: true", "disabled: 3", "must be of type bool"),
    ],
)
def test_the_place_in_the_file_is_told(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = catalogue.find("notready-1").path.read_text("utf-8")
    path = tmp_path / "notready-1.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    line = 1 + text[: text.index("use: kubelet-stopped")].count("\n")
    with pytest.raises(LabFileError, match=rf"{re.escape(str(path))}:{line}:\d+: .*{says}"):
        _faults_of(load(path), tmp_path)


def test_the_faults_of_a_good_lab_are_found(tmp_path: Path) -> None:
    assert list(_faults_of(catalogue.find("notready-1"), tmp_path)) == ["kubelet-stopped"]
