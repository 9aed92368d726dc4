"""Every mistake in a lab file is told with its place, several at once, quickly, and nothing in the file runs."""

import re
import time
from pathlib import Path

import pytest

from cka_kubelet.errors import LabFileError, UsageError
from cka_kubelet.faults import loader as faults
from cka_kubelet.faults import settle
from cka_kubelet.labspec import catalogue
from cka_kubelet.labspec.loader import load

GOOD = catalogue.files()["notready-1"].read_text()
BOMB = "a: &a [x, x]\n" + "".join(f"k{i}: &k{i} [*a, *a]\n" for i in range(9))

MISTAKES = {
    "typo in a key": (GOOD.replace("\ntitle:", "\ntitel:"), r":\d+:1: unknown key 'titel'; did you mean 'title'\?"),
    "missing key": (GOOD.replace('title: "The node that went quiet"\n', ""), r":1:1|:2:1: the key 'title' is missing"),
    "unknown check": (
        GOOD.replace("check: node-ready, node: node01,", "check: node-redy, node: node01,"),
        "node-ready",
    ),
    "typo inside a check": (GOOD.replace("enabled: true}", "enabeld: true}"), "did you mean 'enabled'"),
    "unknown symptom": (
        GOOD.replace("symptom:\n  node: node01", "symptom:\n  kind: podd\n  node: node01"),
        r":\d+:1: symptom: unknown kind 'podd'; did you mean 'pod'\?",
    ),
    "typo inside a symptom": (
        GOOD.replace("symptom:\n  node: node01", "symptom:\n  nod: node01"),
        r":\d+:3: unknown key 'nod'; did you mean 'node'\?",
    ),
    "symptom without its node": (GOOD.replace("symptom:\n  node: node01", "symptom:\n"), "the key 'node' is missing"),
    "symptom that runs a program of its own": (
        GOOD.replace(
            'symptom:\n  node: node01\n  ready: "Unknown"\n  message',
            "symptom:\n  kind: crictl\n  run: rm -rf /\n  fails",
        ),
        "begins with `crictl `",
    ),
    "wrong type": (
        GOOD.replace("minutes: [2, 6]", "minutes: [2, six]"),
        r"minutes\.1: .* valid integer",
    ),
    "band backwards": (GOOD.replace("[2, 6]", "[6, 2]"), "quick first"),
    "bad regular expression": (GOOD.replace("NodeStatusUnknown", "(unclosed"), "not a regular expression"),
    "answer not offered": (GOOD.replace('answer: "kubelet"', 'answer: "kublet"'), "not one of `choices`"),
    "duplicate key": (GOOD + "\ntitle: again\n", "occurs twice"),
    "relative path": (GOOD.replace("paths: [/etc/kubernetes,", "paths: [etc/kubernetes,"), "paths"),
    "two lines in a command": (GOOD.replace('run: "kubectl get nodes"', 'run: "a\\nb"'), "run"),
    "no fault": (re.sub(r"faults:\n(  .*\n)+", "faults: []\n", GOOD), "faults: List should have at least 1 item"),
    "yaml bomb": (BOMB, "aliases"),
    "alias": ("a: &x 1\nb: *x\n", ":2:4: aliases"),
    "python object": ("name: !!python/object/apply:os.system ['touch /tmp/ran']\n", "not a type that lab files know"),
    "date": ("name: 2026-01-01\n", "timestamp is not a type"),
    "merge key": ("base: 1\n<<: {name: x}\n", "unknown key|merge"),
    "too deep": ("a: " + "[" * 60 + "]" * 60, "nested too deep"),
    "too many": ("a: [" + "1," * 9000 + "]", "too many parts"),
    "not a mapping": ("- a\n- b\n", "mapping of keys"),
    "a word": ("hello\n", "mapping of keys"),
    "empty": ("", "empty"),
    "only a comment": ("# nothing\n", "empty"),
    "unclosed quote": ('name: "x\n', "not valid YAML"),
    "tab": ("name:\n\t- x\n", "not valid YAML"),
    "two documents": (GOOD + "\n---\nname: x\n", "not valid YAML"),
    "a list as key": ("? [a, b]\n: 1\n", "a key must be a word"),
    "name with a path": (GOOD.replace("name: notready-1", "name: ../../etc"), "name: String should match"),
    "control character": ("name: a\x07b\n", "not valid YAML"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_has_a_place(kind: str, tmp_path: Path) -> None:
    text, message = MISTAKES[kind]
    path = tmp_path / "notready-1.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(LabFileError) as caught:
        load(path)
    assert time.process_time() - start < 1
    assert caught.value.exit_code == 2
    assert re.search(message, caught.value.message), caught.value.message
    for line in caught.value.message.splitlines():
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: \S|… and \d+ more", line), line
    assert not Path("/tmp/ran").exists()


@pytest.mark.parametrize("raw", [b"\xff\xfe" + GOOD.encode("utf-16-le"), b"\x80\x81", b"x" * 10_000_000])
def test_what_is_no_text_is_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    with pytest.raises(LabFileError, match=r"x\.yaml:1:1: "):
        load(path)


def test_several_mistakes_come_at_once_in_order(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD.replace("\ntitle:", "\ntitel:").replace("domain: troubleshooting", "domain: trouble"))
    with pytest.raises(LabFileError) as caught:
        load(path)
    places = [int(line.split(":")[1]) for line in caught.value.message.splitlines()]
    assert len(places) == 3
    assert places == sorted(places)


@pytest.mark.parametrize("path", ["/nowhere/x.yaml", "/etc"])
def test_a_file_that_cannot_be_read_is_said(path: str) -> None:
    with pytest.raises(LabFileError, match="cannot be read"):
        load(Path(path))


def test_an_unknown_lab_meets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.find("notredy-1")
    assert caught.value.hint.startswith("Did you mean notready-")


def test_the_file_must_have_the_labs_name(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(GOOD)
    with pytest.raises(LabFileError, match=r"other\.yaml:2:\d+: .*differ"):
        catalogue.find(str(path))


def test_labs_are_in_the_order_of_their_families_and_numbers_and_their_faults_exist() -> None:
    labs = [file.lab for file in catalogue.every()]
    names = [lab.name for lab in labs]
    assert [name for name in names if name.startswith("notready-")][:8] == [f"notready-{n}" for n in range(1, 9)]
    assert names.index("crictl-fails-1") < names.index("no-logs-1") < names.index("notready-1")
    for lab in labs:
        for use in lab.faults:
            settle(faults.load([use.use])[use.use], use.parameters)
            assert use.use not in lab.title.lower() + lab.brief.lower()


def test_the_schema_names_every_key() -> None:
    assert {"faults", "cause", "wrong_repairs"} <= catalogue.schema()["properties"].keys()


def test_on_one_node_everything_of_the_control_plane_is_meant_of_that_node() -> None:
    lab = catalogue.find("notready-1").lab.on_one_node("node01")
    assert lab.start_on == "node01"
    assert {check.node for check in lab.baseline} == {"node01"}
    assert {command.on for command in [*lab.solution.diagnose, *lab.solution.repair]} == {"node01"}
    assert "controlplane" in lab.brief  # prose stays as it was written
