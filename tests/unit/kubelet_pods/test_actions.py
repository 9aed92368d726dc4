"""The pure decision: what must happen to a pod."""

from typing import Any

from cka_kubelet.kubelet.pods import actions, objects
from cka_kubelet.kubelet.pods import runtime_status as rs


def pod(
    policy: str = "Always", init: list[dict[str, Any]] | None = None, names: tuple[str, ...] = ("c",)
) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "t", "uid": "u"},
        "spec": {
            "restartPolicy": policy,
            "initContainers": init or [],
            "containers": [{"name": n, "image": "i:1"} for n in names],
        },
    }


def container(name: str, state: str = rs.RUNNING, code: int = 0, sandbox: str = "s0") -> rs.ContainerStatus:
    return rs.ContainerStatus(
        id=f"id-{name}",
        name=name,
        state=state,
        exit_code=code,
        sandbox_id=sandbox,
        hash=objects.container_hash({"name": name, "image": "i:1"}),
        attempt=0,
        finished_at=0,
    )


def status(*containers: rs.ContainerStatus, ready: bool = True, sandbox: bool = True) -> rs.PodStatus:
    result = rs.PodStatus("u", "p", "t")
    if sandbox:
        result.sandboxes = [rs.Sandbox("s0", ready, 0, 1, ["10.0.0.1"], 0)]
        result.ips = ["10.0.0.1"]
    result.containers = list(containers)
    return result


def plan(
    spec: dict[str, Any], runtime: rs.PodStatus, failed: dict[str, str] | None = None, started: bool = True
) -> actions.PodActions:
    return actions.compute(spec, runtime, (failed or {}).get, lambda _id: started)


def test_a_new_pod_gets_a_sandbox_and_all_containers() -> None:
    got = plan(pod(names=("a", "b")), status(sandbox=False))
    assert (got.create_sandbox, got.attempt, got.start) == (True, 0, ["a", "b"])


def test_a_new_pod_with_init_containers_starts_only_the_first() -> None:
    got = plan(pod(init=[{"name": "i", "image": "i:1"}, {"name": "j", "image": "i:1"}]), status(sandbox=False))
    assert (got.start_init, got.start) == (["i"], [])


def test_a_healthy_pod_needs_nothing() -> None:
    got = plan(pod(), status(container("c")))
    assert not (got.kill_pod or got.create_sandbox or got.kills or got.start or got.start_init)


def test_a_dead_sandbox_is_replaced_with_the_next_attempt() -> None:
    got = plan(pod(), status(container("c", rs.EXITED), ready=False))
    assert (got.kill_pod, got.create_sandbox, got.attempt, got.start) == (True, True, 1, ["c"])


def test_never_restarted_pods_get_no_second_sandbox() -> None:
    got = plan(pod("Never"), status(container("c", rs.EXITED), ready=False))
    assert (got.kill_pod, got.create_sandbox) == (True, False)


def test_a_crashed_container_is_started_again_unless_the_policy_forbids() -> None:
    assert plan(pod("Always"), status(container("c", rs.EXITED, 0))).start == ["c"]
    assert plan(pod("OnFailure"), status(container("c", rs.EXITED, 3))).start == ["c"]
    assert plan(pod("OnFailure"), status(container("c", rs.EXITED, 0))).kill_pod
    assert plan(pod("Never"), status(container("c", rs.EXITED, 3))).kill_pod


def test_failing_probes_kill_and_restart() -> None:
    got = plan(pod(), status(container("c")), {"id-c": "liveness"})
    assert [k.message for k in got.kills] == ["Container c failed liveness probe, will be restarted"]
    assert got.start == ["c"]


def test_a_changed_image_replaces_the_container() -> None:
    changed = pod()
    changed["spec"]["containers"][0]["image"] = "other"
    got = plan(changed, status(container("c")))
    assert got.kills[0].message == "Container c definition changed, will be restarted"


def test_main_containers_wait_for_init_containers() -> None:
    spec = pod(init=[{"name": "i", "image": "i:1"}])
    assert plan(spec, status(container("i"))).start == []
    assert plan(spec, status(container("i", rs.EXITED, 0))).start == ["c"]
    assert plan(spec, status(container("i", rs.EXITED, 1))).start_init == ["i"]


def test_a_failed_init_container_ends_a_never_restarted_pod() -> None:
    assert plan(pod("Never", [{"name": "i", "image": "i:1"}]), status(container("i", rs.EXITED, 1))).kill_pod


def test_init_containers_of_an_older_sandbox_do_not_count() -> None:
    spec = pod(init=[{"name": "i", "image": "i:1"}])
    assert plan(spec, status(container("i", rs.EXITED, 0, sandbox="old"))).start_init == ["i"]


def test_a_sidecar_must_have_started_before_the_rest() -> None:
    spec = pod(init=[{"name": "s", "image": "i:1", "restartPolicy": "Always"}])
    assert plan(spec, status(container("s")), started=False).start == []
    assert plan(spec, status(container("s")), started=True).start == ["c"]


def test_a_dead_sidecar_is_restarted_beside_running_containers() -> None:
    spec = pod(init=[{"name": "s", "image": "i:1", "restartPolicy": "Always"}])
    got = plan(spec, status(container("s", rs.EXITED, 1), container("c")))
    assert (got.start_init, got.start, got.kill_pod) == (["s"], [], False)


def test_an_ephemeral_container_starts_once_in_the_sandbox_that_is_there() -> None:
    spec = pod()
    spec["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "i:1"}]
    assert plan(spec, status(container("c"))).start_ephemeral == ["debug"]
    assert not plan(spec, status(container("c"), container("debug", rs.EXITED))), "it is never restarted"
    assert objects.field_path(spec, {"name": "debug"}) == "spec.ephemeralContainers{debug}"
    assert plan(spec, status(sandbox=False)).start_ephemeral == []
