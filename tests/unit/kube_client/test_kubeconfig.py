from pathlib import Path

import pytest

from cka_kubelet.kube.kubeconfig import KubeconfigError, load

_TEXT = """\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster: {{server: "{server}"}}
contexts:
- name: c
  context: {{cluster: {cluster}, user: u}}
current-context: {current}
users:
- name: u
  user: {user}
"""


def _write(folder: Path, **words: str) -> str:
    values = {"server": "https://10.0.0.1:6443", "cluster": "kubernetes", "current": "c", "user": "{}", **words}
    path = folder / "kubelet.conf"
    path.write_text(_TEXT.format(**values))
    return str(path)


def _problem(path: str) -> str:
    with pytest.raises(KubeconfigError) as caught:
        load(path).resolve()
    return str(caught.value)


def test_a_good_file(tmp_path: Path) -> None:
    config = load(_write(tmp_path, user="{token: abc}")).resolve()
    assert (config.server, config.token, config.tls) == ("https://10.0.0.1:6443", "abc", True)


def test_plain_http_drops_credentials_as_client_go_does(tmp_path: Path) -> None:
    config = load(_write(tmp_path, server="http://10.0.0.1:6443", user="{token: abc}")).resolve()
    assert (config.token, config.tls) == ("", False)


def test_an_unknown_context(tmp_path: Path) -> None:
    assert _problem(_write(tmp_path, current="nope")) == (
        "invalid configuration: [context was not found for specified context: nope, cluster has no server defined]"
    )


def test_an_unknown_cluster(tmp_path: Path) -> None:
    assert _problem(_write(tmp_path, cluster="nope")).endswith("try setting KUBERNETES_MASTER environment variable")


def test_a_missing_certificate_is_told_twice(tmp_path: Path) -> None:
    pem = f"{tmp_path}/no.pem"
    user = f"{{client-certificate: {pem}, client-key: {pem}}}"
    assert _problem(_write(tmp_path, user=user)) == (
        f"invalid configuration: [unable to read client-cert {pem} for u due to open {pem}: no such file or directory, "
        f"unable to read client-key {pem} for u due to open {pem}: no such file or directory]"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    assert _problem(f"{tmp_path}/x") == f"stat {tmp_path}/x: no such file or directory"


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("")
    assert _problem(str(path)) == (
        "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
    )


def test_broken_yaml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("a: {\n")
    assert _problem(str(path)).startswith(f'error loading config file "{path}": yaml: ')
