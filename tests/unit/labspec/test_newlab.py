"""A new lab from one that works: what changes is what was asked for, and the result loads."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cka_kubelet.cli import app
from cka_kubelet.errors import UsageError
from cka_kubelet.labspec import catalogue, newlab
from cka_kubelet.labspec.loader import load


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CKA_KUBELET_HOME", str(tmp_path))
    return tmp_path


def test_a_new_lab_is_the_pattern_but_for_name_title_and_fault(tmp_path: Path) -> None:
    old = catalogue.find("notready-4")
    wishes = newlab.Wishes("notready-mine", 'A "quiet" node', "kubeconfig-wrong-port", "node01", {"port": 6444})
    path = tmp_path / "notready-mine.yaml"
    path.write_text(newlab.written(old.path.read_text("utf-8"), wishes), "utf-8")
    new = load(path).lab
    assert (new.name, new.title) == ("notready-mine", 'A "quiet" node')
    assert [(use.use, use.on, use.parameters) for use in new.faults] == [
        ("kubeconfig-wrong-port", "node01", {"port": 6444})
    ]
    assert new.model_copy(update={"name": old.lab.name, "title": old.lab.title, "faults": old.lab.faults}) == old.lab


@pytest.mark.parametrize("name", ["Mine", "a b", "../x", "-a", "a--b", "", "x" * 64])
def test_a_name_that_no_lab_may_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        newlab.check_name(name)


def test_parameters_are_what_they_look_like() -> None:
    words = ["disabled=true", "port=6444", "path=/a=b", "word="]
    assert dict(map(newlab.parameter, words)) == {"disabled": True, "port": 6444, "path": "/a=b", "word": ""}
    with pytest.raises(UsageError):
        newlab.parameter("port")


def test_the_command_writes_to_the_users_folder_where_the_lab_is_then_found(home: Path) -> None:
    asked = CliRunner().invoke(app, ["labs", "new"], input="notready-mine\nunknown-flag\nStill\n")
    assert asked.exit_code == 0, asked.output
    assert catalogue.find("notready-mine").path == home / "labs" / "notready-mine.yaml"
    again = CliRunner().invoke(app, ["labs", "new", "notready-mine", "--fault", "unknown-flag", "--title", "x"])
    assert isinstance(again.exception, UsageError)


@pytest.mark.parametrize(
    ("fault", "given", "says"),
    [
        ("unknown-flg", [], "unknown-flag"),
        ("unknown-flag", ["--with", "flagg=x"], "flagg"),
        ("kubeconfig-wrong-port", ["--with", "port=x"], "must be of type int"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_written(home: Path, fault: str, given: list[str], says: str) -> None:
    command = ["labs", "new", "notready-mine", "--fault", fault, "--title", "x", *given]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, UsageError)
    assert says in f"{done.exception.message} {done.exception.hint}"
    assert not (home / "labs").exists()


def test_a_fault_of_the_users_own_folder_is_found_by_lint_and_new(home: Path) -> None:
    (home / "faults").mkdir()
    (home / "faults" / "mine.py").write_text(
        "from cka_kubelet.faults import Unit\n\n"
        "class Mine:\n    name = 'my-fault'\n    parameters = ()\n\n"
        "    def steps(self, context):\n        return (Unit('kubelet.service', 'stop'),)\n\n"
        "FAULTS = (Mine(),)\n"
    )
    done = CliRunner().invoke(app, ["labs", "new", "notready-mine", "--fault", "my-fault", "--title", "Mine"])
    assert done.exit_code == 0, done.output
    assert "No lab uses my-fault alone" in done.output
    assert "notready-mine.yaml: fine" in done.output
