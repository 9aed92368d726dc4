from pathlib import Path

import pytest

from cka_kubelet.kubelet import cgroupcheck, cpuset, nodecapacity, nodeip, reserved
from cka_kubelet.kubelet.configdecode import with_defaults


def test_node_ips(capfd: pytest.CaptureFixture[str]) -> None:
    assert nodeip.parse("") == []
    assert nodeip.parse("10.0.0.1, 1.2.3.999") == ["10.0.0.1"]
    assert '"Could not parse some node IP(s), ignoring them" IPs=["1.2.3.999"]' in capfd.readouterr().err
    assert nodeip.problem("127.0.0.1") == "nodeIP can't be loopback address"
    assert nodeip.problem("224.0.0.1") == "nodeIP can't be a multicast address"
    assert nodeip.problem("192.0.2.1") == 'node IP: "192.0.2.1" not found in the host\'s network interfaces'
    assert nodeip.addresses(["192.0.2.1"]) == ([], f"failed to validate nodeIP: {nodeip.problem('192.0.2.1')}")


@pytest.mark.parametrize(
    ("text", "message"),
    [("10.0.0.1,10.0.0.2", "must contain either a single IP or a dual-stack pair of IPs"),
     ("0.0.0.0,::", "dual-stack node IP cannot include '0.0.0.0' or '::'")],
)  # fmt: skip
def test_node_ips_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(nodeip.NodeIPError) as caught:
        nodeip.parse(text)
    assert str(caught.value) == f'bad --node-ip "{text}": {message}'


def test_processor_lists() -> None:
    assert cpuset.parse("0-2,7") == {0, 1, 2, 7}
    assert cpuset.text(cpuset.parse("7,0-2")) == "0-2,7"
    with pytest.raises(ValueError, match=r'^strconv\.Atoi: parsing "x": invalid syntax$'):
        cpuset.parse("x")


def test_reserved_processors_replace_the_reserved_cpu(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = with_defaults({"reservedSystemCPUs": "0", "kubeReserved": {"cpu": "300m", "memory": "1Mi"}})
    found = nodecapacity.resources(config, str(tmp_path), ignore_eviction=True)
    assert str(found.reserved["cpu"]) == "1"
    assert str(found.reserved["memory"]) == "1Mi"
    assert str(found.reserved_cpu) == "1"
    assert '"After cpu setting is overwritten" kubeReserved={"memory":"1Mi"} systemReserved={"cpu":"1"}' in (
        capfd.readouterr().err
    )


def test_reserved_processors_must_be_online(tmp_path: Path) -> None:
    with pytest.raises(reserved.SettingError, match=r"^reserved-cpus: 0,9999 is not a subset of online-cpus: 0"):
        nodecapacity.resources(with_defaults({"reservedSystemCPUs": "0,9999"}), str(tmp_path), ignore_eviction=False)


@pytest.mark.parametrize(
    ("name", "driver", "pieces", "folder"),
    [("/kube/inner", "cgroupfs", ["kube", "inner"], "kube/inner"),
     ("/kube.slice/kube-inner.slice", "systemd", ["kube", "inner"], "kube.slice/kube-inner.slice"),
     ("/", "cgroupfs", [], "")],
)  # fmt: skip
def test_names_of_cgroups(name: str, driver: str, pieces: list[str], folder: str) -> None:
    assert cgroupcheck.parts(name, driver) == pieces
    assert cgroupcheck.folder(pieces, driver) == folder


def test_cgroups_that_are_not_there(tmp_path: Path) -> None:
    for controller in ("cpu", "memory"):
        (tmp_path / controller).mkdir()
    (tmp_path / "cpu" / "kube").mkdir()
    assert cgroupcheck.missing(["kube"], "cgroupfs", 1, str(tmp_path)) == (
        f'cgroup ["kube"] has some missing paths: {tmp_path}/memory/kube'
    )
    (tmp_path / "cgroup.controllers").write_text("cpu memory io\n")
    assert cgroupcheck.missing(["a", "b"], "systemd", 2, str(tmp_path)) == (
        f'could not read controllers for cgroup ["a" "b"]: open {tmp_path}/a.slice/a-b.slice/cgroup.controllers: '
        "no such file or directory"
    )
    (tmp_path / "kube").mkdir()
    (tmp_path / "kube" / "cgroup.controllers").write_text("cpu\n")
    assert cgroupcheck.missing(["kube"], "cgroupfs", 2, str(tmp_path)) == (
        'cgroup ["kube"] has some missing controllers: memory'
    )


def test_kernel_settings(tmp_path: Path) -> None:
    values = {"vm/overcommit_memory": 0, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1}
    keys = {"kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}
    for flag, value in {**values, **keys}.items():
        (tmp_path / flag).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / flag).write_text(f"{value}\n")
    assert cgroupcheck.kernel_problem(str(tmp_path)) == (
        "invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0"
    )
