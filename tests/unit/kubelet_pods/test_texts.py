"""Messages, byte for byte, and the small pure parts."""

import json
from typing import Any

import pytest

from cka_kubelet.kubelet.pods import admission, cgroups, dns, env, gc, hosts, manifest, objects, reference, resources
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.backoff import Backoff
from cka_kubelet.kubelet.pods.sandboxes import SyncError
from cka_kubelet.kubelet.pods.security import SecurityError, verify_non_root
from cka_kubelet.kubelet.pods.status_manager import difference
from tests.unit.kubelet_pods.test_actions import container, pod, status


def test_sync_errors_print_as_upstreams_results() -> None:
    error = SyncError("StartContainer", "c", "CreateContainerConfigError", 'configmap "absent" not found')
    assert str(error) == (
        'failed to "StartContainer" for "c" with CreateContainerConfigError: "configmap \\"absent\\" not found"'
    )


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("UPPER CASE:1", "invalid reference format: repository name (library/UPPER CASE) must be lowercase"),
        ("Foo//bar:::", "invalid reference format"),
        ("", "invalid reference format"),
    ],
)
def test_bad_image_names(image: str, problem: str) -> None:
    with pytest.raises(reference.ReferenceError_, match="^" + problem.replace("(", r"\(").replace(")", r"\)") + "$"):
        reference.with_tag(image)


def test_image_names_get_the_default_tag() -> None:
    assert reference.with_tag("busybox") == "busybox:latest"
    assert reference.with_tag("127.0.0.1:1/nope:v1") == "127.0.0.1:1/nope:v1"
    assert reference.with_tag("a/b@sha256:" + "0" * 64) == "a/b@sha256:" + "0" * 64
    assert reference.split_domain("registry.k8s.io/pause") == ("registry.k8s.io", "pause")


def test_crash_back_off_counts_as_upstream_does() -> None:
    now = [1000.0]
    backoff = Backoff(10, 300, lambda: now[0])
    delays = []
    for _ in range(7):
        backoff.next("k", now[0])
        delays.append(backoff.get("k"))
        assert backoff.waiting_since("k", now[0])
        now[0] += backoff.get("k")
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert not backoff.waiting_since("k", now[0] + 601)
    backoff.next("k", now[0] + 601)
    assert backoff.get("k") == 10


def test_manifest_errors() -> None:
    cases = {
        b"": "/m/w.yaml: couldn't parse as pod(Object 'Kind' is missing in 'null'), please check config file",
        b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n spec: {}\n": (
            "/m/w.yaml: couldn't parse as pod(yaml: line 4: did not find expected key), please check config file"
        ),
        b"apiVersion: apps/v1\nkind: Deployment\n": (
            '/m/w.yaml: couldn\'t parse as pod(no kind "Deployment" is registered for version "apps/v1" in scheme '
            '"pkg/api/legacyscheme/scheme.go:30"), please check config file'
        ),
    }
    for data, text in cases.items():
        with pytest.raises(manifest.ManifestError) as caught:
            manifest.parse(data, "/m/w.yaml", "node01")
        assert str(caught.value) == text


def test_an_invalid_static_pod_names_the_field() -> None:
    with pytest.raises(
        manifest.ManifestError, match=r'^invalid pod: \[spec\.containers\[0\]\.name: Invalid value: "A_b"'
    ):
        manifest.parse(
            b"apiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec: {containers: [{name: A_b, image: i}]}", "f", "n"
        )


@pytest.mark.parametrize(
    ("spec", "resource"),
    [
        ({}, ""),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}, {"name": "e", "emptyDir": {}}]}, ""),
        ({"serviceAccountName": "a"}, "serviceaccounts"),
        ({"imagePullSecrets": [{"name": "s"}]}, "secrets"),
        ({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}, "configmaps"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "persistentvolumeclaims"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            "serviceaccounts (via projected volumes)",
        ),
    ],
)
def test_a_static_pod_may_not_refer_to_api_objects(spec: dict[str, object], resource: str) -> None:
    body = {"containers": [{"name": "c", "image": "i"}], **spec}
    data = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w"}, "spec": body}).encode()
    if not resource:
        assert manifest.parse(data, "f", "n")["metadata"]["name"] == "w-n"
        return
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.parse(data, "f", "n")
    assert str(caught.value) == f"static pods may not reference {resource}"


def test_a_static_pod_needs_a_name() -> None:
    with pytest.raises(manifest.ManifestError, match=r"^invalid pod: name is needed for the pod$"):
        manifest.parse(b"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: i}]}", "f", "n")


def test_static_pods_are_named_after_the_node_and_hashed() -> None:
    data = b"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}"
    one, again = manifest.parse(data, "/m/w.yaml", "Node01"), manifest.parse(data, "/m/w.yaml", "Node01")
    assert one["metadata"]["name"] == "web-node01"
    assert one["metadata"]["uid"] == again["metadata"]["uid"]
    assert len(objects.uid(one)) == 32
    assert objects.uid(manifest.parse(data, "/m/other.yaml", "Node01")) != objects.uid(one)
    assert objects.is_static(one)


def test_qos_and_figures() -> None:
    spec = pod()
    assert objects.qos_class(spec) == "BestEffort"
    spec["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "100m", "memory": "20Mi"}}
    assert objects.qos_class(spec) == "Guaranteed"
    spec["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "50m"}
    assert objects.qos_class(spec) == "Burstable"
    assert resources.container_figures(spec["spec"]["containers"][0]) == (50, 100, 20 * 1024**2)
    assert (resources.shares(50), resources.quota(100), resources.weight(1024)) == (51, 10000, 39)


def test_cgroup_names_of_both_drivers() -> None:
    spec = pod()
    spec["metadata"]["uid"] = "a-b"
    assert cgroups.pod_path(spec) == ("kubepods", "besteffort", "poda-b")
    assert cgroups.systemd_name(cgroups.pod_path(spec)) == (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-poda_b.slice"
    )


def test_admission_messages() -> None:
    spec = pod()
    spec["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "64"}}
    assert admission.predicates(spec, [], None, {"cpu": 2000}) == admission.Rejection(
        "OutOfcpu", "Node didn't have enough resource: cpu, requested: 64000, used: 0, capacity: 2000"
    )
    chosen = pod()
    chosen["spec"]["nodeSelector"] = {"disk": "ssd"}
    node = {"metadata": {"name": "n", "labels": {}}}
    rejected = admission.predicates(chosen, [], node, {})
    assert rejected is not None
    assert rejected.message == "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    under = admission.under_pressure(pod(), {"DiskPressure"})
    assert under is not None
    assert under.message == "The node had condition: [DiskPressure]. "


def test_run_as_non_root() -> None:
    spec = pod()
    spec["spec"]["securityContext"] = {"runAsNonRoot": True}
    with pytest.raises(SecurityError) as caught:
        verify_non_root(spec, spec["spec"]["containers"][0], 0, "")
    assert str(caught.value) == 'container has runAsNonRoot and image will run as root (pod: "p_t(u)", container: c)'


def test_environment_precedence_and_expansion() -> None:
    def lookup(kind: str, name: str) -> dict[str, bytes]:
        if name == "nope":
            raise LookupError(f'{kind} "nope" not found')
        return {"COLOR": b"blue", "A": b"1"}

    refs = env.References(lookup, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, ["10.0.0.1"], [], {})
    c = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "P_"}],
        "env": [
            {"name": "X", "value": "$(P_COLOR)-$$(Y)-$(NOPE)-$(KUBERNETES_SERVICE_HOST)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }
    got = env.make_env(pod(), c, refs)
    assert got["X"] == "blue-$(Y)-$(NOPE)-10.96.0.1"
    assert (got["P_A"], got["IP"]) == ("1", "10.0.0.1")
    with pytest.raises(env.EnvError, match=r'^configmap "nope" not found$'):
        env.make_env(pod(), {"name": "c", "envFrom": [{"configMapRef": {"name": "nope"}}]}, refs)
    missing = {"name": "c", "env": [{"name": "Z", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    with pytest.raises(env.EnvError, match=r"^couldn't find key k in Secret t/s$"):
        env.make_env(pod(), missing, refs)


def test_resolver_configuration() -> None:
    host = dns.parse_resolv_conf("nameserver 1.1.1.1\nsearch lan. corp\noptions ndots:1\n")
    got = dns.pod_dns(pod(), host, ["10.96.0.10"], "cluster.local")
    assert got == (
        ["10.96.0.10"],
        ["t.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan", "corp"],
        ["ndots:5"],
    )
    assert dns.policy(pod(), []) == ("host", True)


def test_hosts_file() -> None:
    text = hosts.hosts_file(["10.0.0.1"], "p", "", [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}], None)
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert text.endswith("10.0.0.1\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")


def test_only_the_newest_dead_container_is_kept() -> None:
    dead = [container("c", rs.EXITED, 1) for _ in range(3)]
    assert gc.superfluous(status(*dead)) == dead[1:]


def test_status_patches_hold_only_what_changed() -> None:
    base = {"phase": "Pending", "podIPs": [{"ip": "1"}], "reason": "x"}
    wanted = {"phase": "Running", "podIPs": [{"ip": "2"}]}
    assert difference(base, wanted) == {
        "phase": "Running",
        "podIPs": [{"ip": "2"}, {"$patch": "delete", "ip": "1"}],
        "reason": None,
    }
    assert difference(wanted, wanted) == {}


def test_conditions_lose_their_reason_explicitly() -> None:
    base = {"conditions": [{"type": "Ready", "status": "False", "reason": "x"}, {"type": "Other", "status": "True"}]}
    wanted = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "True"}]}
    assert difference(base, wanted) == {"conditions": [{"type": "Ready", "status": "True", "reason": None}]}


@pytest.mark.parametrize(
    ("name", "spec", "unsafe", "expected"),
    [
        ("kernel.shm_rmid_forced", {}, [], None),
        ("net/ipv4/tcp_rmem", {}, [], None),
        ("kernel.msgmax", {}, [], 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        ("kernel.msgmax", {}, ["kernel.msg*"], None),
        ("kernel.msgmax", {}, ["kernel.shm*"], 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        ("net.ipv4.tcp_syncookies", {"hostNetwork": True}, [],
         'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled'),
        ("kernel.shm_rmid_forced", {"hostIPC": True}, [],
         'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled'),
    ],
)  # fmt: skip
def test_sysctls(name: str, spec: dict[str, Any], unsafe: list[str], expected: str | None) -> None:
    one = pod()
    one["spec"] |= {"securityContext": {"sysctls": [{"name": name, "value": "1"}]}, **spec}
    rejection = admission.refused_sysctls(one, unsafe)
    assert (rejection.message if rejection else None) == expected
    assert rejection is None or rejection.reason == "SysctlForbidden"


def test_pods_for_another_os_or_stricter_groups_are_refused() -> None:
    other, strict = pod(), pod()
    other["spec"]["os"] = {"name": "windows"}
    assert admission.predicates(other, [], None, {}) == admission.Rejection(
        "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"
    )
    strict["spec"] |= {"securityContext": {"supplementalGroupsPolicy": "Strict"}, "priority": 2_000_000_000}
    node: dict[str, Any] = {"metadata": {"name": "n"}, "status": {"features": {"supplementalGroupsPolicy": False}}}
    assert admission.predicates(strict, [], node, {}) == admission.Rejection(
        "SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"
    )
    node["status"]["features"]["supplementalGroupsPolicy"] = True
    assert admission.predicates(strict, [], node, {}) is None
