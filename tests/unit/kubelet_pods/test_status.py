"""A pod's API status from the runtime's."""

from typing import Any

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods import status as s
from tests.unit.kubelet_pods.test_actions import container, pod, status

NOW = 1_795_230_000.0


def view(old: dict[str, Any] | None = None, failure: tuple[str, str] | None = None, terminal: bool = False) -> s.View:
    return s.View(NOW, ["10.9.9.9"], old or {}, lambda _i: None, lambda _i: None, lambda _n: failure, terminal)


def running() -> rs.ContainerStatus:
    found = container("c")
    found.started_at = int(NOW * 1e9)
    found.image, found.image_id = "i", "sha256:1"
    return found


def exited(code: int, attempt: int = 0) -> rs.ContainerStatus:
    found = container("c", rs.EXITED, code)
    found.started_at = found.finished_at = int(NOW * 1e9)
    found.attempt = attempt
    found.image_id, found.message, found.reason = "sha256:1", "", ""
    return found


def condition(got: dict[str, Any], kind: str) -> tuple[str, str | None]:
    found = next(c for c in got["conditions"] if c["type"] == kind)
    return found["status"], found.get("reason")


def test_conditions_come_in_upstreams_order_with_the_generation() -> None:
    spec = pod()
    spec["metadata"]["generation"] = 3
    got = s.generate(spec, status(running()), view())
    assert [c["type"] for c in got["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    assert all(c["observedGeneration"] == 3 and c["status"] == "True" for c in got["conditions"])
    assert (got["phase"], got["podIP"], got["hostIP"]) == ("Running", "10.0.0.1", "10.9.9.9")


def test_a_pod_without_a_sandbox_is_being_created() -> None:
    got = s.generate(pod(), status(sandbox=False), view())
    assert got["phase"] == "Pending"
    assert got["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(got, "PodReadyToStartContainers") == ("False", None)
    ready = next(c for c in got["conditions"] if c["type"] == "Ready")
    assert ready["message"] == "containers with unready status: [c]"


def test_between_a_crash_and_the_next_sync_the_terminated_state_shows() -> None:
    got = s.generate(pod(), status(exited(3)), view())
    assert got["phase"] == "Running"
    assert got["containerStatuses"][0]["state"]["terminated"]["reason"] == "Error"


def test_a_failed_start_becomes_the_waiting_reason_and_the_crash_moves_to_last_state() -> None:
    got = s.generate(pod(), status(exited(3, 2), exited(3, 1)), view(failure=("CrashLoopBackOff", "back-off 20s")))
    found = got["containerStatuses"][0]
    assert found["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
    assert found["lastState"]["terminated"]["exitCode"] == 3
    assert (found["restartCount"], got["phase"]) == (2, "Running")


def test_phases_of_pods_that_are_not_restarted() -> None:
    assert s.generate(pod("Never"), status(exited(0)), view())["phase"] == "Succeeded"
    assert s.generate(pod("Never"), status(exited(2)), view())["phase"] == "Failed"
    assert s.generate(pod("OnFailure"), status(exited(2)), view())["phase"] == "Running"
    done = s.generate(pod("OnFailure"), status(exited(0)), view())
    assert done["phase"] == "Succeeded"
    assert condition(done, "Ready") == ("False", "PodCompleted")
    assert condition(done, "Initialized") == ("True", "PodCompleted")


def test_failing_init_containers_keep_the_pod_pending() -> None:
    spec = pod(init=[{"name": "i", "image": "i:1"}])
    crashed = container("i", rs.EXITED, 1)
    crashed.started_at = crashed.finished_at = 1
    got = s.generate(spec, status(crashed), view(failure=("CrashLoopBackOff", "x")))
    assert got["phase"] == "Pending"
    assert condition(got, "Initialized") == ("False", "ContainersNotInitialized")
    assert got["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"


def test_a_running_sidecar_keeps_a_finished_pod_running_and_an_init_container_behind_it_pending() -> None:
    sidecar = {"name": "s", "image": "i:1", "restartPolicy": "Always"}
    spec = pod("Never", init=[sidecar, {"name": "i", "image": "i:1"}])
    live, done, waits, over = (
        container(n, *end) for n, *end in (("s",), ("i", rs.EXITED, 0), ("i",), ("s", rs.EXITED, 0))
    )
    for one in (live, done, waits, over):
        one.started_at = one.finished_at = 1
    assert s.generate(spec, status(exited(0), live, done), view())["phase"] == "Running"
    assert s.generate(spec, status(live, waits), view())["phase"] == "Pending"
    assert s.generate(spec, status(exited(0), over, done), view())["phase"] == "Succeeded"


def test_a_containers_own_rules_decide_whether_it_runs_again() -> None:
    spec = pod("Never")
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    spec["spec"]["containers"][0] |= {"restartPolicy": "Never", "restartPolicyRules": [rule]}
    assert s.generate(spec, status(exited(42)), view())["phase"] == "Running"
    assert s.generate(spec, status(exited(1)), view())["phase"] == "Failed"
    rule["exitCodes"] = {"operator": "NotIn", "values": [42]}
    assert s.generate(spec, status(exited(1)), view())["phase"] == "Running"


def test_transition_times_stay_while_the_status_does() -> None:
    first = s.generate(pod(), status(running()), view())
    later = s.View(NOW + 60, ["10.9.9.9"], first, lambda _i: None, lambda _i: None, lambda _n: None)
    assert s.generate(pod(), status(running()), later)["conditions"] == first["conditions"]


def test_an_unready_probe_makes_the_pod_unready() -> None:
    spec = pod()
    spec["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 1}}
    unready = s.View(NOW, [], {}, lambda _i: False, lambda _i: None, lambda _n: None)
    got = s.generate(spec, status(running()), unready)
    assert (got["phase"], got["containerStatuses"][0]["ready"]) == ("Running", False)
    assert condition(got, "ContainersReady") == ("False", "ContainersNotReady")


def test_a_stopped_pod_is_final() -> None:
    assert s.generate(pod(), status(exited(137), ready=False), view(terminal=True))["phase"] == "Failed"
    assert s.generate(pod(), status(exited(0), ready=False), view(terminal=True))["phase"] == "Succeeded"


def test_a_rejected_pod_says_why() -> None:
    got = s.rejected(pod(), "OutOfcpu", "Node didn't have enough resource: cpu", NOW)
    assert got["message"] == "Pod was rejected: Node didn't have enough resource: cpu"
    assert "conditions" not in got
    assert "containerStatuses" not in got


def test_an_ephemeral_container_is_reported_and_nothing_waits_for_it() -> None:
    spec = pod()
    spec["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "i"}]
    dead = exited(1)
    dead.name = "debug"
    got = s.generate(spec, status(running(), dead), view())
    (debug,) = got["ephemeralContainerStatuses"]
    assert debug["state"]["terminated"]["exitCode"] == 1
    assert debug["ready"] is False
    assert condition(got, "Ready") == ("True", None)
    assert got["phase"] == "Running"


def test_readiness_gates_hold_until_others_say_true_and_their_word_stays() -> None:
    spec = pod()
    spec["spec"]["readinessGates"] = [{"conditionType": "example.org/gate"}]
    told = view()
    assert condition(s.generate(spec, status(running()), told), "Ready") == ("False", "ReadinessGatesNotReady")
    told.foreign = [{"type": "example.org/gate", "status": "True"}, {"type": "Ready", "status": "False"}]
    got = s.generate(spec, status(running()), told)
    assert condition(got, "Ready") == ("True", None)
    assert got["conditions"][-1] == told.foreign[0]
    told.old, told.foreign = got, [{"type": "example.org/gate", "status": "False"}]
    assert condition(s.generate(spec, status(running()), told), "Ready") == ("False", "ReadinessGatesNotReady")
    assert objects.gates({**spec, "status": {"conditions": told.foreign}}) == [("example.org/gate", "False")]
