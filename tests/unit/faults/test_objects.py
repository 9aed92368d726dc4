"""What a fault does to the cluster's objects is undone as exactly as what it does to files."""

from collections.abc import Sequence
from typing import Any

import pytest

from cka_kubelet.errors import LabStartError, NodeUnreachableError
from cka_kubelet.faults import Context, DeleteObject, Parameter, PatchObject, PutObject, Step, WriteFile
from cka_kubelet.faults.injection import Target, inject, undo_all
from cka_kubelet.faults.journal import Journal
from cka_kubelet.remote.fake import FakeShell
from cka_kubelet.remote.objects import merged
from tests.unit.faults.nodes import picture
from tests.unit.faults.objects import FakeObjects

NODE = "/api/v1/nodes/node01"
POD = "/api/v1/namespaces/default/pods/web"


class Several:
    """Files and objects at once."""

    name = "several"
    parameters: Sequence[Parameter] = ()

    def __init__(self, *steps: Step) -> None:
        self._steps = steps

    def steps(self, context: Context) -> Sequence[Step]:
        return self._steps


def node(**spec: Any) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": "node01", "labels": {"a": "b"}, "resourceVersion": "0"}, "spec": spec}


def put_in(journal: Journal, target: Target, *steps: Step) -> None:
    inject(journal, target, "x", Several(*steps), "node01", {})


def test_objects_and_files_come_back(
    nodes: dict[str, FakeShell], target: Target, api: FakeObjects, journal: Journal
) -> None:
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}}
    api.objects = {NODE: node(podCIDR="10.0.0.0/24"), "/api/v1/namespaces/default/configmaps/c": config}
    before = picture(nodes["node01"])
    put_in(
        journal,
        target,
        PatchObject(NODE, {"spec": {"unschedulable": True}, "metadata": {"labels": {"a": None}}}),
        PutObject(POD, {"metadata": {"name": "web"}}),
        DeleteObject("/api/v1/namespaces/default/configmaps/c"),
        WriteFile("/etc/new", b"x"),
    )
    assert api.objects[NODE]["spec"] == {"podCIDR": "10.0.0.0/24", "unschedulable": True}
    assert set(api.objects) == {NODE, POD}
    api.objects[NODE]["status"] = {"said by": "the kubelet"}
    [(_, changed)] = undo_all(journal, target)
    assert changed == ["/etc/new", "/api/v1/namespaces/default/configmaps/c", POD, NODE]
    assert set(api.objects) == {NODE, "/api/v1/namespaces/default/configmaps/c"}
    assert api.objects[NODE]["spec"] == {"podCIDR": "10.0.0.0/24"}
    assert api.objects[NODE]["metadata"]["labels"] == {"a": "b"}
    assert api.objects[NODE]["status"] == {"said by": "the kubelet"}
    assert picture(nodes["node01"]) == before
    assert journal.pending() == []


def test_what_the_learner_repaired_is_left_alone(target: Target, api: FakeObjects, journal: Journal) -> None:
    api.objects = {NODE: node()}
    put_in(journal, target, PatchObject(NODE, {"spec": {"unschedulable": True}}))
    api.request("PUT", NODE, {**node(), "metadata": api.objects[NODE]["metadata"]})
    version = api.objects[NODE]["metadata"]["resourceVersion"]
    assert undo_all(journal, target)[0][1] == []
    assert api.objects[NODE]["metadata"]["resourceVersion"] == version


def test_an_object_that_is_missing_stops_the_fault(target: Target, api: FakeObjects, journal: Journal) -> None:
    api.objects = {}
    with pytest.raises(LabStartError, match="there is no /api/v1/nodes/node01"):
        put_in(journal, target, PatchObject(NODE, {}))
    undo_all(journal, target)
    assert api.objects == {}


def test_an_api_server_that_comes_back_late_is_waited_for(target: Target, api: FakeObjects, journal: Journal) -> None:
    api.objects = {}
    put_in(journal, target, PutObject(POD, {"metadata": {"name": "web"}}))
    api.down = 20
    undo_all(journal, target)
    assert api.objects == {}


def test_without_an_api_server_the_files_come_back_and_the_rest_stays_pending(
    nodes: dict[str, FakeShell], target: Target, api: FakeObjects, journal: Journal
) -> None:
    api.objects = {}
    before = picture(nodes["node01"])
    put_in(journal, target, PutObject(POD, {"metadata": {"name": "web"}}), WriteFile("/etc/new", b"x"))
    api.down = 10**6
    with pytest.raises(NodeUnreachableError, match="not ready within"):
        undo_all(journal, target)
    assert picture(nodes["node01"]) == before
    api.down = 0
    undo_all(journal, target)
    assert (api.objects, journal.pending()) == ({}, [])


def test_merge_patch() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert merged(old, {"a": {"b": None}, "d": [3], "e": {"f": None}}) == {"a": {"c": 2}, "d": [3], "e": {}}
