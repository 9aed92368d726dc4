import math
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.kube.exposition import family
from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import podstart
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.images import size_label
from cka_kubelet.kubelet.server import cadvisor, routes
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader
from cka_kubelet.kubelet.server.helptexts import TEXTS


def _shown(found: observed.Counter | observed.Histogram) -> list[str]:
    return family(found.name, found.kind, "Help.", found.samples()).splitlines()


def test_a_counter_shows_its_labels() -> None:
    counter = observed.Counter("c_total", ("kind",))
    assert _shown(counter) == []
    counter.add("a")
    counter.add("a", amount=2)
    assert _shown(counter) == ["# HELP c_total Help.", "# TYPE c_total counter", 'c_total{kind="a"} 3']
    assert _shown(observed.Counter("zero_total"))[-1] == "zero_total 0"


def test_a_gauge_holds_the_last_value() -> None:
    gauge = observed.Gauge("g", ("kind",))
    gauge.set(math.inf, "a")
    gauge.add("b")
    gauge.add("b", amount=-1)
    assert _shown(gauge)[1:] == ["# TYPE g gauge", 'g{kind="a"} +Inf', 'g{kind="b"} 0']


def test_a_histograms_buckets_are_cumulative() -> None:
    histogram = observed.Histogram("h", (), (0.5, 1))
    for value in (0.5, 0.7, 3):
        histogram.add(value)
    assert _shown(histogram)[2:] == [
        'h_bucket{le="0.5"} 1', 'h_bucket{le="1"} 2', 'h_bucket{le="+Inf"} 3', "h_sum 4.2", "h_count 3",
    ]  # fmt: skip


def test_runtime_calls_are_counted_under_upstreams_names() -> None:
    observed.runtime_call("RunPodSandbox", 0.1, True)
    observed.runtime_call("ListContainers", 0.1, False)
    assert any('{operation_type="list_containers"}' in line for line in _shown(observed.runtime_operations))
    assert any('{operation_type="run_podsandbox"}' in line for line in _shown(observed.runtime_errors))


def test_every_family_has_its_text() -> None:
    assert [each.name for each in observed.every() if each.name not in TEXTS] == []
    assert TEXTS["kubelet_running_pods"] == "[ALPHA] Number of pods that have a running pod sandbox"
    assert TEXTS["authentication_token_cache_request_total"] == "[ALPHA] "


def test_certificates_are_shown_only_where_they_are_managed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "expiries", {})
    assert "kubelet_server_expiration_renew_errors" not in {each.name for each in observed.every()}
    observed.certificate("kubernetes.io/kubelet-serving", 5.0)
    names = {each.name for each in observed.every()}
    assert {"kubelet_server_expiration_renew_errors", "kubelet_certificate_manager_server_rotation_seconds"} <= names


def test_an_images_size_falls_into_a_range() -> None:
    assert [size_label(n) for n in (0, 1, 10 << 20, (10 << 20) + 1, 200 << 30)] == [
        "N/A", "0-10MB", "0-10MB", "10MB-100MB", "GT100GB",
    ]  # fmt: skip


def test_a_pods_start_is_measured_once_without_pulls_and_init_containers() -> None:
    pod: dict[str, Any] = {
        "metadata": {"uid": "start-1", "creationTimestamp": "1970-01-01T00:01:00Z"}, "spec": {}, "status": {},
    }  # fmt: skip
    start = podstart.Start(pod)
    podstart.pulled("start-1", 2.5)
    assert not start.shown(pod, 65.0)
    before = list(observed.pod_start_sli_seconds.samples())[-2].value
    init = {"terminated": {"startedAt": "1970-01-01T00:01:01Z", "finishedAt": "1970-01-01T00:01:03Z"}}
    pod["status"] = {"containerStatuses": [{"state": {"running": {}}}], "initContainerStatuses": [{"state": init}]}
    assert start.shown(pod, 70.0)
    assert list(observed.pod_start_sli_seconds.samples())[-2].value - before == pytest.approx(5.5)
    assert start.shown(pod, 99.0)
    assert list(observed.pod_start_sli_seconds.samples())[-2].value - before == pytest.approx(5.5)
    assert podstart.Start(pod).shown(pod, 99.0)  # ran before this kubelet saw it


def test_the_path_of_a_request_names_no_pod() -> None:
    assert routes.metric_labels("GET", "/metrics/cadvisor") == ("false", "GET", "metrics/cadvisor", "readwrite")
    assert routes.metric_labels("POST", "/exec/ns/p/c") == ("true", "POST", "exec", "readwrite")


def _write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_cgroup_of_version_2(tmp_path: Path) -> None:
    _write(
        tmp_path / "a", cpu__stat="usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 4\n",
        cpu__max="5000 100000", cpu__weight="1", memory__current="3000", memory__max="max", memory__peak="4000",
        memory__stat="anon 1000\nfile 900\ninactive_file 500\npgfault 7\n", memory__events="max 2\noom_kill 1\n",
        cpu__pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n",
    )  # fmt: skip
    (tmp_path / "a" / "io.stat").write_text("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n")
    reader = CgroupReader(2, tmp_path)
    assert reader.cpu("/a")["usage"] == 1.5
    assert reader.cpu_spec("/a") == {"shares": 2, "period": 100000, "quota": 5000}
    memory = reader.memory("/a")
    assert [memory[k] for k in ("usage", "working_set", "rss", "limit", "oom_kills")] == [3000, 2500, 1000, 0, 1]
    assert reader.io("/a") == {"8:0": {"read_bytes": 10, "write_bytes": 20, "reads": 1, "writes": 2}}
    assert reader.pressure("/a") == {"cpu_waiting": 2.5}


def test_a_cgroup_of_version_1(tmp_path: Path) -> None:
    _write(
        tmp_path / "memory" / "a", memory__usage_in_bytes="3000", memory__limit_in_bytes=str((1 << 63) - 4096),
        memory__stat="total_rss 1000\ntotal_inactive_file 500\n", memory__oom_control="oom_kill 2\n",
    )  # fmt: skip
    _write(tmp_path / "cpuacct" / "a", cpuacct__usage="2000000000")
    _write(tmp_path / "cpu" / "a", cpu__shares="512", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    reader = CgroupReader(1, tmp_path)
    memory = reader.memory("/a")
    assert [memory[k] for k in ("working_set", "rss", "limit", "oom_kills")] == [2500, 1000, 0, 2]
    assert reader.cpu("/a")["usage"] == 2
    assert reader.cpu_spec("/a") == {"shares": 512, "period": 100000}


def test_containers_are_known_by_their_cgroup(tmp_path: Path) -> None:
    pod = "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu_1.slice"
    _write(tmp_path / "memory" / pod / "cri-containerd-abc.scope", memory__usage_in_bytes="1")
    status = rs.PodStatus("u-1", "p", "t")
    status.containers = [rs.ContainerStatus(id="abc", name="c", state=rs.RUNNING, image="busybox")]
    found = cadvisor.groups(CgroupReader(1, tmp_path), [status], "/kubepods.slice", ["/system.slice/none"])
    by_path = {group.path.rsplit("/", 1)[-1]: group.labels for group in found}
    assert by_path["cri-containerd-abc.scope"]["container"] == "c"
    assert by_path["cri-containerd-abc.scope"]["name"] == "abc"
    assert by_path["kubepods-besteffort-podu_1.slice"]["pod"] == "p"
    assert by_path["kubepods.slice"]["pod"] == ""
    assert "none" not in by_path
