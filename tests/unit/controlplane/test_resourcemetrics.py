import json
from typing import Any

import pytest

from cka_kubelet.controlplane import discovery, requestinfo, resourcemetrics
from cka_kubelet.controlplane.resourcemetrics import Point, ResourceMetrics
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from tests.unit.controlplane import api

PATH = "/apis/metrics.k8s.io/v1beta1"


def _entry(cpu: int, memory: int, **more: Any) -> dict[str, Any]:
    return {"cpu": {"usageCoreNanoSeconds": cpu}, "memory": {"workingSetBytes": memory}, **more}


def test_usage_is_the_difference_of_two_measurements() -> None:
    assert resourcemetrics.usage(Point(0, 0, 0), Point(2, 10, 4096)) == {"cpu": "5n", "memory": "4Ki"}
    assert resourcemetrics.usage(None, Point(2, 10, 4096)) is None
    assert resourcemetrics.usage(Point(0, 20, 0), Point(2, 10, 4096)) is None, "it was restarted"


class _Kubelets:
    def __init__(self) -> None:
        self.calls = 0

    async def fetch(self, node: str, path: str) -> bytes:
        assert path == "/stats/summary"
        if node == "dead":
            raise TransportError("GET", path, "refused")
        self.calls += 1
        pod = {"podRef": {"namespace": "t", "name": "p"}, "containers": [_entry(self.calls * 10**6, 1 << 20, name="c")]}
        return json.dumps({"node": _entry(self.calls * 10**9, 1 << 30), "pods": [pod]}).encode()


async def test_nodes_and_pods_that_were_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resourcemetrics, "_FIRST", 0.01)
    resources = api.resources()
    client = api.client(resources)
    for name in ("n", "dead"):
        await client.create("/api/v1/nodes", {"metadata": {"name": name}})
    await client.create("/api/v1/namespaces", {"metadata": {"name": "t"}})
    await client.create("/api/v1/namespaces/t/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "p", "namespace": "t"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await client.create("/api/v1/namespaces/t/pods", pod)
    served = ResourceMetrics(resources.registry, _Kubelets().fetch)
    nodes = await served.handle(requestinfo.parse("GET", f"{PATH}/nodes", {}), {})
    assert nodes["kind"] == "NodeMetricsList"
    (node,) = nodes["items"]
    assert (node["metadata"]["name"], node["usage"]["memory"]) == ("n", "1048576Ki")
    one = await served.handle(requestinfo.parse("GET", f"{PATH}/namespaces/t/pods/p", {}), {})
    assert [c["name"] for c in one["containers"]] == ["c"]
    with pytest.raises(StatusError):
        await served.handle(requestinfo.parse("GET", f"{PATH}/nodes/dead", {}), {})


def test_the_group_is_discovered() -> None:
    listed = discovery.resource_list("metrics.k8s.io", "v1beta1")
    assert listed is not None
    assert [entry["kind"] for entry in listed["resources"]] == ["NodeMetrics", "PodMetrics"]
