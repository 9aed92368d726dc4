"""Two recordings, fact by fact; nothing is passed over without a reason."""

import json
from typing import Any

import pytest

from tests.fidelity.__main__ import DIFFERENCES, EXPECTED, chosen
from tests.fidelity.comparing import Differences, Excuse, compare, line_identity, paces
from tests.fidelity.report import Outcome, below_goal, table, totals


def recorded(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "unit": {"SubState": "running"}, "containerd_unit": "active", "healthz": "200", "journal": [],
        "conditions": {}, "taints": [], "events": [], "pods": [],
    }  # fmt: skip
    return {**empty, **changes}


def line(text: str, severity: str = "E", count: int = 1) -> dict[str, Any]:
    return {"severity": severity, "source": "kubelet.go", "text": text, "count": count}


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ('"Failed" err="open \\"/x\\": no" interval="200ms" n=3', '"Failed" err="open \\"/x\\": no" interval= n='),
        ('"Failed" event="&Event{a=b c=\\"d\\"}" err="e"', '"Failed" event= err="e"'),
        ("[core] grpc: x=1", "[core] grpc: x=1"),
        ('"Using lenient decoding" err=<', '"Using lenient decoding" err=<'),
    ],
)
def test_a_line_is_its_message_error_and_keys(text: str, identity: str) -> None:
    assert line_identity(text) == identity


def test_a_recording_equals_itself_and_every_change_shows() -> None:
    expected = recorded(journal=[line('"A" err="x"')], events=[["Pod", "Normal", "Started", "s"]])
    same = compare("f", expected, expected, Differences())
    assert below_goal(same) == []
    found = recorded(journal=[line('"A" err="y"')], unit={"SubState": "dead"})
    other = compare("f", expected, found, Differences())
    assert below_goal(other) == ["unit", "lines", "events"]
    assert other["lines"].missing == ['E kubelet.go "A" err="x"']
    assert other["lines"].extra == ['E kubelet.go "A" err="y"']


def test_a_line_that_was_recorded_cut_off_matches_by_what_there_is_of_it() -> None:
    whole = '"Failed" err="' + "no such thing; " * 40 + '" pod="default/p"'
    expected = recorded(journal=[line(whole[:420])])
    assert below_goal(compare("f", expected, recorded(journal=[line(whole)]), Differences())) == []
    other = recorded(journal=[line(whole.replace("no", "one", 1))])
    assert below_goal(compare("f", expected, other, Differences())) == ["lines"]
    event = '"Rejected" err="Unauthorized" event="' + "x " * 300 + '"'
    assert (
        below_goal(compare("f", recorded(journal=[line(event[:420])]), recorded(journal=[line(event)]), Differences()))
        == []
    )


def test_another_severity_is_another_line() -> None:
    found = recorded(journal=[line('"A"', "W")])
    assert below_goal(compare("f", recorded(journal=[line('"A"')]), found, Differences())) == ["lines"]


def test_an_event_from_before_the_fault_is_excused_and_a_new_one_is_not() -> None:
    starting = ["Node", "Normal", "Starting", "Starting kubelet."]
    found = recorded(events=[starting, ["Pod", "Normal", "New", "n"]], events_before=[starting])
    events = compare("f", recorded(), found, Differences())["events"]
    assert [fact for fact, _ in events.excused] == ["extra: Node Normal Starting Starting kubelet."]
    assert events.extra == ["Pod Normal New n"]


def test_an_excuse_covers_its_fault_aspect_and_side_only() -> None:
    differences = Differences(excuses=[Excuse("cni-.*", "lines", "extra", "RuntimeConfig", "containerd 1.7")])
    found = recorded(journal=[line('"RuntimeConfig failed"')])
    excused = compare("cni-x", recorded(), found, differences)["lines"]
    assert excused.extra == [] and excused.excused == [('extra: E kubelet.go "RuntimeConfig failed"', "containerd 1.7")]
    assert compare("pod-x", recorded(), found, differences)["lines"].extra
    assert compare("cni-x", found, recorded(), differences)["lines"].missing


def test_a_repeated_line_at_another_pace_is_named() -> None:
    found = recorded(journal=[line('"A"', count=1), line('"B"', count=10)])
    expected = recorded(journal=[line('"A"', count=14), line('"B"', count=14)])
    assert paces(expected, found, Differences()) == ['E kubelet.go "A": 14 times there, 1 here']


def test_the_goal_for_lines_is_95_of_100_and_none_invented() -> None:
    expected = recorded(journal=[line(f'"line {number}"') for number in range(100)])
    almost = recorded(journal=expected["journal"][:95])
    assert below_goal(compare("f", expected, almost, Differences())) == []
    assert below_goal(compare("f", expected, recorded(journal=expected["journal"][:94]), Differences())) == ["lines"]
    invented = recorded(journal=[*expected["journal"], line('"more"')])
    assert below_goal(compare("f", expected, invented, Differences())) == ["lines"]


def test_totals_and_table_hold_every_fault() -> None:
    outcomes = [
        Outcome("good", compare("good", recorded(), recorded(), Differences())),
        Outcome("bad", compare("bad", recorded(journal=[line('"A"')]), recorded(), Differences())),
    ]
    assert len(totals(outcomes)["unit"].matched) == 6
    rows = table(outcomes).splitlines()
    assert "1+0" not in rows[1] and "1+0" in rows[2]


def test_each_fault_is_found_by_name_and_by_pattern() -> None:
    assert chosen(["pod-crash"]) == ["pod-crash"]
    assert len(chosen([])) == len(list(EXPECTED.glob("*.json")))
    assert all(name.startswith("cni-") for name in chosen(["cni-*"]))
    with pytest.raises(SystemExit, match="no fault is called 'nope'"):
        chosen(["nope"])


def test_every_difference_has_a_reason() -> None:
    document = json.loads(DIFFERENCES.read_text())
    assert all(entry["reason"].strip() for entry in [*document["masks"], *document["excuses"]])
    assert len(Differences.load(document).excuses) == len(document["excuses"])
