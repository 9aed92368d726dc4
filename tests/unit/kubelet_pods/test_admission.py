"""What a kubelet refuses although somebody bound it to the node."""

from typing import Any

import pytest

from cka_kubelet.kubelet.pods import admission
from tests.unit.kubelet_pods.test_actions import pod

NODE = {"metadata": {"name": "n", "labels": {"disk": "hdd"}}, "spec": {}}


def _pod(uid: str = "u", static: bool = False, **spec: Any) -> dict[str, Any]:
    made = pod()
    made["metadata"]["uid"] = uid
    if static:
        made["metadata"]["annotations"] = {"kubernetes.io/config.source": "file"}
    made["spec"] |= spec
    return made


def _listening(uid: str, *, host_network: bool = False, **port: Any) -> dict[str, Any]:
    made = _pod(uid, hostNetwork=host_network)
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 80, **port}]
    return made


def _reason(rejection: admission.Rejection | None) -> str:
    return rejection.reason if rejection else ""


@pytest.mark.parametrize(
    ("want", "have", "taken"),
    [
        (_listening("a", hostPort=80), _listening("b", hostPort=80), True),
        (_listening("a", hostPort=80), _listening("b", hostPort=80, protocol="UDP"), False),
        (_listening("a", hostPort=80, hostIP="127.0.0.1"), _listening("b", hostPort=80), True),
        (_listening("a", hostPort=80, hostIP="127.0.0.1"), _listening("b", hostPort=80, hostIP="10.0.0.1"), False),
        (_listening("a", host_network=True), _listening("b", hostPort=80), True),
        (_listening("a"), _listening("b"), False),
    ],
)
def test_host_ports(want: dict[str, Any], have: dict[str, Any], taken: bool) -> None:
    rejection = admission.predicates(want, [have], NODE, {})
    text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert rejection == (admission.Rejection("NodePorts", text) if taken else None)


def test_only_noexecute_taints_count_and_not_for_static_pods() -> None:
    taints = [{"key": "k", "value": "v", "effect": "NoExecute"}, {"key": "x", "effect": "NoSchedule"}]
    node = {**NODE, "spec": {"taints": taints}}
    text = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
    assert admission.predicates(_pod(), [], node, {}) == admission.Rejection("TaintToleration", text)
    assert admission.predicates(_pod(static=True), [], node, {}) is None
    tolerating = _pod(tolerations=[{"key": "k", "operator": "Exists", "effect": "NoExecute"}])
    assert admission.predicates(tolerating, [], node, {}) is None


def test_critical_pods_may_lack_resources_but_nothing_else() -> None:
    critical: dict[str, Any] = {"priority": 2_000_000_000}
    big = {"requests": {"cpu": "4"}}
    for made in (_pod(static=True), _pod(**critical)):
        made["spec"]["containers"][0]["resources"] = big
        assert admission.predicates(made, [], NODE, {"cpu": 1000}) is None
        made["spec"]["nodeSelector"] = {"disk": "ssd"}
        assert _reason(admission.predicates(made, [], NODE, {"cpu": 1000})) == "NodeAffinity"


def test_resources_are_told_before_the_place() -> None:
    made = _pod(nodeSelector={"disk": "ssd"})
    assert _reason(admission.predicates(made, [], NODE, {"pods": 0})) == "OutOfpods"
    assert _reason(admission.predicates(made, [], NODE, {"pods": 1})) == "NodeAffinity"


def test_a_label_for_another_os() -> None:
    made = _pod()
    made["metadata"]["labels"] = {"kubernetes.io/os": "windows"}
    assert _reason(admission.predicates(made, [], NODE, {})) == "PodOSSelectorNodeLabelDoesNotMatch"


def test_who_comes_in_under_pressure() -> None:
    memory, both = {"MemoryPressure"}, {"MemoryPressure", "DiskPressure"}
    burstable = _pod()
    burstable["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    tolerating = _pod(tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}])
    refused = admission.under_pressure(_pod(), memory)
    assert refused == admission.Rejection("Evicted", "The node had condition: [MemoryPressure]. ")
    assert admission.under_pressure(burstable, memory) is None
    assert admission.under_pressure(tolerating, memory) is None
    assert _reason(admission.under_pressure(tolerating, both)) == "Evicted"
    assert _reason(admission.under_pressure(burstable, both)) == "Evicted"
    assert admission.under_pressure(_pod(static=True), both) is None
