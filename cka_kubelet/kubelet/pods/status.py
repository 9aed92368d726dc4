"""A pod's API status from what the runtime says. Pure; after pkg/kubelet/kubelet_pods.go and status/generate.go."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cka_kubelet.kubelet.pods import objects, resize
from cka_kubelet.kubelet.pods import runtime_status as rs
from cka_kubelet.kubelet.pods.actions import should_restart

Status = dict[str, Any]
_SHARED = ("DisruptionTarget",)
"""Conditions that others write too, and that ours outlives their silence."""


@dataclass(slots=True)
class View:
    """What the status depends on besides the runtime.

    `ready(id)`, `started(id)` answer for probes by container id; `failure(name)` is (reason, message) of the last
    failed start; `terminal` makes the pod final; `resize` is (type, reason, message) of conditions that hold;
    `foreign` are the API's conditions, of which those that the kubelet does not write stay as they are.
    """

    now: float
    host_ips: list[str]
    old: Status
    ready: Callable[[str], bool | None]
    started: Callable[[str], bool | None]
    failure: Callable[[str], tuple[str, str] | None]
    terminal: bool = False
    resize: Sequence[tuple[str, str, str]] = ()
    foreign: Sequence[Status] = ()


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds, as metav1.Time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def generate(pod: objects.Pod, runtime: rs.PodStatus, view: View) -> Status:
    """The whole status. Conditions keep their transition times from `view.old`."""
    init = [_container(pod, c, runtime, view, init=True) for c in objects.init_containers(pod)]
    main = [_container(pod, c, runtime, view, init=False) for c in objects.containers(pod)]
    ephemeral = [_ephemeral(pod, c, runtime, view) for c in objects.ephemeral_containers(pod)]
    phase = pod_phase(pod, init, main, view.terminal)
    status: Status = {}
    generation = pod["metadata"].get("generation")
    if generation:
        status["observedGeneration"] = generation
    status["phase"] = phase
    status["conditions"] = _conditions(pod, runtime, init, main, phase, view)
    if view.host_ips:
        status["hostIP"] = view.host_ips[0]
        status["hostIPs"] = [{"ip": ip} for ip in view.host_ips]
    ips = view.host_ips if objects.host_network(pod) and view.host_ips else runtime.ips
    if not ips:
        ips = [entry["ip"] for entry in view.old.get("podIPs") or []]
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": ip} for ip in ips]
    status["startTime"] = view.old.get("startTime") or timestamp(view.now)
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = main
    if ephemeral:
        status["ephemeralContainerStatuses"] = ephemeral
    status["qosClass"] = objects.qos_class(pod)
    return status


def _container(pod: objects.Pod, container: objects.Container, runtime: rs.PodStatus, view: View, init: bool) -> Status:
    name = container["name"]
    known = [c for c in runtime.containers if c.name == name]
    old = _old(view.old, name)
    result: Status = {
        "name": name,
        "state": {"waiting": {"reason": "PodInitializing" if _gated(pod, container, init) else "ContainerCreating"}},
        "lastState": {},
        "ready": False,
        "restartCount": int(old.get("restartCount") or 0),
        "image": container.get("image") or "",
        "imageID": "",
        "started": False,
    }
    if known:
        _from_runtime(result, known)
    elif old:
        _from_old(result, pod, old, view)
    _waiting(result, pod, container, known, view, init)
    _readiness(result, container, known, view, init)
    resources = container.get("resources")
    if known and known[0].state == rs.RUNNING:
        if resize.differs(container, known[0]):  # it has still what it had
            result["resources"] = old.get("resources") or {}
        else:
            result["resources"] = resources or {}
        if resources and resources.get("requests"):
            result["allocatedResources"] = resources["requests"]
        if known[0].user is not None:
            result["user"] = known[0].user
    mounts = [_mount(m) for m in container.get("volumeMounts") or []]
    if mounts:
        result["volumeMounts"] = mounts
    return result


def _ephemeral(pod: objects.Pod, container: objects.Container, runtime: rs.PodStatus, view: View) -> Status:
    """Like any other's, but it is never ready and nothing waits for it."""
    result = _container(pod, container, runtime, view, init=False)
    result["ready"] = False
    result.pop("started")
    return result


def _gated(pod: objects.Pod, _container: objects.Container, init: bool) -> bool:
    return bool(objects.init_containers(pod)) or init


def _old(status: Status, name: str) -> Status:
    kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return next((c for kind in kinds for c in status.get(kind) or [] if c["name"] == name), {})


def _mount(mount: dict[str, Any]) -> Status:
    result = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        result["readOnly"] = True
        result["recursiveReadOnly"] = "Disabled"
    return result


def _from_runtime(result: Status, known: list[rs.ContainerStatus]) -> None:
    newest = known[0]
    result["state"] = container_state(newest)
    if len(known) > 1 and known[1].state == rs.EXITED:
        result["lastState"] = container_state(known[1])
    result["restartCount"] = newest.attempt
    result["image"] = newest.image or result["image"]
    result["imageID"] = newest.image_id
    result["containerID"] = f"containerd://{newest.id}"


def _from_old(result: Status, pod: objects.Pod, old: Status, view: View) -> None:
    """The runtime no longer knows a container that the API does: its record was removed."""
    state = old.get("state") or {}
    if state.get("terminated"):
        result.update(state=state, lastState=old.get("lastState") or {}, imageID=old.get("imageID") or "")
        if old.get("containerID"):
            result["containerID"] = old["containerID"]
    elif state.get("running"):
        lost = {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
            "startedAt": None,
            "finishedAt": None,
        }
        if view.terminal or objects.deleted(pod):
            result["state"] = {"terminated": lost}
        else:
            lost["message"] = (
                "The container could not be located when the pod was deleted.  The container used to be Running"
            )
            result["lastState"] = {"terminated": lost}
            result["restartCount"] += 1
    else:
        result["lastState"] = old.get("lastState") or {}


def container_state(status: rs.ContainerStatus) -> Status:
    """CRI's state as the API's."""
    if status.state == rs.RUNNING:
        return {"running": {"startedAt": timestamp(status.started_at / 1e9)}}
    if status.state == rs.EXITED:
        terminated: Status = {
            "exitCode": status.exit_code,
            "reason": status.reason or ("Completed" if status.exit_code == 0 else "Error"),
            "startedAt": timestamp(max(status.started_at, 0) / 1e9),
            "finishedAt": timestamp(max(status.finished_at, 0) / 1e9),
            "containerID": f"containerd://{status.id}",
        }
        if status.message:
            terminated["message"] = status.message
        return {"terminated": terminated}
    return {"waiting": {}}


def _waiting(
    result: Status,
    pod: objects.Pod,
    container: objects.Container,
    known: list[rs.ContainerStatus],
    view: View,
    init: bool,
) -> None:
    """Say why a container that should run does not."""
    if view.terminal and "waiting" in result["state"] and not known:
        return
    newest = known[0] if known else None
    if newest is not None and newest.state == rs.RUNNING:
        return
    if init and not objects.is_sidecar(container):
        if (
            newest is not None
            and newest.state == rs.EXITED
            and (newest.exit_code == 0 or not objects.restarts(pod, container, newest.exit_code))
        ):
            result["ready"] = newest.exit_code == 0
            return
    elif newest is not None and (not should_restart(pod, newest) or container in objects.ephemeral_containers(pod)):
        return
    failure = view.failure(container["name"])
    if failure is None or view.terminal:
        return
    if result["state"].get("terminated"):
        result["lastState"] = result["state"]
    reason, message = failure
    result["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _readiness(
    result: Status, container: objects.Container, known: list[rs.ContainerStatus], view: View, init: bool
) -> None:
    running = "running" in result["state"]
    if init and not objects.is_sidecar(container):
        terminated = result["state"].get("terminated")
        result["ready"] = bool(terminated and terminated["exitCode"] == 0)
        result["started"] = running
        return
    if not running:
        return
    passed = view.started(known[0].id) if container.get("startupProbe") else None
    result["started"] = True if passed is None else passed
    if not result["started"]:
        return
    ready = view.ready(known[0].id) if container.get("readinessProbe") else None
    result["ready"] = True if ready is None else ready


def pod_phase(pod: objects.Pod, init: list[Status], main: list[Status], terminal: bool) -> str:
    """Pending, Running, Succeeded or Failed (kubelet_pods.go getPhase)."""
    sidecars = {c["name"] for c in objects.init_containers(pod) if objects.is_sidecar(c)}
    waiting_init = failed_init = running = waiting = stopped = succeeded = 0
    for status in init:
        terminated = status["state"].get("terminated")
        if status["name"] in sidecars:
            waiting_init += not (status.get("started") or terminated or status["lastState"])
            running += "running" in status["state"]
            waiting += "waiting" in status["state"] and not status["lastState"].get("terminated")
        elif not terminated:
            last = status["lastState"].get("terminated")
            waiting_init += not (last and last["exitCode"] == 0)
        elif terminated["exitCode"] != 0:
            failed_init += 1
            if not objects.restarts(pod, objects.find_container(pod, status["name"]), terminated["exitCode"]):
                return "Failed"
    for status in main:
        state = status["state"]
        done = state.get("terminated") or (status["lastState"].get("terminated") if "waiting" in state else None)
        running += "running" in state
        waiting += "waiting" in state and not done
        stopped += bool(done)
        succeeded += bool(state.get("terminated")) and state["terminated"]["exitCode"] == 0
    initialized = any("waiting" not in status["state"] or status["lastState"].get("terminated") for status in main)
    if (waiting_init or failed_init) and not terminal and not initialized:
        return "Pending"
    if terminal and not running:
        return "Succeeded" if main and succeeded == len(main) else "Failed"
    if waiting:
        return "Pending"
    if running or any(_restarts(pod, status) for status in main):
        return "Running"
    return "Succeeded" if stopped == succeeded else "Failed"


def _restarts(pod: objects.Pod, status: Status) -> bool:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated")
    return bool(ended) and objects.restarts(pod, objects.find_container(pod, status["name"]), ended["exitCode"])


def _conditions(
    pod: objects.Pod, runtime: rs.PodStatus, init: list[Status], main: list[Status], phase: str, view: View
) -> list[Status]:
    sandbox = bool(runtime.sandboxes) and runtime.sandboxes[0].ready
    networked = sandbox and (objects.host_network(pod) or bool(runtime.ips))
    ready = _containers_ready(pod, init, main, phase)
    foreign = {c["type"]: c for c in view.foreign}
    gated = _gates(pod, foreign) if ready[0] else None
    wanted: list[tuple[str, bool, str, str]] = [
        ("PodReadyToStartContainers", networked, "", ""),
        ("Initialized", *_initialized(pod, init, main, phase)),
        ("Ready", *(gated or ready)),
        ("ContainersReady", *ready),
        ("PodScheduled", True, "", ""),
    ]
    generation = pod["metadata"].get("generation")
    old = {c["type"]: c for c in view.old.get("conditions") or []}
    result = [
        _condition(kind, ok, reason, text, old.get(kind), generation, view.now) for kind, ok, reason, text in wanted
    ]
    for name, why, message in view.resize:
        result.append(_condition(name, True, why, message, old.get(name), generation, view.now))
    ours = {*(w[0] for w in wanted), *resize.CONDITIONS}
    foreign = ({name: old[name] for name in _SHARED if name in old}) | foreign
    return result + [c for name, c in foreign.items() if name not in ours]


def _condition(
    kind: str, ok: bool, reason: str, message: str, old: Status | None, generation: int | None, now: float
) -> Status:
    status = "True" if ok else "False"
    unchanged = old is not None and old.get("status") == status
    result: Status = {"type": kind}
    if generation:
        result["observedGeneration"] = generation
    result["status"] = status
    result["lastProbeTime"] = None
    result["lastTransitionTime"] = old["lastTransitionTime"] if old and unchanged else timestamp(now)
    if reason:
        result["reason"] = reason
    if message:
        result["message"] = message
    return result


def _initialized(pod: objects.Pod, init: list[Status], main: list[Status], phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    sidecars = {c["name"] for c in objects.init_containers(pod) if objects.is_sidecar(c)}
    if any("running" in c["state"] or c.get("containerID") for c in main):
        return True, "", ""
    missing = [c["name"] for c in init if not (c.get("started") if c["name"] in sidecars else c["ready"])]
    if missing:
        return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]"
    return True, "", ""


def _containers_ready(pod: objects.Pod, init: list[Status], main: list[Status], phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    sidecars = {c["name"] for c in objects.init_containers(pod) if objects.is_sidecar(c)}
    unready = [c["name"] for c in init if c["name"] in sidecars and not c["ready"]]
    unready += [c["name"] for c in main if not c["ready"]]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _gates(pod: objects.Pod, held: dict[str, Status]) -> tuple[bool, str, str] | None:
    """What spec.readinessGates still wait for."""
    messages = []
    for gate in pod["spec"].get("readinessGates") or []:
        kind = gate["conditionType"]
        if kind not in held:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif held[kind].get("status") != "True":
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {held[kind].get("status")}')
    return (False, "ReadinessGatesNotReady", ", ".join(messages)) if messages else None


def disrupted(status: Status, message: str, old: Status, now: float) -> None:
    """Say in `status` that the kubelet itself ended the pod: an eviction, the node's shutdown."""
    before = next((item for item in old.get("conditions") or [] if item.get("type") == "DisruptionTarget"), None)
    condition = before or {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": message,
        "lastTransitionTime": timestamp(now),
    }
    others = [item for item in status.get("conditions") or [] if item.get("type") != "DisruptionTarget"]
    status["conditions"] = [condition, *others]


def rejected(pod: objects.Pod, reason: str, message: str, now: float) -> Status:
    """The status of a pod that this node does not admit."""
    status: Status = {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}"}
    generation = pod["metadata"].get("generation")
    if generation:
        status["observedGeneration"] = generation
    status["startTime"] = (pod.get("status") or {}).get("startTime") or timestamp(now)
    status["qosClass"] = objects.qos_class(pod)
    return status
