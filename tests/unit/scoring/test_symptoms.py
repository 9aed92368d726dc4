"""What is a symptom, what is none, and how a learner's screen shows it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.errors import NodeUnreachableError
from cka_kubelet.labspec.symptoms import ApiDownSymptom, CommandSymptom, PodSymptom, Symptom
from cka_kubelet.remote.fake import FakeShell
from cka_kubelet.remote.kubeapi import Answer
from cka_kubelet.remote.shell import Result
from cka_kubelet.scoring import symptoms
from cka_kubelet.scoring.podstate import pod_state
from cka_kubelet.scoring.symptoms import Sight
from cka_kubelet.scoring.witness import ApiWitness

WEB = PodSymptom(kind="pod", pod="web", status="Pending", event="FailedScheduling: .*taint")
LOGS = CommandSymptom(kind="command", run="kubectl logs web", fails="i/o timeout")
DOWN = ApiDownSymptom(kind="api-down")


class Api:
    """`KubeAPI` that answers from a table; what is not in it is unreachable."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    def request(self, method: str, path: str, body: object = None) -> Answer:
        found = self.answers.get(path.partition("?")[0])
        if found is None:
            raise NodeUnreachableError("the API server on controlplane does not answer: connection refused")
        return found if isinstance(found, Answer) else Answer(200, 100.0, found)

    def close(self) -> None:
        pass


def pod(status: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "uid": "u1", **metadata}, "spec": {"nodeName": "node01"}, "status": status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


RUNNING = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T10:00:00Z"}],
    "containerStatuses": [{"containerID": "containerd://abc", "state": {"running": {}}}],
}


def look(symptom: Symptom, answers: Mapping[str, Any], shell: FakeShell) -> Sight:
    return symptoms.look(symptom, ApiWitness(Api(answers)), lambda name: shell)


@pytest.fixture
def shell(tmp_path: Path) -> FakeShell:
    shell = FakeShell(tmp_path)
    shell.answers.append(lambda argv, data: b"" if argv[0] == "true" else None)
    return shell


def pods(*items: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    base = "/api/v1/namespaces/default"
    return {f"{base}/pods": {"items": list(items)}, f"{base}/events": {"items": list(events)}}


def event(message: str, uid: str = "u1") -> dict[str, Any]:
    return {"involvedObject": {"uid": uid}, "reason": "FailedScheduling", "message": message}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, "Pending"),
        (waiting("ContainerCreating"), "ContainerCreating"),
        (waiting("CrashLoopBackOff"), "CrashLoopBackOff"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "Error"}}}]}, "Error"),
        ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, "ExitCode:3"),
        ({"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "x"}}}]}, "Init:x"),
        ({"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}, {}]}, "Init:0/2"),
        ({"phase": "Running", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}, "Running"),
        ({}, "Unknown"),
    ],
)
def test_status_is_what_kubectl_shows(status: dict[str, Any], shown: str) -> None:
    assert pod_state(pod(status)).status == shown
    assert pod_state(pod(status, deletionTimestamp="2026-11-01T10:00:00Z")).status == "Terminating"


@pytest.mark.parametrize("broken", [{}, {"status": 3}, {"status": {"containerStatuses": [None, {"state": []}]}}])
def test_a_pod_is_not_to_be_trusted(broken: dict[str, Any]) -> None:
    assert not pod_state(broken).ready


def test_a_pod_shows_its_symptom_by_status_and_event(shell: FakeShell) -> None:
    pending = pod({"phase": "Pending"})
    told = event("0/2 nodes are available: 1 node(s) had untolerated taint {a: b}.")
    assert look(WEB, pods(pending, events=(told,)), shell).shows
    assert not look(WEB, pods(pending), shell).shows
    assert not look(WEB, pods(pending, events=(event("taint", uid="other"),)), shell).shows
    assert not look(WEB, pods(pod(waiting("ContainerCreating")), events=(told,)), shell).shows


def test_a_pod_is_healthy_when_it_is_ready(shell: FakeShell) -> None:
    sight = look(WEB, pods(pod(RUNNING), events=(event("taint"),)), shell)
    assert (sight.shows, sight.healthy, sight.state, sight.since) == (False, True, "Running", 1793527200.0)
    both = look(WEB, pods(pod(RUNNING), pod({"phase": "Pending"})), shell)
    assert not both.healthy


def test_no_pod_at_all_can_be_the_symptom(shell: FakeShell) -> None:
    gone = PodSymptom(kind="pod", selector="app=web", status="absent")
    assert look(gone, pods(), shell).shows
    assert not look(WEB, pods(), shell).shows


def test_a_command_must_fail_and_say_so(shell: FakeShell) -> None:
    says = (1, b"", b"Error: dial tcp: i/o timeout\n")
    shell.answers.append(lambda argv, data: Result(tuple(argv), *says) if "logs" in argv else None)
    sight = look(LOGS, {}, shell)
    assert (sight.shows, sight.healthy, sight.detail) == (True, False, "Error: dial tcp: i/o timeout")
    says = (1, b"", b"Error: no such pod\n")
    assert not look(LOGS, {}, shell).shows
    says = (0, b"the pod printed: i/o timeout\n", b"")
    sight = look(LOGS, {}, shell)
    assert (sight.shows, sight.healthy) == (False, True)


def test_a_silent_api_server_is_no_unreachable_node(shell: FakeShell) -> None:
    assert look(DOWN, {}, shell).shows
    assert look(DOWN, {"/readyz": Answer(500, 100.0, "[-]etcd failed")}, shell).shows
    assert look(DOWN, {"/readyz": "ok"}, shell).healthy

    def gone(argv: object) -> None:
        raise NodeUnreachableError("controlplane does not answer")

    shell.fail = gone
    with pytest.raises(NodeUnreachableError):
        look(DOWN, {}, shell)


@pytest.mark.parametrize(
    ("symptom", "line", "seen"),
    [
        (WEB, "web    0/1     Pending   0          12s", True),
        (WEB, "default       web    0/1     Pending   0          12s", True),
        (WEB, "webserver   0/1     Pending   0          12s", False),
        (WEB, "web    1/1     Running   0          12s", False),
        (WEB, "Status:           Pending", True),
        (WEB, "  Warning  FailedScheduling  5s  default-scheduler  0/2 nodes: untolerated taint", True),
        (LOGS, "Error from server: Get https://10.0.0.2:10250/…: dial tcp: i/o timeout", True),
        (
            DOWN,
            "The connection to the server 10.0.0.1:6443 was refused - did you specify …",
            True,
        ),
        (DOWN, "Unable to connect to the server: net/http: TLS handshake timeout", True),
        (DOWN, "node01   Ready    <none>   5m   v1.36.0", False),
    ],
)
def test_what_a_screen_shows(symptom: Symptom, line: str, seen: bool) -> None:
    assert any(re.search(pattern, line) for pattern in symptoms.on_screen(symptom)) is seen
