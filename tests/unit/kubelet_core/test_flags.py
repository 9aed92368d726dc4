import pytest

from cka_kubelet.kube import klog
from cka_kubelet.kube.pflag import FlagError
from cka_kubelet.kubelet import flags, flagshow


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--container-runtime=remote"], "unknown flag: --container-runtime"),
        (["--hostnameOverride", "x"], "unknown flag: --hostnameOverride"),
        (["-config=/x"], "unknown shorthand flag: 'c' in -config=/x"),
        (
            ["--max-pods=many"],
            'invalid argument "many" for "--max-pods" flag: strconv.ParseInt: parsing "many": invalid syntax',
        ),
        (["--node-ip"], "flag needs an argument: --node-ip"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["--fail-swap-on=maybe"],
            'invalid argument "maybe" for "--fail-swap-on" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            ["--sync-frequency=soon"],
            'invalid argument "soon" for "--sync-frequency" flag: time: invalid duration "soon"',
        ),
    ],
)
def test_errors_are_pflags(words: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        flags.parse(words)
    assert str(caught.value) == message


def test_underscores_count_as_dashes_and_deprecation_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert flags.parse(["--max_pods", "5"]).values == {"max-pods": 5}
    assert capfd.readouterr().err == (
        "Flag --max-pods has been deprecated, This parameter should be set via the config file specified by the "
        "Kubelet's --config flag. See https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/ for "
        "more information.\n"
    )


def test_kubeadms_flags_are_not_deprecated(capfd: pytest.CaptureFixture[str]) -> None:
    parsed = flags.parse(["--bootstrap-kubeconfig=/b", "--kubeconfig=/k", "--config=/c", "-v", "4", "word"])
    assert capfd.readouterr().err == ""
    assert (parsed.values["v"], parsed.positional) == (4, ["word"])


def test_a_bad_node_label_value() -> None:
    with pytest.raises(FlagError, match=r"^invalid node labels: 'b/c' - a valid label must be an empty string or"):
        flags.validate(flags.parse(["--node-labels=a=b/c"]))


def test_a_reserved_node_label() -> None:
    with pytest.raises(FlagError, match=r"^unknown 'kubernetes.io' or 'k8s.io' labels specified"):
        flags.validate(flags.parse(["--node-labels=node-role.kubernetes.io/worker="]))


def test_every_flag_is_shown_with_its_value_at_v_1(capfd: pytest.CaptureFixture[str]) -> None:
    klog.set_verbosity(1)
    try:
        flagshow.log_flags(flags.parse(["--node-ip=10.0.0.1", "--node-labels=b=2,a=1", "-v=1"]))
    finally:
        klog.set_verbosity(0)
    lines = [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]
    assert lines == sorted(lines, key=lambda line: line.partition("=")[0])
    for line in (
        'FLAG: --node-ip="10.0.0.1"', 'FLAG: --node-labels="a=1,b=2"', 'FLAG: --v="1"',
        'FLAG: --anonymous-auth="true"',
        'FLAG: --read-only-port="10255"', 'FLAG: --cluster-dns="[]"', 'FLAG: --sync-frequency="1m0s"',
        'FLAG: --cert-dir="/var/lib/kubelet/pki"', 'FLAG: --version="false"',
        'FLAG: --authorization-mode="AlwaysAllow"',
        'FLAG: --enforce-node-allocatable="[pods]"', 'FLAG: --log-flush-frequency="5s"',
        'FLAG: --eviction-hard="imagefs.available<15%,imagefs.inodesFree<5%,memory.available<100Mi,'
        'nodefs.available<10%,nodefs.inodesFree<5%"',
    ):  # fmt: skip
        assert line in lines


def test_the_usage_names_types_defaults_and_deprecations() -> None:
    lines = flagshow.usage().splitlines()
    assert any(line.split() == ["--cert-dir", "string", "(default", '"/var/lib/kubelet/pki")'] for line in lines)
    assert any(
        line.startswith("      --max-pods int32 ") and "(default 110) (DEPRECATED: This" in line for line in lines
    )
    assert any(line.startswith("  -h, --help") for line in lines)


@pytest.mark.parametrize(
    ("word", "message"),
    [("--vmodule=a", 'invalid argument "a" for "--vmodule" flag: "a" does not have the pattern=N format'),
     ("-v=x", 'invalid argument "x" for "-v, --v" flag: strconv.ParseUint: parsing "x": invalid syntax')],
)  # fmt: skip
def test_bad_log_flags(word: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        flags.parse([word])
    assert str(caught.value) == message
