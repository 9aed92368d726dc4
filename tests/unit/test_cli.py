"""The command line as a person meets it: messages, hints, exit codes; never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cka_kubelet.labspec import catalogue


def cka(tmp_path: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a home of its own, without a terminal and, unless said otherwise, without any engine."""
    return subprocess.run(
        [sys.executable, "-m", "cka_kubelet", *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        env={**os.environ, "CKA_KUBELET_HOME": str(tmp_path), "PATH": str(tmp_path / "empty"), **environment},
    )


def assert_one_message(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    "command",
    [[], ["lab"], ["labs"], ["labs", "test"], ["labs", "lint"], ["nodes"], ["nodes", "shell"], ["restore"], ["doctor"]],
)
def test_help_everywhere(tmp_path: Path, command: list[str]) -> None:
    done = cka(tmp_path, *command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_unknown_command_suggests_a_near_one(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "labz"), 2, "labz", "labs")


def test_unknown_lab_suggests_a_near_one(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "lab", "notredy-1"), 2, "notredy-1", "notready-1")


def test_broken_lab_file_names_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    good = next(file for name, file in catalogue.files().items() if name == "notready-1").read_text()
    path.write_text(good.replace("name: notready-1", "name: mine").replace("price: 5", "prize: 5"))
    assert_one_message(cka(tmp_path, "lab", str(path)), 2, "mine.yaml:", "prize", "price")


def test_lab_file_that_is_not_there(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "lab", "./nope.yaml"), 2, "nope.yaml")


def test_no_engine_and_no_apt_says_what_to_do(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "lab", "notready-1"), 4, "engine", "Podman")


def test_errors_are_json_when_json_was_asked_for(tmp_path: Path) -> None:
    done = cka(tmp_path, "lab", "nope", "--json")
    assert done.returncode == 2
    assert "nope" in json.loads(done.stdout)["error"]["message"]


def test_a_bad_host_is_a_usage_error(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "lab", "notready-1", "--host", "a;b"), 2, "a;b")


def test_a_dead_host_says_so(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "lab", "notready-1", "--host", "root@127.0.0.1:1"), 5, "127.0.0.1:1")


def test_labs_lists_and_filters(tmp_path: Path) -> None:
    everything = json.loads(cka(tmp_path, "labs", "--json").stdout)
    assert {f"notready-{number}" for number in range(1, 9)} <= {lab["name"] for lab in everything}
    assert "notready-1" in cka(tmp_path, "labs", "systemd").stdout
    assert_one_message(cka(tmp_path, "labs", "nosuchword"), 2, "nosuchword")


def test_the_built_in_labs_have_no_mistake(tmp_path: Path) -> None:
    done = cka(tmp_path, "labs", "lint", *map(str, catalogue.files().values()))
    assert (done.returncode, done.stderr) == (0, "")
    assert "(warning)" not in done.stdout


def test_lint_tells_what_is_wrong_in_every_file_at_once(tmp_path: Path) -> None:
    good = catalogue.files()["notready-1"].read_text()
    (tmp_path / "one.yaml").write_text(good.replace("price: 5", "prize: 5").replace("within: 75", "within: x"))
    other = good.replace("name: notready-1", "name: three").replace("use: kubelet-stopped", "use: kubelet-stoped")
    (tmp_path / "two.yaml").write_text(other.replace("start_on: controlplane", "start_on: node09"))
    done = cka(tmp_path, "labs", "lint", str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"))
    assert done.returncode == 2
    for words in ("'prize'; did you mean 'price'", "within", "kubelet-stopped", "node09"):
        assert words in done.stdout
    assert f"{tmp_path}/one.yaml:31:" in done.stdout
    assert f"{tmp_path}/two.yaml:2:1: the lab's name and its file's differ" in done.stdout


def test_lint_warns_of_what_gives_the_answer_away(tmp_path: Path) -> None:
    good = catalogue.files()["notready-1"].read_text()
    path = tmp_path / "kubelet-stopped.yaml"
    path.write_text(
        good.replace("name: notready-1", "name: kubelet-stopped").replace(
            "title: ", "title: It is masked? it was stopped and is not started at boot #"
        )
    )
    done = cka(tmp_path, "labs", "lint", str(path))
    assert done.returncode == 0
    assert "names the answer to cause.reason" in done.stdout
    assert "shares stopped with fault 1" in done.stdout


def test_labs_test_wants_to_know_which(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "labs", "test"), 2, "--all")


def test_labs_schema_is_json(tmp_path: Path) -> None:
    assert "evidence" in json.loads(cka(tmp_path, "labs", "schema").stdout)["properties"]


def test_nodes_and_restore_without_an_engine_have_nothing_to_do(tmp_path: Path) -> None:
    assert cka(tmp_path, "nodes").returncode == 0
    assert cka(tmp_path, "restore").returncode == 0
    assert json.loads(cka(tmp_path, "nodes", "--json").stdout) == []


def test_doctor_says_what_is_missing_and_how_to_mend_it(tmp_path: Path) -> None:
    done = cka(tmp_path, "doctor", "--json")
    assert done.returncode == 4
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert findings["container engine"]["status"] == "missing"
    assert "apt-get install" in findings["container engine"]["mend"]


def test_nodes_shell_needs_a_terminal(tmp_path: Path) -> None:
    assert_one_message(cka(tmp_path, "nodes", "shell"), 2, "terminal")


def test_an_unwritable_home_says_which(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = cka(tmp_path, "lab", "notready-1", CKA_KUBELET_HOME=str(blocked / "home"))
    assert_one_message(done, 4, str(blocked))


def test_hosts_that_were_consented_to_are_known_without_naming_them(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.mkdir()
    record = {"id": "a-1", "host_keys": {"ada@192.0.2.7:2222": "ssh-ed25519 AAAA"}, "addresses": {"node01": "10.0.0.7"}}
    (hosts / "a-1.json").write_text(json.dumps(record))
    done = cka(tmp_path, "nodes")
    assert done.returncode == 0
    assert "192.0.2.7:2222" in done.stdout
