import pytest

from cka_kubelet.kubelet import flags


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
    with pytest.raises(flags.FlagError) as caught:
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
    with pytest.raises(
        flags.FlagError, match=r"^invalid node labels: 'b/c' - a valid label must be an empty string or"
    ):
        flags.validate(flags.parse(["--node-labels=a=b/c"]))


def test_a_reserved_node_label() -> None:
    with pytest.raises(flags.FlagError, match=r"^unknown 'kubernetes.io' or 'k8s.io' labels specified"):
        flags.validate(flags.parse(["--node-labels=node-role.kubernetes.io/worker="]))
