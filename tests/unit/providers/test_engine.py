"""Decisions about the engine and this machine; nothing here starts a container."""

import resource
import socket
import threading
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cka_kubelet.errors import EnvironmentError_, UsageError
from cka_kubelet.providers import doctor
from cka_kubelet.providers.base_image import DEFAULT_MIRROR, content_hash, mirror, registry_answers, registry_of
from cka_kubelet.providers.container import choose_subnet
from cka_kubelet.providers.engine import Engine, cgroup_mode, ulimits, why_silent
from cka_kubelet.providers.readiness import all_ready
from cka_kubelet.providers.ssh import Host, fingerprint, parse_host


def test_ulimits_never_ask_for_more_than_the_hard_limit() -> None:
    given = [("nofile", 4096, 1_048_576), ("nproc", resource.RLIM_INFINITY, 16_384)]
    assert ulimits(given) == ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=16384:16384"]


@pytest.mark.parametrize(
    ("entries", "mode"), [(["cgroup.controllers"], "v2"), (["unified/", "memory/"], "hybrid"), (["memory/"], "v1")]
)
def test_cgroup_mode(tmp_path: Path, entries: list[str], mode: str) -> None:
    for entry in entries:
        path = tmp_path / entry.rstrip("/")
        path.mkdir() if entry.endswith("/") else path.touch()
    assert cgroup_mode(tmp_path) == mode


def test_legacy_cgroups_are_forced_only_where_they_are_needed() -> None:
    podman = Engine("podman", "/usr/bin/podman")
    assert "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" in podman.node_options("hybrid")
    assert "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" not in podman.node_options("v2")


def test_a_node_makes_its_own_unified_group_only_where_no_engine_can() -> None:
    podman = Engine("podman", "podman")
    assert podman.node_command("cka-1-node01", "v2") == podman.node_command("x", "hybrid") == ["/sbin/init"]
    script = podman.node_command("cka-1-node01", "v1")[-1]
    assert "echo $$ >/run/unified/cka-1-node01/cgroup.procs" in script
    assert script.endswith("exec unshare --cgroup /sbin/init")


def test_both_engines_start_a_node_alike() -> None:
    podman, docker = (Engine(kind, kind).node_options("v2") for kind in ("podman", "docker"))  # type: ignore[arg-type]
    assert [word for word in podman if word not in ("--systemd=false", "container=podman")] == [
        word for word in docker if word != "container=docker"
    ]


def test_the_chosen_runtime_goes_where_each_engine_wants_it() -> None:
    assert Engine("podman", "podman", runtime="runc").argv("run") == ["podman", "--runtime", "runc", "run"]
    docker = Engine("docker", "docker", runtime="runc")
    assert docker.argv("run") == ["docker", "run"]
    assert docker.node_options("v2")[-2:] == ["--runtime", "runc"]


DOCKER_DOWN = "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
DOCKER_REFUSES = "ERROR: Got permission denied while trying to connect to the Docker daemon socket"


@pytest.mark.parametrize(
    ("engine", "stderr", "what", "mend"),
    [
        (Engine("docker", "docker"), DOCKER_DOWN, "daemon does not run", "systemctl start docker"),
        (Engine("docker", "docker"), DOCKER_REFUSES, "may not use its socket", "usermod"),
        (Engine("podman", "podman", ("sudo", "-n")), "sudo: a password is required", "rootless", "sudo -v"),
        (Engine("podman", "podman"), "Error: no such device", "no such device", "podman info"),
    ],
)
def test_an_engine_that_does_not_answer_is_explained(engine: Engine, stderr: str, what: str, mend: str) -> None:
    said, advice = why_silent(engine, stderr)
    assert what in said
    assert mend in advice


def test_base_image_follows_the_key() -> None:
    assert content_hash("ssh-ed25519 A") != content_hash("ssh-ed25519 B")


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("docker.io/library/debian:trixie-slim", "registry-1.docker.io"),
        ("debian:trixie-slim", "registry-1.docker.io"),
        ("library/debian", "registry-1.docker.io"),
        ("localhost/debian", "localhost"),
        ("mirror:5000/debian:13", "mirror:5000"),
        ("mirror.example.org/hub/debian", "mirror.example.org"),
    ],
)
def test_registry_of_an_image_name(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_a_registry_that_accepts_and_says_nothing_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not registry_answers(f"127.0.0.1:{silent.getsockname()[1]}", seconds=0.1)


def test_a_registry_without_tls_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def refuse() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        assert registry_answers(f"127.0.0.1:{plain.getsockname()[1]}", seconds=5)
        thread.join()


def test_mirror_without_sources_is_debians_default(tmp_path: Path) -> None:
    assert mirror(tmp_path) == DEFAULT_MIRROR


def test_the_first_subnet_that_nobody_uses_is_taken() -> None:
    taken = [IPv4Network("172.30.0.0/16"), IPv4Network("10.30.1.128/25")]
    assert choose_subnet(["172.30.1.0/24", "10.30.1.0/24", "10.130.11.0/24"], taken) == "10.130.11.0/24"
    with pytest.raises(EnvironmentError_, match="free on this machine"):
        choose_subnet(["172.30.1.0/24"], taken)


READY = "node controlplane True\nnode node01 True\nlease controlplane {0}\nlease node01 {1}\n"
NEW, OLD = "2026-01-01T00:00:10.000000Z", "2025-12-31T23:59:59.000000Z"


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        (READY.format(NEW, NEW), True),
        (READY.format(NEW, OLD), False),
        (READY.format(NEW, "never"), False),
        (READY.format(NEW, NEW).replace("node01 True", "node01 Unknown"), False),
        ("", False),
    ],
)
def test_only_a_fresh_lease_makes_ready(text: str, ready: bool) -> None:
    since = 1767225600.0  # 2026-01-01T00:00:00Z
    assert all_ready(text, ["controlplane", "node01"], since) is ready


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("10.0.0.5", Host("root", "10.0.0.5", 22)),
        ("me@lab.example:2222", Host("me", "lab.example", 2222)),
        ("root@[fd00::5]:22", Host("root", "fd00::5", 22)),
    ],
)
def test_hosts(text: str, host: Host) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["", "a b", "root@", "x:0", "x:99999", "-oProxyCommand=id", "a;b", "$(id)@x"])
def test_bad_hosts_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_host(text)


def test_fingerprint_is_as_ssh_keygen_prints_it() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint(key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


def test_doctor_names_the_command_that_mends() -> None:
    assert "apt-get install" in doctor.engine_finding(None).mend
    assert doctor.disk(0.5).status == "missing"
    assert doctor.limits(1024).status == "warning"
    assert doctor.inotify(128, 119).mend.startswith("sudo sysctl")
    assert doctor.inotify(128, 40).status == "ok"
