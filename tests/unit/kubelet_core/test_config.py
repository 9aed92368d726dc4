from pathlib import Path

import pytest

from cka_kubelet.kubelet import configload, flags, logsettings
from cka_kubelet.kubelet.configuration import KubeletConfiguration
from cka_kubelet.kubelet.configvalidate import validate

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
    ("name", "text", "message"),
    [
        ("10.conf", "", 'failed to load kubelet dropin file, path: {0}, error: kubelet config file "{0}" was empty'),
        ("10.conf", "a: 1\n",
         "failed to load kubelet dropin file, path: {0}, error: Object 'Kind' is missing in '{{\"a\":1}}'"),
        ("10.conf", "apiVersion: v1\nkind: Pod\n",
         "failed to load kubelet dropin file, path: {0}, unknown apiVersion/kind: v1, Kind=Pod"),
        (None, "", "lstat {1}: no such file or directory"),
    ],
)  # fmt: skip
def test_drop_ins_that_cannot_be_used(tmp_path: Path, name: str | None, text: str, message: str) -> None:
    folder = tmp_path / "d"
    if name is not None:
        folder.mkdir()
        (folder / name).write_text(text)
    with pytest.raises(configload.ConfigError) as caught:
        _load(tmp_path, _HEAD, f"--config-dir={folder}")
    assert str(caught.value) == (
        f'failed to merge kubelet configs: failed to walk through kubelet dropin directory "{folder}": '
        + message.format(folder / (name or ""), folder)
    )


def test_in_drop_ins_unknown_fields_are_dropped_in_silence_and_types_are_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "10.conf").write_text(_HEAD + "maxPod: 7\n")
    assert "maxPod" not in _load(tmp_path, _HEAD, f"--config-dir={folder}")
    assert capfd.readouterr().err == ""
    (folder / "20.conf").write_text(_HEAD + "maxPods: many\n")
    with pytest.raises(configload.ConfigError) as caught:
        _load(tmp_path, _HEAD, f"--config-dir={folder}")
    assert str(caught.value) == (
        "failed to merge kubelet configs: failed to unmarshal merged JSON into kubelet configuration: "
        "json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32"
    )


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxPods: 1.5", "cannot unmarshal number 1.5 into Go struct field KubeletConfiguration.maxPods of type int32"),
        ("port: 99999999999",
         "cannot unmarshal number 99999999999 into Go struct field KubeletConfiguration.port of type int32"),
        ("clusterDomain: 5",
         "cannot unmarshal number into Go struct field KubeletConfiguration.clusterDomain of type string"),
        ("registerWithTaints: {key: a}",
         "cannot unmarshal object into Go struct field KubeletConfiguration.registerWithTaints of type []v1.Taint"),
        ("registerWithTaints: [{key: 1}]",
         "cannot unmarshal number into Go struct field Taint.registerWithTaints.key of type string"),
        ("logging: {verbosity: -1}",
         "cannot unmarshal number -1 into Go struct field LoggingConfiguration.logging.verbosity of type uint32"),
    ],
)  # fmt: skip
def test_values_of_the_wrong_type(tmp_path: Path, text: str, message: str) -> None:
    assert _problem(tmp_path, f"{_HEAD}{text}\n") == f"failed to decode: json: {message}"


def test_an_unknown_field_in_a_list_is_named_with_its_index(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _load(tmp_path, _HEAD + "registerWithTaints: [{key: a, effect: NoExecute, efect: b}]\n")
    assert 'unknown field \\"registerWithTaints[0].efect\\"' in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enforceNodeAllocatable: [kube-reserved]",
         'kubeReservedCgroup (--kube-reserved-cgroup) must be specified when "kube-reserved" or '
         '"kube-reserved-compressible" included in enforceNodeAllocatable (--enforce-node-allocatable)'),
        ("cgroupsPerQOS: false",
         'cgroupsPerQOS (--cgroups-per-qos) must be set to true when "pods" contained in enforceNodeAllocatable '
         "(--enforce-node-allocatable)"),
        ("enforceNodeAllocatable: [none, pods]",
         'enforceNodeAllocatable (--enforce-node-allocatable) may not contain additional enforcements when "none" is '
         "specified"),
        ("enforceNodeAllocatable: [pod]",
         'option "pod" specified for enforceNodeAllocatable (--enforce-node-allocatable). Valid options are "pods", '
         '"system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible" or "none"'),
        ("shutdownGracePeriod: 500ms", "shutdownGracePeriod {500ms} must be either zero or otherwise >= 1 sec"),
        ("shutdownGracePeriodCriticalPods: 5s",
         "shutdownGracePeriodCriticalPods {5s} must be <= shutdownGracePeriod {0s}"),
        ("imageMaximumGCAge: 1m", "imageMaximumGCAge 1m0s must be greater than imageMinimumGCAge 2m0s"),
        ("readOnlyPort: 70000", "readOnlyPort (--read-only-port) 70000 must be between 0 and 65535, inclusive"),
        ("containerLogMaxFiles: 1", "containerLogMaxFiles must be greater than 1"),
        ("reservedSystemCPUs: 3-1",
         'unable to parse reservedSystemCPUs (--reserved-cpus) 3-1, error: invalid range "3-1" (3 > 1)'),
        ("podLogsDir: /var/log/pods/", 'pod logs path "/var/log/pods/" must be normalized'),
        ("runOnce: true", "runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set"),
        ("iptablesDropBit: 32", "iptablesDropBit (--iptables-drop-bit) 32 must be between 0 and 31, inclusive"),
        ("serverTLSBootstrap: true\nfeatureGates: {RotateKubeletServerCertificate: false}",
         "serverTLSBootstrap true requires feature gate RotateKubeletServerCertificate"),
        ("reservedMemory: [{numaNode: 0, limits: {cpu: 1}}]",
         'the limit type "cpu" for NUMA node 0 is not supported, only [memory hugepages-<HugePageSize>] is accepted'),
    ],
)  # fmt: skip
def test_invalid_values(tmp_path: Path, text: str, message: str) -> None:
    assert validate(_load(tmp_path, f"{_HEAD}{text}\n"), 2) == f"invalid configuration: {message}"


def test_an_invalid_taint(tmp_path: Path) -> None:
    config = _load(tmp_path, _HEAD + "registerWithTaints: [{key: a, value: b, effect: NoStart}]\n")
    assert validate(config, 2) == "invalid taint: {a b NoStart <nil>}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{format: xml}", 'logging.format: Invalid value: "xml": Unsupported log format'),
        ("{format: json, vmodule: [{filePattern: a, verbosity: 2}]}",
         "logging.vmodule: Forbidden: Only supported for text log format"),
        ("{vmodule: [{verbosity: 2}]}", "logging.vmodule[0]: Required value: File pattern must not be empty"),
        ("{format: json, options: {json: {splitStream: true}}}",
         "logging.options.json.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled"),
    ],
)  # fmt: skip
def test_invalid_logging(tmp_path: Path, text: str, message: str) -> None:
    config = _load(tmp_path, f"{_HEAD}logging: {text}\n")
    assert logsettings.apply(config) == f"initialize logging: {message}"
