"""What a node showed, as facts."""

import json

from tests.fidelity import recording


def entry(message: object, identifier: str = "kubelet") -> str:
    return json.dumps({"MESSAGE": message, "SYSLOG_IDENTIFIER": identifier})


def test_a_journal_is_its_distinct_lines_without_info() -> None:
    error = 'E1121 08:42:33.2{}     256 kubelet.go:1743] "Image garbage collection failed once" err="x"'
    lines = [
        entry("Started kubelet.service.", "systemd"),
        entry('I1121 08:42:33.156022     256 server.go:545] "Kubelet version"'),
        entry(error.format("56022")),
        entry(error.format("99999")),
        entry(list(b"\tstrict decoding error: yaml")),
        "not json",
    ]
    assert recording.journal(lines) == [
        {"severity": "-", "source": "systemd", "text": "Started kubelet.service.", "count": 1},
        {"severity": "E", "source": "kubelet.go", "text": '"Image garbage collection failed once" err="x"', "count": 2},
        {"severity": "-", "source": "kubelet", "text": "        strict decoding error: yaml", "count": 1},
    ]


def test_a_unit_is_the_properties_that_upstreams_recording_has() -> None:
    assert recording.unit("Result=success\nNRestarts=0\nId=kubelet.service\n") == {
        "Result": "success",
        "NRestarts": "0",
    }


def test_events_are_distinct_and_sorted() -> None:
    pod = {"involvedObject": {"kind": "Pod"}, "type": "Normal", "reason": "Started", "message": "Container started"}
    node = {"involvedObject": {"kind": "Node"}, "type": "Normal", "reason": "Starting", "message": "Starting kubelet."}
    assert recording.events([pod, node, pod]) == [
        ["Node", "Normal", "Starting", "Starting kubelet."],
        ["Pod", "Normal", "Started", "Container started"],
    ]


def test_a_pod_is_its_phase_conditions_and_states_without_times() -> None:
    terminated = {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-11-21T02:00:00Z",
        "containerID": "containerd://a",
    }
    pod = {
        "metadata": {"name": "p"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
            "containerStatuses": [
                {"name": "c", "ready": False, "started": False, "restartCount": 1, "state": {"terminated": terminated}}
            ],
        },
    }
    state = {"terminated": {"exitCode": 3, "reason": "Error"}}
    container = {"name": "c", "ready": False, "started": False, "restartCount": 1, "state": state, "lastState": {}}
    assert recording.pods([pod]) == [
        {
            "name": "p",
            "phase": "Running",
            "reason": None,
            "message": None,
            "conditions": {"Ready": ["False", "ContainersNotReady"]},
            "containers": [container],
        }
    ]
