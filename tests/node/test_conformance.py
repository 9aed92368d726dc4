"""What Kubernetes' own node conformance suite asks of a kubelet, on a real node: many pods at once, one wait each."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cka_kubelet.providers.container import ContainerCluster, ContainerProvider

IMAGE = "docker.io/library/busybox:1.36"
SHARED = {"name": "shared", "mountPath": "/shared"}
LOG = "/var/tmp/turns/log"
NODE = "node01"
"""Where the pods run."""


def container(name: str, script: str, **fields: Any) -> dict[str, Any]:
    """A busybox container that runs a script."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def sidecar(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return container(name, script, restartPolicy="Always", volumeMounts=[SHARED], **fields)


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod on the node, with an emptyDir for whoever mounts it."""
    spec = {"nodeName": NODE, "restartPolicy": "Never", "terminationGracePeriodSeconds": 20, **spec}
    spec = {"volumes": [{"name": "shared", "emptyDir": {}}], **spec, "containers": list(containers)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def traps(name: str) -> str:
    """Run until SIGTERM, and write that it came."""
    return f"trap 'echo {name} >> /shared/log; exit 0' TERM; touch /shared/{name}; while :; do sleep 0.1; done"


def ended(name: str) -> dict[str, Any]:
    return {"exec": {"command": ["sh", "-c", f"echo {name}-hook >> /shared/log"]}}


LIMITS = [
    {"path": name, "resourceFieldRef": {"containerName": "c", "resource": f"limits.{name}"}}
    for name in ("cpu", "memory")
]
ALL_UP = "until [ -e /shared/one ] && [ -e /shared/two ]; do sleep 0.1; done"
ONCE_MORE = "[ -e /shared/once ] && exit 0; touch /shared/once; exit 42"
RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
PODS = (
    pod(
        "order", container("main", "echo main >> /shared/log; cat /shared/log", volumeMounts=[SHARED]),
        initContainers=[
            container("first", "echo first >> /shared/log", volumeMounts=[SHARED]),
            sidecar("beside", "echo beside >> /shared/log; trap 'exit 0' TERM; while :; do sleep 0.1; done"),
            container("second", "until grep -q beside /shared/log; do sleep 0.1; done; echo second >> /shared/log",
                      volumeMounts=[SHARED]),
        ],
    ),
    pod(
        "turns",
        container("main", f"{ALL_UP}; {traps('main')}", volumeMounts=[SHARED], lifecycle={"preStop": ended("main")}),
        volumes=[{"name": "shared", "hostPath": {"path": LOG.rsplit("/", 1)[0], "type": "DirectoryOrCreate"}}],
        initContainers=[sidecar(n, traps(n), lifecycle={"preStop": ended(n)}) for n in ("one", "two")],
    ),
    pod("rules", container("c", ONCE_MORE, restartPolicy="Never", restartPolicyRules=RULES, volumeMounts=[SHARED])),
    pod("fqdn", container("c", "hostname; tail -n 1 /etc/hosts"), hostname="h", subdomain="s", setHostnameAsFQDN=True),
    pod("toolong", container("c", "hostname"), hostname="h" * 60, subdomain="s", setHostnameAsFQDN=True),
    pod("override", container("c", "hostname"), hostname="h", subdomain="s", hostnameOverride="a.b.example"),
    pod("message", container("c", "printf DONE; exit 3", terminationMessagePolicy="FallbackToLogsOnError")),
    pod("figures", container("c", "cat /figures/cpu /figures/memory",
                             volumeMounts=[{"name": "figures", "mountPath": "/figures"}]),
        volumes=[{"name": "figures", "downwardAPI": {"items": LIMITS}}]),
    pod("hooked", container("c", "sleep 600", lifecycle={
        "postStart": {"exec": {"command": ["true"]}}, "preStop": {"sleep": {"seconds": 2}}})),
    pod("leaving", container("c", "sleep 600", readinessProbe={
        "exec": {"command": ["test", "!", "-e", "/tmp/left"]}, "periodSeconds": 1, "failureThreshold": 1},
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "touch /tmp/left; sleep 10"]}}})),
    pod("gated", container("c", "sleep 600"), readinessGates=[{"conditionType": "example.org/gate"}]),
    pod("sysctl", container("c", "sleep 600"), securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
    pod("generation", container("c", "sleep 600"), restartPolicy="Always", terminationGracePeriodSeconds=1),
    pod("deadline", container("c", "sleep 600"), activeDeadlineSeconds=2, terminationGracePeriodSeconds=1),
    pod("nonroot", container("c", "id -u", securityContext={"runAsNonRoot": True})),
)  # fmt: skip


class Pods:
    """kubectl for these pods."""

    def __init__(self, cluster: ContainerCluster) -> None:
        self.cluster = cluster
        self._shell = cluster.shell("controlplane")

    def kubectl(self, *words: str, document: object = None) -> str:
        data = None if document is None else json.dumps(document).encode()
        return self._shell.run(["kubectl", *words], input=data).text

    def wait(self, name: str, path: str, value: str) -> None:
        self.kubectl("wait", f"pod/{name}", f"--for=jsonpath={{{path}}}={value}", "--timeout=60s")

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "pod", name, "-o", "json"))
        return found

    def logs(self, name: str, *words: str) -> list[str]:
        return self.kubectl("logs", name, *words).splitlines()


@pytest.fixture(scope="module")
def pods(provider: ContainerProvider) -> Iterator[Pods]:
    """All pods, applied at once to one pair of nodes."""
    cluster = provider.acquire(lambda _phase, _detail: None)
    found = Pods(cluster)
    found.kubectl("apply", "-f", "-", document={"apiVersion": "v1", "kind": "List", "items": list(PODS)})
    yield found
    cluster.destroy()


def test_init_containers_and_sidecars_start_in_order_and_the_pod_succeeds(pods: Pods) -> None:
    pods.wait("order", ".status.phase", "Succeeded")
    assert pods.logs("order", "-c", "main") == ["first", "beside", "second", "main"]
    statuses = {s["name"]: s for s in pods.get("order")["status"]["initContainerStatuses"]}
    assert statuses["beside"]["state"]["terminated"]["exitCode"] == 0
    assert {s["restartCount"] for s in statuses.values()} == {0}


def test_sidecars_stop_after_the_main_containers_in_reverse_order(pods: Pods) -> None:
    pods.kubectl("wait", "pod/turns", "--for=condition=Ready", "--timeout=60s")
    pods.kubectl("delete", "pod", "turns", "--timeout=60s")
    lines = pods.cluster.shell(NODE).read_file(LOG).decode().split()
    assert {"main-hook", "one-hook", "two-hook"} < set(lines)
    assert [line for line in lines if not line.endswith("-hook")] == ["main", "two", "one"]


def test_a_containers_own_rules_restart_it(pods: Pods) -> None:
    pods.wait("rules", ".status.phase", "Succeeded")
    assert pods.get("rules")["status"]["containerStatuses"][0]["restartCount"] == 1


def test_host_names(pods: Pods) -> None:
    for name in ("fqdn", "override"):
        pods.wait(name, ".status.phase", "Succeeded")
    address = pods.get("fqdn")["status"]["podIP"]
    fqdn = "h.s.default.svc.cluster.local"
    assert pods.logs("fqdn") == [fqdn, f"{address}\t{fqdn}\th"]
    assert pods.logs("override") == ["a.b.example"]
    text = pods.kubectl("get", "events", "--field-selector=involvedObject.name=toolong,reason=FailedCreatePodSandBox")
    assert "is too long (64 characters is the max, 88 characters requested)" in text
    assert pods.get("toolong")["status"]["phase"] == "Pending"


def test_the_end_of_the_log_is_the_termination_message(pods: Pods) -> None:
    pods.wait("message", ".status.phase", "Failed")
    ended = pods.get("message")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "DONE")


def test_missing_limits_show_the_nodes_allocatable(pods: Pods) -> None:
    pods.wait("figures", ".status.phase", "Succeeded")
    node = json.loads(pods.kubectl("get", "node", NODE, "-o", "json"))["status"]["allocatable"]
    memory = int(node["memory"].removesuffix("Ki")) * 1024
    assert pods.kubectl("logs", "figures") == f"{node['cpu']}{memory}"


def test_a_changed_image_is_a_new_generation_and_a_new_container(pods: Pods) -> None:
    pods.wait("generation", ".status.phase", "Running")
    first = pods.get("generation")
    assert first["status"]["observedGeneration"] == first["metadata"]["generation"]
    pods.kubectl("set", "image", "pod/generation", "c=docker.io/library/cka-web:1.0")
    pods.wait("generation", ".status.containerStatuses[0].restartCount", "1")
    second = pods.get("generation")
    assert second["status"]["observedGeneration"] == second["metadata"]["generation"]
    assert second["metadata"]["generation"] == first["metadata"]["generation"] + 1


def test_a_deadline_fails_the_pod(pods: Pods) -> None:
    pods.wait("deadline", ".status.reason", "DeadlineExceeded")
    assert pods.get("deadline")["status"]["phase"] == "Failed"


def test_a_pre_stop_sleep_delays_the_end(pods: Pods) -> None:
    pods.kubectl("wait", "pod/hooked", "--for=condition=Ready", "--timeout=60s")
    began = time.monotonic()
    pods.kubectl("delete", "pod", "hooked", "--grace-period=5", "--timeout=60s")
    assert 2 <= time.monotonic() - began < 15


def test_an_image_that_runs_as_root_is_not_started_as_non_root(pods: Pods) -> None:
    pods.wait("nonroot", ".status.containerStatuses[0].state.waiting.reason", "CreateContainerConfigError")
    waiting = pods.get("nonroot")["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["message"].startswith("container has runAsNonRoot and image will run as root (pod: ")


def test_a_pod_that_is_stopping_can_become_unready(pods: Pods) -> None:
    pods.kubectl("wait", "pod/leaving", "--for=condition=Ready", "--timeout=60s")
    pods.kubectl("delete", "pod", "leaving", "--wait=false")
    pods.kubectl("wait", "pod/leaving", "--for=condition=Ready=false", "--timeout=9s")
    assert "running" in pods.get("leaving")["status"]["containerStatuses"][0]["state"]


def test_a_readiness_gate_is_others_to_open_and_close(pods: Pods) -> None:
    pods.kubectl("wait", "pod/gated", "--for=condition=ContainersReady", "--timeout=60s")
    pods.kubectl("wait", "pod/gated", "--for=condition=Ready=false", "--timeout=10s")
    for status in ("True", "False"):
        patch = {"status": {"conditions": [{"type": "example.org/gate", "status": status}]}}
        pods.kubectl("patch", "pod", "gated", "--subresource=status", "--type=strategic", "-p", json.dumps(patch))
        pods.kubectl("wait", "pod/gated", f"--for=condition=Ready={status}", "--timeout=10s")


def test_an_unsafe_sysctl_is_refused(pods: Pods) -> None:
    pods.wait("sysctl", ".status.reason", "SysctlForbidden")
    assert pods.get("sysctl")["status"]["message"] == (
        'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'
    )
