"""/metrics as a whole, of a kubelet without pods."""

import re
from types import SimpleNamespace
from typing import Any

from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.server import kubeletpage


def _page() -> str:
    deps: Any = SimpleNamespace(node_name="n1", cgroup_version=2, config=KubeletConfiguration({}))
    status = rs.PodStatus("u", "p", "t")
    status.containers = [rs.ContainerStatus(id="c", name="c", state=rs.EXITED)]
    pods: Any = SimpleNamespace(
        pleg=SimpleNamespace(cache={"u": status}, last_seen=lambda: 5.0), workers={}, cpus=None, pods=list,
        volumes=SimpleNamespace(totals=lambda: {("kubernetes.io/secret", "desired_state_of_world"): 2}),
        plugin_sockets=lambda: [("/x.sock", "desired_state_of_world")],
        usages=SimpleNamespace(log_directory=lambda _status: "/nowhere"),
    )  # fmt: skip
    return kubeletpage.page(deps, pods)


def test_families_come_once_each_sorted_and_with_their_texts() -> None:
    names = re.findall(r"^# TYPE (\S+) ", _page(), re.M)
    assert names == sorted(set(names))
    assert len(names) == len(re.findall(r"^# HELP ", _page(), re.M))


def test_what_is_seen_when_asked() -> None:
    lines = _page().splitlines()
    for line in (
        'kubelet_node_name{node="n1"} 1',
        'kubelet_running_containers{container_state="exited"} 1',
        "kubelet_running_pods 0",
        "kubelet_pleg_last_seen_seconds 5",
        'kubernetes_feature_enabled{name="MemoryQoS",stage="ALPHA"} 0',
        'kubernetes_feature_enabled{name="NodeDeclaredFeatures",stage="BETA"} 1',
        'volume_manager_total_volumes{plugin_name="kubernetes.io/secret",state="desired_state_of_world"} 2',
        "# TYPE process_max_fds gauge",
    ):
        assert line in lines
    assert not any(line.startswith("go_") for line in lines)
