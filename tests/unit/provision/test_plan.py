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
from cka_kubelet.provision.files import HostTraits, NodeFile, control_plane_images, imported, marker, node_files
from cka_kubelet.provision.pki import NodeName, make_pki
from cka_kubelet.provision.plan import enabled_units, install_steps, paths_of, unit_steps
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


def finished(cluster: ClusterSpec, index: int) -> Facts:
    """The facts of a node on which everything is as wanted."""
    node, files = cluster.nodes[index], wanted(cluster, index)
    units = enabled_units(cluster, node)
    found: dict[str, tuple[str, int, str]] = {}
    for file in files:
        if file.link_to:
            found[file.path] = ("link", 0, file.link_to)
        elif file.path.endswith("/"):
            found[file.path.rstrip("/")] = ("directory", 0o755, "")
        else:
            found[file.path] = ("file", file.mode, hashlib.sha256(file.data).hexdigest())
    for path in paths_of(cluster, node, files):
        found.setdefault(path, ("file", 0o644, ""))
    return Facts(
        traits=TRAITS,
        os_id="debian",
        packages=frozenset((*node_packages.ALL, *node_packages.STATIC_CONTROL_PLANE)),
        files=found,
        units=dict.fromkeys(units, "enabled"),
        active=frozenset(units),
    )


@pytest.fixture(scope="module")
def static(cluster: ClusterSpec) -> ClusterSpec:
    """The same cluster with a control plane as kubeadm leaves it."""
    names = [NodeName(name, address) for name, address in ADDRESSES.items()]
    pki = make_pki(names[0], names, SERVICE_IP, datetime(2026, 1, 1, tzinfo=UTC), etcd=True)
    return replace(cluster, pki=pki, control_plane_runs="static-pods")


def steps_of(cluster: ClusterSpec, index: int, facts: Facts) -> list[str]:
    node, files = cluster.nodes[index], wanted(cluster, index)
    taken = [*install_steps(cluster, node, facts, files), *unit_steps(cluster, node, facts, files)]
    return [step.says for step in taken]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("kind", ["cluster", "static"])
def test_a_finished_node_needs_no_step(request: pytest.FixtureRequest, kind: str, index: int) -> None:
    cluster: ClusterSpec = request.getfixturevalue(kind)
    assert steps_of(cluster, index, finished(cluster, index)) == []


BARE = Facts(TRAITS, "debian", frozenset(node_packages.BOOT), {}, {}, frozenset())


@pytest.mark.parametrize("kind", ["cluster", "static"])
def test_a_bare_host_needs_everything_once(request: pytest.FixtureRequest, kind: str) -> None:
    said = steps_of(request.getfixturevalue(kind), 0, BARE)
    assert said[0].startswith("packages: ")
    assert "start kubelet" in said
    assert len(said) == len(set(said))


def test_static_pods_take_the_place_of_the_unit(cluster: ClusterSpec, static: ClusterSpec) -> None:
    assert "start kube-apiserver" in steps_of(cluster, 0, BARE)
    said = steps_of(static, 0, BARE)
    assert "start kube-apiserver" not in said
    assert "wait for the API server" not in said  # the kubelet is what starts it
    assert said.index("etcd and the control plane's images") < said.index("start preload-images")
    paths = {file.path for file in wanted(static, 0)}
    assert "/etc/kubernetes/manifests/kube-apiserver.yaml" in paths
    assert "/etc/systemd/system/kube-apiserver.service" not in paths
    assert "wait for the API server" in steps_of(static, 1, BARE)


def test_another_node_half_means_other_images(static: ClusterSpec) -> None:
    facts = finished(static, 0)
    for path in (control_plane_images(), imported(static, static.nodes[0])):
        del facts.files[path]
    assert steps_of(static, 0, facts) == ["etcd and the control plane's images"]


def test_a_changed_config_restarts_the_kubelet_and_nothing_else(cluster: ClusterSpec) -> None:
    facts = finished(cluster, 1)
    facts.files["/var/lib/kubelet/config.yaml"] = ("file", 0o644, "other")
    assert steps_of(cluster, 1, facts) == ["1 files", "wait for the API server", "start kubelet"]


def test_a_wrong_mode_counts_as_changed(cluster: ClusterSpec) -> None:
    facts = finished(cluster, 1)
    kind, _, digest = facts.files["/etc/kubernetes/kubelet.conf"]
    facts.files["/etc/kubernetes/kubelet.conf"] = (kind, 0o644, digest)
    [step] = install_steps(cluster, cluster.nodes[1], facts, wanted(cluster, 1))
    with tarfile.open(fileobj=io.BytesIO(step.input)) as tar:
        assert [(member.name, member.mode) for member in tar] == [("etc/kubernetes/kubelet.conf", 0o600)]


def test_paths_do_not_depend_on_the_facts(cluster: ClusterSpec) -> None:
    node = cluster.nodes[0]
    other = replace(TRAITS, cgroup_v1=False, may_lower_oom_score=True, machine_id="1" * 32, arch="arm64")
    first, second = (paths_of(cluster, node, node_files(cluster, node, traits)) for traits in (TRAITS, other))
    assert first == second


def test_private_keys_never_reach_a_worker(cluster: ClusterSpec) -> None:
    contents = b"".join(file.data for file in wanted(cluster, 1))
    for name in ("ca.key", "sa.key", "apiserver.key", "users/admin.key", "nodes/controlplane.pem"):
        assert cluster.pki[name].splitlines()[1] not in contents


def test_secrets_are_readable_by_root_alone(cluster: ClusterSpec, static: ClusterSpec) -> None:
    for which, index in ((cluster, 0), (cluster, 1), (static, 0)):
        for file in wanted(which, index):
            if b"PRIVATE KEY" in file.data or b"client-key:" in file.data or b"client-key-data" in file.data:
                assert file.mode == 0o600, file.path


def test_no_template_value_is_left_open(cluster: ClusterSpec, static: ClusterSpec) -> None:
    import re

    for file in (*wanted(cluster, 0), *wanted(cluster, 1), *wanted(static, 0)):
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
