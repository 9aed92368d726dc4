"""Resizing in place: what is granted, what must be done, what the API server is told."""

from typing import Any

from cka_kubelet.kubelet.pods import actions, objects, resize
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.status_manager import difference

_NODE = {"cpu": 2000, "memory": 4 << 30, "pods": 110}


def amounts(cpu: str, memory: str = "64Mi") -> dict[str, Any]:
    return {"limits": {"cpu": cpu, "memory": memory}, "requests": {"cpu": cpu, "memory": memory}}


def sized(spec: dict[str, Any], had: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """A pod that wants `spec` and whose container runs with `had`."""
    made: dict[str, Any] = {
        "metadata": {"name": "p", "namespace": "t", "uid": "u", "generation": 2},
        "spec": {"containers": [{"name": "c", "image": "i:1", "resources": spec, **container}]},
    }
    if had is not None:
        made["status"] = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "resources": had}]}
    return made


def running(figures: resize.Figures | None, pod: dict[str, Any]) -> rs.PodStatus:
    status = rs.PodStatus("u", "p", "t")
    status.sandboxes = [rs.Sandbox("s", ready=True, attempt=0, created_at=1, ips=["10.0.0.1"], network=0)]
    container = pod["spec"]["containers"][0]
    status.containers = [
        rs.ContainerStatus(
            id="1", name="c", sandbox_id="s", state=rs.RUNNING, figures=figures, hash=objects.container_hash(container)
        )
    ]
    return status


def test_what_fits_is_granted_and_the_rest_waits_with_what_it_had() -> None:
    fits = sized(amounts("1"), amounts("500m"))
    assert resize.grant(fits, [], _NODE) == (fits, None)
    never = resize.grant(sized(amounts("3"), amounts("500m")), [], _NODE)
    assert never.pending == (
        "Infeasible",
        "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000",
    )
    assert never.pod["spec"]["containers"][0]["resources"] == amounts("500m")
    later = resize.grant(fits, [sized(amounts("1500m"))], _NODE)
    assert later.pending == (
        "Deferred",
        "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
    )
    assert later.pod["spec"]["containers"][0]["resources"] == amounts("500m")


def test_shrinking_always_fits_and_a_new_pod_has_nothing_to_keep() -> None:
    crowded = [sized(amounts("1900m"))]
    assert resize.grant(sized(amounts("100m"), amounts("500m")), crowded, _NODE).pending is None
    assert resize.grant(sized(amounts("3")), crowded, _NODE).pending is None


def test_the_policy_decides_between_update_and_restart() -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    pod = sized(amounts("1", "128Mi"), resizePolicy=policy)
    only_cpu, memory_too = running((512, 50000, 128 << 20), pod), running((512, 50000, 64 << 20), pod)
    assert [c["name"] for c, _ in resize.pending_updates(pod, only_cpu)] == ["c"]
    assert resize.pending_updates(pod, memory_too) == []
    plan = actions.compute(pod, memory_too, lambda _i: None, lambda _i: True)
    assert [(k.message, k.reason) for k in plan.kills] == [("Container c resize requires restart", "Resize")]
    assert plan.start == ["c"]
    assert not actions.compute(pod, only_cpu, lambda _i: None, lambda _i: True)


def test_a_runtime_that_does_not_tell_and_one_that_is_done_leave_nothing_to_do() -> None:
    pod = sized(amounts("1"))
    for figures in (None, (1024, 100000, 64 << 20)):
        assert not resize.unfinished(pod, running(figures, pod))
    assert resize.unfinished(pod, running((2, 0, 0), pod))


def test_a_condition_that_no_longer_holds_is_deleted() -> None:
    ready = {"type": "Ready", "status": "True"}
    change = difference({"conditions": [ready, {"type": resize.PENDING, "status": "True"}]}, {"conditions": [ready]})
    assert change == {"conditions": [{"$patch": "delete", "type": resize.PENDING}]}


def test_the_events_name_every_container() -> None:
    expected = (
        'Pod resize completed: {"containers":[{"name":"c","resources":{"limits":{"cpu":"1","memory":"64Mi"},'
        '"requests":{"cpu":"1","memory":"64Mi"}}}],"generation":2}'
    )
    assert resize.message(sized(amounts("1")), "Pod resize completed") == expected
