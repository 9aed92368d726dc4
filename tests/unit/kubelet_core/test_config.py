from pathlib import Path

import pytest

from cka_kubelet.kubelet import configload, flags
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.configvalidate import validate, validate_logging

_HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def _load(folder: Path, text: str, *words: str) -> KubeletConfiguration:
    path = folder / "config.yaml"
    path.write_text(text)
    return configload.load(flags.parse([f"--config={path}", *words]))


def _problem(folder: Path, text: str) -> str:
    with pytest.raises(configload.ConfigError) as caught:
        _load(folder, text)
    path = f"{folder}/config.yaml"
    prefix = (
        f"failed to load kubelet config file, path: {path}, error: failed to load Kubelet config file {path}, error "
    )
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            _HEAD.replace("KubeletConfiguration", "KubeletConfig"),
            'failed to decode: no kind "KubeletConfig" is registered for version "kubelet.config.k8s.io/v1beta1" in '
            'scheme "pkg/kubelet/apis/config/scheme/scheme.go:33"',
        ),
        ("a: 1\n", "failed to decode: Object 'Kind' is missing in 'a: 1\n'"),
        (
            _HEAD.replace("KubeletConfiguration", "CredentialProviderConfig"),
            "failed to cast object to KubeletConfiguration, unexpected type: kubelet.config.k8s.io/v1beta1, "
            "Kind=CredentialProviderConfig",
        ),
        (
            _HEAD + "maxPods: many\n",
            "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type "
            "int32",
        ),
        (
            _HEAD + "clusterDNS: 10.96.0.10\n",
            "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.clusterDNS of "
            "type []string",
        ),
        (_HEAD + "syncFrequency: soon\n", 'failed to decode: time: invalid duration "soon"'),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    assert _problem(tmp_path, text) == message


def test_an_empty_file(tmp_path: Path) -> None:
    assert _problem(tmp_path, "") == f'kubelet config file "{tmp_path}/config.yaml" was empty'


def test_an_unknown_field_is_told_and_ignored(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = _load(tmp_path, _HEAD + "hostnameOverride: n\nauthentication: {anonymous: {enable: true}}\n")
    assert "hostnameOverride" not in config
    line = capfd.readouterr().err
    assert line.startswith("I")
    assert (
        'codec.go:102] "Using lenient decoding as strict decoding failed" err="strict decoding error: '
        'unknown field \\"hostnameOverride\\", unknown field \\"authentication.anonymous.enable\\""\n'
    ) in line


def test_zero_values_of_kubeadms_file_take_the_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path, _HEAD + "syncFrequency: 0s\nmemorySwap: {}\nmaxPods: 0\nnodeStatusUpdateFrequency: 0s\n")
    assert (config["syncFrequency"], config["maxPods"]) == ("1m0s", 110)
    assert (config["nodeStatusUpdateFrequency"], config["nodeStatusReportFrequency"]) == ("10s", "5m0s")


def test_a_set_update_frequency_is_the_report_frequency_too(tmp_path: Path) -> None:
    assert _load(tmp_path, _HEAD + "nodeStatusUpdateFrequency: 7s\n")["nodeStatusReportFrequency"] == "7s"


def test_setting_one_eviction_threshold_drops_the_others(tmp_path: Path) -> None:
    assert _load(tmp_path, _HEAD + "evictionHard: {nodefs.available: 99%}\n")["evictionHard"] == {
        "nodefs.available": "99%"
    }


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    assert _load(tmp_path, _HEAD + "maxPods: 3\n", "--max-pods=5")["maxPods"] == 5


def test_without_a_file_the_old_open_defaults_hold() -> None:
    config = configload.load(flags.parse([]))
    assert config["readOnlyPort"] == 10255
    assert config.at("authentication.anonymous.enabled") is True
    assert config.at("authorization.mode") == "AlwaysAllow"


def test_drop_ins_are_merged_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "10.conf").write_text(_HEAD + "maxPods: 7\nauthentication: {webhook: {enabled: false}}\n")
    (folder / "20.conf").write_text(_HEAD + "maxPods: 8\n")
    (folder / "note.txt").write_text("junk")
    config = _load(tmp_path, _HEAD + "maxPods: 3\n", f"--config-dir={folder}")
    assert (config["maxPods"], config.at("authentication.webhook.enabled")) == (8, False)


@pytest.mark.parametrize(
    ("gates", "message"),
    [("{NoSuch: true}", "unrecognized feature gate: NoSuch"),
     ("{NodeSwap: false}", "cannot set feature gate NodeSwap to false, feature is locked to true")],
)  # fmt: skip
def test_a_bad_gate_in_the_file_panics(tmp_path: Path, gates: str, message: str) -> None:
    with pytest.raises(configload.GatePanicError, match=message):
        _load(tmp_path, _HEAD + f"featureGates: {gates}\n")


def test_several_invalid_values_are_told_at_once(tmp_path: Path) -> None:
    config = _load(tmp_path, _HEAD + "maxPods: -1\nport: 70000\n")
    assert validate(config, 2) == (
        "[invalid configuration: maxPods (--max-pods) -1 must not be a negative number, "
        "invalid configuration: port (--port) 70000 must be between 1 and 65535, inclusive]"
    )


def test_cgroup_v1_is_refused_unless_allowed(tmp_path: Path) -> None:
    assert str(validate(_load(tmp_path, _HEAD), 1)).startswith(
        "kubelet is configured to not run on a host using cgroup v1"
    )
    assert validate(_load(tmp_path, _HEAD + "failCgroupV1: false\n"), 1) is None
    assert validate(_load(tmp_path, _HEAD), 2) is None


def test_an_unknown_log_format(tmp_path: Path) -> None:
    config = _load(tmp_path, _HEAD + "logging: {format: xml}\n")
    assert (
        validate_logging(config) == 'initialize logging: logging.format: Invalid value: "xml": Unsupported log format'
    )
