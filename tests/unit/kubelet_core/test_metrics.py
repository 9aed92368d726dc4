from pathlib import Path

from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.server import cadvisor, routes
from cka_kubelet.kubelet.server.cgroupstats import CgroupReader


def test_a_counter_shows_its_labels() -> None:
    counter = observed.Counter("c_total", "Help.", ("kind",))
    assert counter.render() == ""
    counter.add("a")
    counter.add("a")
    assert counter.render() == '# HELP c_total Help.\n# TYPE c_total counter\nc_total{kind="a"} 2\n'


def test_a_histograms_buckets_are_cumulative() -> None:
    histogram = observed.Histogram("h", "Help.", (), (0.5, 1))
    for value in (0.5, 0.7, 3):
        histogram.add(value)
    assert histogram.render().splitlines()[2:] == [
        'h_bucket{le="0.5"} 1', 'h_bucket{le="1"} 2', 'h_bucket{le="+Inf"} 3', "h_sum 4.2", "h_count 3",
    ]  # fmt: skip


def test_runtime_calls_are_counted_under_upstreams_names() -> None:
    observed.runtime_call("RunPodSandbox", 0.1, True)
    observed.runtime_call("ListContainers", 0.1, False)
    page = observed.render()
    assert 'kubelet_runtime_operations_total{operation_type="list_containers"}' in page
    assert 'kubelet_runtime_operations_errors_total{operation_type="run_podsandbox"}' in page


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
