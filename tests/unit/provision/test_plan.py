"""Facts in, steps out: what is already right makes no step."""

import hashlib
import io
import tarfile
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cka_kubelet.errors import ProvisionError
from cka_kubelet.provision import node_half, node_packages
from cka_kubelet.provision.facts import Facts, parse
from cka_kubelet.provision.files import IMAGES, HostTraits, NodeFile, marker, node_files
from cka_kubelet.provision.pki import NodeName, make_pki
from cka_kubelet.provision.plan import COMPLETION, IMPORTED, enabled_units, install_steps, paths_of, unit_steps
from cka_kubelet.provision.spec import SERVICE_IP, ClusterSpec, node_specs

ADDRESSES = {"controlplane": "172.30.1.2", "node01": "172.30.1.3"}
TRAITS = HostTraits(cgroup_v1=True, may_lower_oom_score=False, machine_id="0" * 32)


@pytest.fixture(scope="module")
def cluster() -> ClusterSpec:
    names = [NodeName(name, address) for name, address in ADDRESSES.items()]
    pki = make_pki(names[0], names, SERVICE_IP, datetime(2026, 1, 1, tzinfo=UTC))
    return ClusterSpec("test", node_specs(ADDRESSES), pki, "private", "public")


def wanted(cluster: ClusterSpec, index: int) -> list[NodeFile]:
    node = cluster.nodes[index]
    return [*node_files(cluster, node, TRAITS), marker(cluster, node, TRAITS)]


def finished(files: list[NodeFile], units: tuple[str, ...]) -> Facts:
    """The facts of a node on which everything is as wanted."""
    found: dict[str, tuple[str, int, str]] = {}
    for file in files:
        if file.link_to:
            found[file.path] = ("link", 0, file.link_to)
        elif file.path.endswith("/"):
            found[file.path.rstrip("/")] = ("directory", 0o755, "")
        else:
            found[file.path] = ("file", file.mode, hashlib.sha256(file.data).hexdigest())
    for path in (f"{node_half.directory()}/.complete", IMAGES, IMPORTED, COMPLETION):
        found[path] = ("file", 0o644, "")
    return Facts(
        traits=TRAITS,
        os_id="debian",
        packages=frozenset(node_packages.ALL),
        files=found,
        units=dict.fromkeys(units, "enabled"),
        active=frozenset(units),
    )


@pytest.mark.parametrize("index", [0, 1])
def test_a_finished_node_needs_no_step(cluster: ClusterSpec, index: int) -> None:
    files, units = wanted(cluster, index), enabled_units(index == 0)
    facts = finished(files, units)
    assert install_steps(facts, files) == []
    assert unit_steps(facts, files, units, cluster.server) == []


def test_a_bare_host_needs_everything_once(cluster: ClusterSpec) -> None:
    files, units = wanted(cluster, 1), enabled_units(control_plane=False)
    bare = Facts(TRAITS, "debian", frozenset(node_packages.BOOT), {}, {}, frozenset())
    said = [step.says for step in (*install_steps(bare, files), *unit_steps(bare, files, units, cluster.server))]
    assert said[0].startswith("packages: ")
    assert "start kubelet" in said
    assert len(said) == len(set(said))


def test_a_changed_config_restarts_the_kubelet_and_nothing_else(cluster: ClusterSpec) -> None:
    files, units = wanted(cluster, 1), enabled_units(control_plane=False)
    facts = finished(files, units)
    facts.files["/var/lib/kubelet/config.yaml"] = ("file", 0o644, "other")
    assert [step.says for step in install_steps(facts, files)] == ["1 files"]
    assert [step.says for step in unit_steps(facts, files, units, cluster.server)] == [
        "wait for the API server",
        "start kubelet",
    ]


def test_a_wrong_mode_counts_as_changed(cluster: ClusterSpec) -> None:
    files = wanted(cluster, 1)
    facts = finished(files, ())
    kind, _, digest = facts.files["/etc/kubernetes/kubelet.conf"]
    facts.files["/etc/kubernetes/kubelet.conf"] = (kind, 0o644, digest)
    [step] = install_steps(facts, files)
    with tarfile.open(fileobj=io.BytesIO(step.input)) as tar:
        assert [(member.name, member.mode) for member in tar] == [("etc/kubernetes/kubelet.conf", 0o600)]


def test_paths_do_not_depend_on_the_facts(cluster: ClusterSpec) -> None:
    node = cluster.nodes[0]
    other = replace(TRAITS, cgroup_v1=False, may_lower_oom_score=True, machine_id="1" * 32, arch="arm64")
    assert paths_of(node_files(cluster, node, TRAITS)) == paths_of(node_files(cluster, node, other))


def test_private_keys_never_reach_a_worker(cluster: ClusterSpec) -> None:
    contents = b"".join(file.data for file in wanted(cluster, 1))
    for name in ("ca.key", "sa.key", "apiserver.key", "users/admin.key", "nodes/controlplane.pem"):
        assert cluster.pki[name].splitlines()[1] not in contents


def test_secrets_are_readable_by_root_alone(cluster: ClusterSpec) -> None:
    for index in (0, 1):
        for file in wanted(cluster, index):
            if b"PRIVATE KEY" in file.data or b"client-key:" in file.data or b"client-key-data" in file.data:
                assert file.mode == 0o600, file.path


def test_no_template_value_is_left_open(cluster: ClusterSpec) -> None:
    import re

    for file in (*wanted(cluster, 0), *wanted(cluster, 1)):
        assert not re.search(rb"@[A-Z_]+@", file.data), file.path


def test_node_half_has_nothing_of_the_trainer() -> None:
    packages = {path.split("/")[1] for path in node_half.sources()}
    assert packages <= {"__init__.py", "clock.py", *node_half.PACKAGES}
    forbidden = (b"paramiko", b"textual", b"fault_injectors", b"cka_kubelet.faults", b"cka_kubelet.labspec")
    for path, data in node_half.sources().items():
        assert not [word for word in forbidden if b"import " + word in data or b"from " + word in data], path


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', "null", '{"files":{"a":[1]}}'])
def test_a_node_that_answers_nonsense_is_an_error_for_people(text: str) -> None:
    with pytest.raises(ProvisionError):
        parse(text)


@pytest.mark.parametrize(("own", "history"), [(False, "~/.bash_history"), (True, "/etc/cka-lab/bash_history")])
def test_shells_name_their_node_and_leave_no_history_on_a_users_host(
    cluster: ClusterSpec, own: bool, history: str
) -> None:
    files = {file.path: file.data.decode() for file in wanted(replace(cluster, own_hosts=own), 1) if file.data}
    marks = files["/etc/profile.d/shell-integration.sh"]
    assert f"HISTFILE={history}\n" in marks
    assert "$HOSTNAME" not in marks
    assert "node01" in marks
