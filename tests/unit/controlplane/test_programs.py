"""The three programs' command lines: what they take, and what they say when something is wrong."""

import asyncio
from pathlib import Path

import pytest

from cka_kubelet.controlplane import (
    __main__ as all_in_one,
)
from cka_kubelet.controlplane import (
    command,
    component,
    flagtable,
    kube_apiserver,
    kube_controller_manager,
    kube_scheduler,
    manageroptions,
    schedulerconfig,
    schedulerrun,
    serveroptions,
)
from cka_kubelet.controlplane.controllers import manager
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube import pflag
from cka_kubelet.kube.kubeconfig import RESTConfig

_SERVER = (
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--service-account-key-file=/pki/sa.pub",
    "--service-account-signing-key-file=/pki/sa.key", "--etcd-servers=https://127.0.0.1:2379",
    "--service-cluster-ip-range=10.96.0.0/12", "--authorization-mode=Node,RBAC",
)  # fmt: skip


def settings(sections: flagtable.Sections, *words: str) -> Settings:
    flags = {flag.name: flag for section in sections.values() for flag in section}
    return Settings(pflag.parse(list(words), flags), flags)


def server(*words: str) -> Settings:
    return settings(flagtable.api_server(), *_SERVER, *words)


_KUBEADM = {
    flagtable.api_server: """advertise-address=10.0.0.2 allow-privileged=true authorization-mode=Node,RBAC
        client-ca-file=/pki/ca.crt enable-admission-plugins=NodeRestriction enable-bootstrap-token-auth=true
        etcd-cafile=/pki/etcd/ca.crt etcd-certfile=/pki/apiserver-etcd-client.crt etcd-keyfile=/pki/a.key
        etcd-servers=https://127.0.0.1:2379 kubelet-client-certificate=/pki/c.crt kubelet-client-key=/pki/c.key
        kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname proxy-client-cert-file=/pki/f.crt
        proxy-client-key-file=/pki/f.key requestheader-allowed-names=front-proxy-client
        requestheader-client-ca-file=/pki/front-proxy-ca.crt requestheader-extra-headers-prefix=X-Remote-Extra-
        requestheader-group-headers=X-Remote-Group requestheader-username-headers=X-Remote-User secure-port=6443
        service-account-issuer=https://kubernetes.default.svc.cluster.local service-account-key-file=/pki/sa.pub
        service-account-signing-key-file=/pki/sa.key service-cluster-ip-range=10.96.0.0/12
        tls-cert-file=/pki/apiserver.crt tls-private-key-file=/pki/apiserver.key""",
    flagtable.controller_manager: """allocate-node-cidrs=true authentication-kubeconfig=/k/c.conf
        authorization-kubeconfig=/k/c.conf bind-address=127.0.0.1 client-ca-file=/pki/ca.crt
        cluster-cidr=10.244.0.0/16 cluster-name=kubernetes cluster-signing-cert-file=/pki/ca.crt
        cluster-signing-key-file=/pki/ca.key controllers=*,bootstrapsigner,tokencleaner kubeconfig=/k/c.conf
        leader-elect=true requestheader-client-ca-file=/pki/f.crt root-ca-file=/pki/ca.crt
        service-account-private-key-file=/pki/sa.key service-cluster-ip-range=10.96.0.0/12
        use-service-account-credentials=true""",
    flagtable.scheduler: """authentication-kubeconfig=/k/s.conf authorization-kubeconfig=/k/s.conf
        bind-address=127.0.0.1 kubeconfig=/k/s.conf leader-elect=true""",
}


@pytest.mark.parametrize("sections", list(_KUBEADM))
def test_every_flag_that_kubeadm_writes_is_taken(sections: object) -> None:
    words = [f"--{word}" for word in _KUBEADM[sections].split()]  # type: ignore[index]
    told = settings(sections(), *words)  # type: ignore[operator]
    assert all(told.given(word.partition("=")[0].removeprefix("--")) for word in words)


@pytest.mark.parametrize(
    ("main", "words", "last"),
    [
        (kube_apiserver.main, ["--foo"], "Error: unknown flag: --foo"),
        (kube_apiserver.main, ["-z"], "Error: unknown shorthand flag: 'z' in -z"),
        (kube_apiserver.main, ["--etcd-servers"], "Error: flag needs an argument: --etcd-servers"),
        (
            kube_apiserver.main, ["--secure-port=abc"],
            'Error: invalid argument "abc" for "--secure-port" flag: strconv.ParseInt: parsing "abc": invalid syntax',
        ),
        (
            kube_apiserver.main, ["--advertise-address=foo"],
            'Error: invalid argument "foo" for "--advertise-address" flag: failed to parse IP: "foo"',
        ),
        (kube_apiserver.main, ["bar"], 'Error: "kube-apiserver" does not take any arguments, got ["bar"]'),
        (kube_controller_manager.main, ["--kubconfig=/x"], "Error: unknown flag: --kubconfig"),
        (
            kube_controller_manager.main, ["--node-monitor-grace-period=5"],
            'Error: invalid argument "5" for "--node-monitor-grace-period" flag: time: missing unit in duration "5"',
        ),
        (
            kube_scheduler.main, ["--leader-elect=maybe"],
            'Error: invalid argument "maybe" for "--leader-elect" flag: strconv.ParseBool: parsing "maybe": '
            "invalid syntax",
        ),
    ],
)  # fmt: skip
def test_a_wrong_flag(main: object, words: list[str], last: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1  # type: ignore[operator]
    assert capfd.readouterr().err.splitlines()[-1] == last


def test_only_the_api_server_leaves_the_usage_out(capfd: pytest.CaptureFixture[str]) -> None:
    kube_apiserver.main(["--foo"])
    assert capfd.readouterr().err == "Error: unknown flag: --foo\n"
    kube_scheduler.main(["--foo"])
    said = capfd.readouterr().err
    assert said.startswith("Usage:\n  kube-scheduler [flags]\n\nMisc flags:\n")
    assert said.endswith("\n\nError: unknown flag: --foo\n")


@pytest.mark.parametrize(
    ("main", "words", "problem"),
    [
        (kube_apiserver.main, ["--feature-gates=Foo=true"], "unrecognized feature gate: Foo"),
        (kube_apiserver.main, ["--feature-gates=NodeSwap"], "missing bool value for NodeSwap"),
        (kube_scheduler.main, ["--feature-gates=wardle:Foo=true"], "component not registered: wardle"),
        (kube_scheduler.main, ["--kubeconfig=/nowhere/x"], "stat /nowhere/x: no such file or directory"),
        (kube_scheduler.main, ["--config=/nowhere/x"], "open /nowhere/x: no such file or directory"),
        (kube_controller_manager.main, ["--kubeconfig=/nowhere/x"], "stat /nowhere/x: no such file or directory"),
        (kube_controller_manager.main, ["--controllers=*,foo"], '\\"foo\\" is not in the list of known controllers'),
        (
            kube_controller_manager.main, ["--logging-format=xml"],
            'format: Invalid value: \\"xml\\": Unsupported log format',
        ),
        (
            kube_apiserver.main, [*_SERVER[:2], "--service-account-signing-key-file=/nowhere/sa.key"],
            "failed to parse service-account-issuer-key-file: open /nowhere/sa.key: no such file or directory",
        ),
    ],
)  # fmt: skip
def test_what_ends_a_start_is_logged(
    main: object, words: list[str], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1  # type: ignore[operator]
    assert f'] "command failed" err="{problem}"' in capfd.readouterr().err.splitlines()[-1]


def test_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    for main in (kube_apiserver.main, kube_controller_manager.main, kube_scheduler.main, all_in_one.main):
        assert main(["--version"]) == 0
        assert capfd.readouterr().out == f"Kubernetes {command.VERSION}\n"


def test_help_has_every_flag(capfd: pytest.CaptureFixture[str]) -> None:
    assert kube_controller_manager.main(["--help"]) == 0
    shown = capfd.readouterr().out
    assert "\nNode-lifecycle-controller flags:\n" in shown
    line = next(line for line in shown.splitlines() if "--node-monitor-grace-period" in line)
    assert line.split() == ["--node-monitor-grace-period", "duration", "(default", "50s)"]


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        ([], []),
        (["--secure-port=0"], [
            "--secure-port 0 must be between 1 and 65535, inclusive. It cannot be turned off with 0"
        ]),
        (["--authorization-mode=RBCA"], ['authorization-mode "RBCA" is not a valid mode']),
        (["--authorization-mode=RBAC"], [
            'authorization-mode ["Node" "RBAC" "RBAC"] has mode specified more than once'
        ]),
        (["--enable-admission-plugins=Foo"], ['enable-admission-plugins plugin "Foo" is unknown']),
        (["--disable-admission-plugins=Foo"], ['disable-admission-plugins plugin "Foo" is unknown']),
        (
            ["--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=NodeRestriction"],
            ["[NodeRestriction] in enable-admission-plugins and disable-admission-plugins overlapped"],
        ),
        (["--storage-backend=etcd2"], [
            "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'"
        ]),
        (["--audit-log-path=/a", "--audit-log-maxage=-1"], ["--audit-log-maxage -1 can't be a negative number"]),
    ],
)  # fmt: skip
def test_the_api_servers_checks(words: list[str], problems: list[str]) -> None:
    found = serveroptions.problems(server(*words))
    if words and words[0].startswith("--authorization-mode=RBCA"):
        found = found[:1]
    assert found == problems


def test_a_bare_api_server_is_told_all_that_is_missing() -> None:
    assert serveroptions.problems(settings(flagtable.api_server())) == [
        "--etcd-servers must be specified",
        "service-account-issuer is a required flag",
        "service-account-key-file is a required flag",
        "--service-account-signing-key-file and --service-account-issuer are required flags",
    ]


@pytest.mark.parametrize("cidr", ["10.96.0.0", "x/12"])
def test_a_service_range_that_is_none(cidr: str) -> None:
    with pytest.raises(ValueError, match=r"^service-cluster-ip-range\[0\] is not a valid cidr$"):
        serveroptions.service_network(settings(flagtable.api_server(), f"--service-cluster-ip-range={cidr}"))


def test_admission_plugins_as_upstream_counts_them() -> None:
    enabled = serveroptions.plugins(server("--enable-admission-plugins=NodeRestriction"))
    assert [sum(name in enabled for name in order) for order in (serveroptions.MUTATING, serveroptions.VALIDATING)] == [
        14,
        13,
    ]


def test_which_controllers_run() -> None:
    wanted = ["*", "-node-lifecycle-controller", "-job", "bootstrapsigner"]
    assert not manager.enabled("node-lifecycle-controller", wanted)
    assert not manager.enabled("job-controller", wanted)  # by the name it had before
    assert manager.enabled("deployment-controller", wanted)
    assert manager.enabled("bootstrap-signer-controller", wanted)
    assert not manager.enabled("token-cleaner-controller", wanted)  # off unless asked for
    assert not manager.enabled("deployment-controller", ["job"])


def test_what_controllers_cannot_start_without(tmp_path: Path) -> None:
    def found(*words: str) -> tuple[str, str] | None:
        return manageroptions.start_problem(settings(flagtable.controller_manager(), *words))

    assert found() is None
    assert found("--root-ca-file=/nowhere/ca") == (
        "serviceaccount-token-controller",
        "error parsing root-ca-file at /nowhere/ca: open /nowhere/ca: no such file or directory",
    )
    key = tmp_path / "sa.key"
    key.write_text("junk")
    assert found(f"--service-account-private-key-file={key}") == (
        "serviceaccount-token-controller",
        f"error reading key for service account token controller: error reading private key file {key}: "
        "data does not contain a valid RSA or ECDSA private key",
    )
    assert found("--allocate-node-cidrs", "--cluster-cidr=foo") == (
        "node-ipam-controller", "invalid CIDR[0]: <nil> (invalid CIDR address: foo)"
    )  # fmt: skip
    assert found("--allocate-node-cidrs", "--cluster-cidr=foo", "--controllers=*,-nodeipam") is None


def test_a_scheduler_configuration_goes_before_the_kubeconfig_flag(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "clientConnection: {kubeconfig: /from/file}\nleaderElection: {leaderElect: false, retryPeriod: 3s}\n"
    )
    told = settings(flagtable.scheduler(), "--kubeconfig=/from/flag", "--leader-elect-retry-period=4s")
    schedulerconfig.apply(told, str(file))
    assert told.text("kubeconfig") == "/from/file"
    assert not told.on("leader-elect")
    assert told.seconds("leader-elect-retry-period") == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\n", "Object 'Kind' is missing in 'a: 1\n'"),
        ("kind: Pod\napiVersion: v1\n", 'no kind "Pod" is registered for version "v1" in scheme'),
        ("junk", "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value"),
    ],
)
def test_a_scheduler_configuration_that_is_none(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(command.StartError) as caught:
        schedulerconfig.apply(settings(flagtable.scheduler()), str(file))
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("resource-lock=endpoints", "couldn't create resource lock: endpoints lock is removed, migrate to leases"),
        ("resource-lock=foo", "couldn't create resource lock: Invalid lock-type foo"),
        ("lease-duration=5s", "couldn't create leader elector: leaseDuration must be greater than renewDeadline"),
    ],
)
def test_a_schedulers_election_that_cannot_be(word: str, problem: str) -> None:
    server_only = RESTConfig("http://127.0.0.1:1", "", b"", "", b"", "", b"", "", "", False, "", "")
    with pytest.raises(command.StartError) as caught:
        schedulerrun._elector(settings(flagtable.scheduler(), f"--leader-elect-{word}"), server_only)
    assert str(caught.value) == problem


def test_losing_the_lease_ends_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    class Elector:
        async def acquire(self) -> None: ...

        async def renew(self) -> None: ...

    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(command.Exit) as caught:
        asyncio.run(component.lead(Elector(), work, "leaderelection lost", "a.go:1"))  # type: ignore[arg-type]
    assert caught.value.status == 1
    assert capfd.readouterr().err.endswith('a.go:1] "leaderelection lost"\n')
