"""Checks by way of pods, against an API server that answers as told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.labspec.checks import CrictlWorks, ExecWorks, LogsWork, ObjectIs, PodReady
from cka_kubelet.remote.fake import FakeShell
from cka_kubelet.remote.kubeapi import Answer
from cka_kubelet.scoring import podchecks
from cka_kubelet.scoring.witness import ApiWitness
from tests.unit.scoring.test_symptoms import RUNNING, pod

PODS = "/api/v1/namespaces/default/pods"


class Cluster:
    """`KubeAPI` that keeps the pods that are created and tells what they would print."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.kubelet: list[dict[str, Any]] = []
        self.objects: dict[str, Any] = {}
        self.mute = False

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        where, _, query = path.partition("?")
        return Answer(*self._answer(method, where, query, body))

    def _answer(self, method: str, where: str, query: str, body: Any) -> tuple[int, float, Any]:
        if method == "POST" and where == PODS:
            self.pods[body["metadata"]["name"]] = {**body, "status": RUNNING}
            return 201, 0, body
        if method == "DELETE":
            self.deleted.append(where.rpartition("/")[2])
        elif where.endswith("/log") or "/proxy/run/" in where:
            return self._said(where, query)
        elif where == PODS:
            return 200, 0, {"items": list(self.pods.values())}
        elif where.endswith("/proxy/pods"):
            return 200, 0, {"items": self.kubelet}
        elif where in self.objects:
            return 200, 0, self.objects[where]
        return 404, 0, {"message": "not found"}

    def _said(self, where: str, query: str) -> tuple[int, float, Any]:
        if self.mute:
            return 500, 0, {"message": "dial tcp 10.0.0.2:10250: i/o timeout"}
        if where.endswith("/log"):
            script = self.pods[where.split("/")[-2]]["spec"]["containers"][0]["command"][2]
            return 200, 0, re.findall(r"echo (\w+)", script)[0] + "\n"
        return 200, 0, query.removeprefix("cmd=echo%20") + "\n"

    def close(self) -> None:
        pass


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def api(cluster: Cluster) -> ApiWitness:
    return ApiWitness(cluster)


Check = Callable[[ApiWitness], tuple[bool, str]]
CHECKS: list[Check] = [
    lambda api: podchecks.logs_work(LogsWork(check="logs-work", node="node01"), api, FakeClock(), 5),
    lambda api: podchecks.exec_works(ExecWorks(check="exec-works", node="node01"), api, FakeClock(), 5),
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_random_word_must_come_back(check: Check, api: ApiWitness, cluster: Cluster) -> None:
    assert check(api)[0]
    cluster.mute = True
    ok, found = check(api)
    assert not ok
    assert "i/o timeout" in found
    assert cluster.deleted == list(cluster.pods)


def test_crictl_must_list_what_the_api_server_knows(api: ApiWitness, tmp_path: Path) -> None:
    shell = FakeShell(tmp_path)
    listed = b"abc\ndef\n"
    shell.answers.append(lambda argv, data: listed if "crictl" in argv else None)
    check = CrictlWorks(check="crictl-works", node="node01")
    assert podchecks.crictl_works(check, api, shell, FakeClock(), 5)[0]
    listed = b"an exit status of 0 is not enough\n"
    assert podchecks.crictl_works(check, api, shell, FakeClock(), 5)[0] is False


def test_a_pod_is_ready_when_its_kubelet_says_so_too(api: ApiWitness, cluster: Cluster) -> None:
    check = PodReady(check="pod-ready", node="node01", selector="app=web", count=2)

    def look() -> tuple[bool, str]:
        return podchecks.pod_ready(check, api, FakeClock(), 1)

    cluster.pods = {"a": pod(RUNNING)}
    cluster.kubelet = [pod(RUNNING)]
    assert not look()[0]
    cluster.pods["b"] = pod(RUNNING, uid="u2")
    assert look() == (False, "web: Running, web: Running, but the kubelet on node01 does not say so")
    cluster.kubelet.append(pod(RUNNING, uid="u2"))
    assert look()[0]
    cluster.pods["c"] = pod({"phase": "Pending"}, uid="u3")
    assert look() == (False, "web: Running, web: Running, web: Pending, not Ready")
    cluster.pods["c"] = pod({"phase": "Pending"}, uid="u3", deletionTimestamp="2026-11-01T10:00:00Z")
    assert look()[0]


def test_a_static_pod_is_known_to_its_kubelet_by_another_uid(api: ApiWitness, cluster: Cluster) -> None:
    check = PodReady(check="pod-ready", node="node01", pod="agent-node01")
    cluster.pods = {"a": pod(RUNNING, annotations={"kubernetes.io/config.mirror": "of its file"})}
    cluster.kubelet = [pod(RUNNING)]
    assert not podchecks.pod_ready(check, api, FakeClock(), 1)[0]
    cluster.kubelet = [pod({}, uid="of its file")]
    assert podchecks.pod_ready(check, api, FakeClock(), 1)[0]


def test_an_object_is_compared_at_dotted_places(api: ApiWitness, cluster: Cluster) -> None:
    cluster.objects["/apis/apps/v1/namespaces/default/deployments/web"] = {
        "metadata": {"labels": {"a.b/c": "d"}},
        "spec": {"replicas": 2, "containers": [{"image": "x"}]},
    }

    def look(**keys: Any) -> bool:
        return podchecks.object_is(ObjectIs(check="object", kind="Deployment", name="web", **keys), api)[0]

    assert look(has={"spec.containers.0.image": "x", "metadata.labels.a\\.b/c": "d"}, lacks=["spec.paused"])
    assert not look(has={"spec.containers.1.image": "x"})
    assert not look(lacks=["spec.replicas"])
    other = ObjectIs(check="object", kind="Deployment", name="other")
    assert podchecks.object_is(other, api) == (False, "there is no Deployment other")
