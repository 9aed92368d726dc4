"""Patches: the merge rules that kubectl relies on."""

import copy
from typing import Any

import pytest

from cka_kubelet.controlplane import patch

_POD: dict[str, Any] = {
    "metadata": {"finalizers": ["a"], "labels": {"x": "1"}},
    "spec": {
        "containers": [{"name": "a", "image": "1", "ports": [{"containerPort": 80, "name": "p"}]}, {"name": "b"}],
        "taints": [{"key": "t"}],
    },
}


@pytest.mark.parametrize(
    ("change", "path", "expected"),
    [
        ({"spec": {"containers": [{"name": "a", "image": "2"}]}}, ("spec", "containers", 0, "image"), "2"),
        ({"spec": {"containers": [{"name": "b", "$patch": "delete"}]}}, ("spec", "containers"), "one"),
        ({"spec": {"taints": [{"key": "u"}]}}, ("spec", "taints"), [{"key": "u"}]),
        ({"metadata": {"labels": {"x": None}}}, ("metadata", "labels"), {}),
        ({"metadata": {"finalizers": ["b"]}}, ("metadata", "finalizers"), ["a", "b"]),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, ("metadata", "finalizers"), []),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
            ("spec", "containers", 0, "name"),
            "b",
        ),
        ({"spec": {"$patch": "replace", "taints": []}}, ("spec",), {"taints": []}),
    ],
)
def test_strategic_merge(change: dict[str, Any], path: tuple[str | int, ...], expected: object) -> None:
    before = copy.deepcopy(_POD)
    found: Any = patch.strategic(_POD, change)
    for step in path:
        found = found[step]
    assert before == _POD, "a patch leaves what it is applied to alone"
    assert (len(found) == 1) if expected == "one" else (found == expected)


def test_ports_merge_by_their_number() -> None:
    change = {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}]}]}}
    ports = patch.strategic(_POD, change)["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 80, "name": "p", "protocol": "UDP"}]


def test_merge_patch_replaces_lists_and_removes_nulls() -> None:
    assert patch.merge({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": {"c": None, "d": 2}}) == {"a": [3], "b": {"d": 2}}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "b/c": 1}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2], "b/c": 1}),
        ([{"op": "replace", "path": "/b~1c", "value": 5}], {"a": [1, 2], "b/c": 5}),
        ([{"op": "move", "from": "/b~1c", "path": "/d"}], {"a": [1, 2], "d": 1}),
        ([{"op": "test", "path": "/b~1c", "value": 1}], {"a": [1, 2], "b/c": 1}),
    ],
)
def test_json_patch(operations: list[Any], expected: object) -> None:
    assert patch.json_patch({"a": [1, 2], "b/c": 1}, operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nosuch"},
        {"op": "replace", "path": "/nosuch", "value": 1},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "dance", "path": "/a"},
    ],
)
def test_json_patch_that_does_not_apply(operation: dict[str, Any]) -> None:
    with pytest.raises(patch.PatchError):
        patch.json_patch({"a": 1}, [operation])
