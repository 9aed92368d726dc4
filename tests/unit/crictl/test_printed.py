"""What crictl prints, against what upstream's crictl printed for the same objects (help.json, printed.json)."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.crictl import settings
from cka_kubelet.crictl.app import main
from cka_kubelet.crictl.flags import Parsed
from tests.unit.cri.fake_runtime import FakeRuntime, ThreadedRuntime

HERE = Path(__file__).parent
HELP = json.loads((HERE / "help.json").read_text())
PRINTED = json.loads((HERE / "printed.json").read_text())


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[FakeRuntime]:
    with ThreadedRuntime(tmp_path / "cri.sock") as runtime:
        yield runtime


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "crictl.yaml"
    config.write_text(f"runtime-endpoint: unix://{tmp_path / 'cri.sock'}\n")
    monkeypatch.setenv("CRI_CONFIG_FILE", str(config))
    for name in ("CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT", "CRICTL_PULL_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


def image_id(image: Any) -> str:
    return str(image.id)


def upstream_images() -> pb.ListImagesResponse:
    return json_format.Parse(PRINTED["images -o json"], pb.ListImagesResponse())


def upstream_containers() -> pb.ListContainersResponse:
    return json_format.Parse(PRINTED["ps -o json"], pb.ListContainersResponse())


@pytest.mark.parametrize("case", HELP, ids=lambda case: " ".join(case["argv"]))
def test_help_and_usage(case: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(case["argv"]) == case["rc"]
    assert capsys.readouterr().out == case["stdout"]


@pytest.mark.parametrize("arguments", ["images", "images -q", "images --no-trunc", "images -o json"])
def test_images(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    answer = upstream_images()
    runtime.answers["ListImages"] = pb.ListImagesResponse(images=sorted(answer.images, key=image_id))
    assert main(arguments.split()) == 0
    assert capsys.readouterr().out == PRINTED[arguments]


@pytest.mark.parametrize("arguments", ["ps", "ps --no-trunc", "ps -o json"])
def test_ps(
    runtime: FakeRuntime, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    answer = upstream_containers()
    now = max(c.created_at for c in answer.containers) / 1e9 + 20.5
    monkeypatch.setattr(time, "time", lambda: now)
    runtime.answers["ListContainers"] = answer
    assert main(arguments.split()) == 0
    assert capsys.readouterr().out == PRINTED[arguments]
    assert runtime.calls[-1] == (
        "ListContainers",
        pb.ListContainersRequest(filter=pb.ContainerFilter(state=pb.ContainerStateValue(state="CONTAINER_RUNNING"))),
    )


def test_ps_filters(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    runtime.answers["ListContainers"] = upstream_containers()
    assert main(["ps", "-aq", "--name", "^c$", "--namespace", "shop", "--last", "1"]) == 0
    assert capsys.readouterr().out == "c3cd9acd980a4767be21e5cc08dbb15f4de110095f8c812cd21e0fdcfef21f12\n"
    assert main(["ps", "--name", "[", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_imagefsinfo(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    status = json.loads(PRINTED["imagefsinfo"])["status"]
    runtime.answers["ImageFsInfo"] = json_format.ParseDict(status, pb.ImageFsInfoResponse())
    assert main(["imagefsinfo"]) == 0
    assert capsys.readouterr().out == PRINTED["imagefsinfo"]


def test_inspecti(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    expected = PRINTED["inspecti docker.io/library/busybox:1.36"]
    document = json.loads(expected)
    image = json_format.ParseDict(document["status"], pb.Image())
    info = {"info": json.dumps(document["info"])}
    runtime.answers["ImageStatus"] = pb.ImageStatusResponse(image=image, info=info)
    assert main(["inspecti", "docker.io/library/busybox:1.36"]) == 0
    assert capsys.readouterr().out == expected


def test_info(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(PRINTED["info"])
    answer = json_format.ParseDict({"status": document["status"]}, pb.StatusResponse())
    for handler in document["runtimeHandlers"]:
        answer.runtime_handlers.add(name=handler.get("name", ""), features=handler["features"])
    answer.features.supplemental_groups_policy = True
    for key in ("cniconfig", "config", "golang", "lastCNILoadStatus", "lastCNILoadStatus.default"):
        answer.info[key] = json.dumps(document[key])
    runtime.answers["Status"] = answer
    assert main(["info"]) == 0
    assert capsys.readouterr().out == PRINTED["info"]


def test_inspect_has_every_field_and_go_times(
    runtime: FakeRuntime, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = pb.ContainerStatus(
        id="c", state="CONTAINER_RUNNING", created_at=1795233629717007500, started_at=1795233630000000000
    )
    info = {"info": '{"big": 1795233646260339514, "text": "a<b"}', "plain": '"x"'}
    runtime.answers["ContainerStatus"] = pb.ContainerStatusResponse(status=status, info=info)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert main(["inspect", "c"]) == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert document["status"]["createdAt"] == "2026-11-21T04:00:29.7170075Z"
    assert document["status"]["startedAt"] == "2026-11-21T04:00:30Z"
    assert document["status"]["finishedAt"] == "0001-01-01T00:00:00Z"
    assert document["status"]["resources"] is None
    assert document["plain"] == "x"
    assert '"big": 1795233646260339500' in out
    assert "a\\u003cb" in out
    assert main(["inspect", "-o", "go-template", "--template", "{{.status.state}}", "c"]) == 0
    assert capsys.readouterr().out == "CONTAINER_RUNNING\n"


def test_rm_of_a_running_container(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    runtime.answers["ContainerStatus"] = pb.ContainerStatusResponse(
        status=pb.ContainerStatus(state="CONTAINER_RUNNING")
    )
    assert main(["rm", "abc"]) == 1
    assert 'level=error msg="container \\"abc\\" is running, please stop it first"' in capsys.readouterr().err


def test_failed_call_writes_klog_and_logrus(runtime: FakeRuntime, capfd: pytest.CaptureFixture[str]) -> None:
    runtime.answers["ContainerStatus"] = ("NotFound", 'find "x": not found')
    assert main(["logs", "x"]) == 1
    klog, logrus = capfd.readouterr().err.splitlines()
    problem = '"rpc error: code = NotFound desc = find \\"x\\": not found"'
    assert klog.endswith(
        f'remote_runtime.go:569] "ContainerStatus from runtime service failed" err={problem} containerID="x"'
    )
    assert logrus.endswith(f"level=error msg={problem}")


def test_no_runtime(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, service in (("images", "image"), ("version", "runtime"), ("pods", "runtime")):
        assert main([arguments]) == 1
        assert f"validate service connection: validate CRI v1 {service} API for endpoint" in capsys.readouterr().err


def test_configuration_file_that_is_missing(
    runtime: FakeRuntime, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = str(tmp_path / "none.yaml")
    flags = Parsed(
        {"config": missing, "runtime-endpoint": "", "image-endpoint": "", "timeout": 2.0, "debug": False}, set(), []
    )
    assert settings.load(flags).runtime_endpoint is None
    assert 'does not exist, trying next: \\"/usr/bin/crictl.yaml\\""' in capsys.readouterr().err
    assert main(["--config", missing, "pods"]) == 1
    assert "load config file: stat /usr/bin/crictl.yaml: no such file or directory" in capsys.readouterr().err
    assert main(["-r", "tcp://1.2.3.4:5", "pods"]) == 1
    assert 'msg="only support unix socket endpoint"' in capsys.readouterr().err


def test_version_and_runtime_config(runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Version:  0.1.0"
    runtime.answers["RuntimeConfig"] = pb.RuntimeConfigResponse(
        linux=pb.LinuxRuntimeConfiguration(cgroup_driver="CGROUPFS")
    )
    assert main(["runtime-config"]) == 0
    assert capsys.readouterr().out == "cgroup driver:   CGROUPFS\n"
