"""What must happen to a pod: a pure decision, after upstream's kuberuntime computePodActions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cka_kubelet.kubelet.pods import objects, resize
from cka_kubelet.kubelet.pods.runtime_status import EXITED, RUNNING, UNKNOWN, ContainerStatus, PodStatus

_KILLED = 137
Started = Callable[[str], bool]
Verdict = Callable[[str], str | None]


@dataclass(slots=True)
class Kill:
    """A container to stop. `message` is the Killing event's text."""

    container: ContainerStatus
    message: str
    reason: str


@dataclass(slots=True)
class PodActions:
    """The plan for one sync of one pod, in the order of execution."""

    kill_pod: bool = False
    create_sandbox: bool = False
    sandbox_id: str = ""
    attempt: int = 0
    kills: list[Kill] = field(default_factory=list)
    start_ephemeral: list[str] = field(default_factory=list)
    start_init: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        starts = self.start_ephemeral or self.start_init or self.start
        return bool(self.kill_pod or self.create_sandbox or self.kills or starts)


def should_restart(pod: objects.Pod, status: ContainerStatus | None) -> bool:
    """Whether the restart policy wants a container with this newest status to run (again)."""
    if objects.deleted(pod):
        return False
    if status is None or status.state == UNKNOWN:
        return True
    if status.state != EXITED:
        return status.state != RUNNING
    return objects.restarts(pod, objects.find_container(pod, status.name), status.exit_code)


def sandbox_changed(pod: objects.Pod, status: PodStatus) -> tuple[bool, int, str]:
    """(a new sandbox is needed, its attempt, the id of the present one)."""
    if not status.sandboxes:
        return True, 0, ""
    newest = status.sandboxes[0]
    ready = [s for s in status.sandboxes if s.ready]
    if len(ready) > 1 or not newest.ready:
        return True, newest.attempt + 1, newest.id
    if newest.network != (2 if objects.host_network(pod) else 0):
        return True, newest.attempt + 1, ""
    if not objects.host_network(pod) and not newest.ips:
        return True, newest.attempt + 1, newest.id
    return False, newest.attempt, newest.id


def compute(pod: objects.Pod, status: PodStatus, failed_probe: Verdict, started: Started) -> PodActions:
    """Decide. `failed_probe(id)` names the probe ("liveness", "startup") that condemned a container, or None;
    `started(id)` tells whether its startup probe has passed."""
    changed, attempt, sandbox_id = sandbox_changed(pod, status)
    actions = PodActions(kill_pod=changed, create_sandbox=changed, sandbox_id=sandbox_id, attempt=attempt)
    if changed:
        _plan_new_sandbox(pod, status, actions)
        return actions
    actions.start_ephemeral = [c["name"] for c in objects.ephemeral_containers(pod) if not status.find(c["name"])]
    initialized = _plan_init(pod, status, actions, failed_probe, started)
    if actions.kill_pod or not initialized:
        return actions
    kept = _plan_main(pod, status, actions, failed_probe)
    if not kept and not actions.start:
        actions.kill_pod = True
        actions.start_init.clear()
    return actions


def _plan_new_sandbox(pod: objects.Pod, status: PodStatus, actions: PodActions) -> None:
    if objects.restart_policy(pod) == "Never" and actions.attempt != 0 and status.containers:
        actions.create_sandbox = False
        return
    wanted = [c["name"] for c in objects.containers(pod) if not _succeeded(pod, status, c["name"])]
    if not wanted:
        actions.create_sandbox = False
        return
    init = objects.init_containers(pod)
    if init:
        actions.start_init.append(init[0]["name"])
    else:
        actions.start.extend(wanted)


def _succeeded(pod: objects.Pod, status: PodStatus, container_name: str) -> bool:
    found = status.find(container_name)
    if found is None or objects.restart_policy(pod) == "Always":
        return False
    return found.state == EXITED and found.exit_code == 0


def _plan_init(
    pod: objects.Pod, status: PodStatus, actions: PodActions, failed_probe: Verdict, started: Started
) -> bool:
    """Plan init containers and sidecars; True when the main containers may be considered."""
    sandbox = actions.sandbox_id
    begun = any(status.find(c["name"], sandbox) for c in objects.containers(pod))
    for container in objects.init_containers(pod):
        found = status.find(container["name"], sandbox)
        if objects.is_sidecar(container):
            if not _plan_sidecar(container, found, actions, failed_probe, started) and not begun:
                return False
            continue
        if begun:
            continue
        if found is None:
            actions.start_init.append(container["name"])
            return False
        if found.state == EXITED and found.exit_code == 0:
            continue
        if found.state == EXITED and not objects.restarts(pod, container, found.exit_code):
            actions.kill_pod = True
            return False
        if found.state != RUNNING:
            if found.state == UNKNOWN:
                actions.kills.append(Kill(found, "Init container is in unknown state, try killing it", "Unknown"))
            actions.start_init.append(container["name"])
        return False
    return True


def _plan_sidecar(
    container: objects.Container,
    found: ContainerStatus | None,
    actions: PodActions,
    failed_probe: Verdict,
    started: Started,
) -> bool:
    """Plan one sidecar; True when the next container may start."""
    if found is None or found.state != RUNNING:
        actions.start_init.append(container["name"])
        return False
    probe = failed_probe(found.id)
    if probe:
        text = f"Container {container['name']} failed {probe} probe, will be restarted"
        actions.kills.append(Kill(found, text, probe))
        actions.start_init.append(container["name"])
        return False
    return started(found.id)


def _plan_main(pod: objects.Pod, status: PodStatus, actions: PodActions, failed_probe: Verdict) -> int:
    """Plan the main containers; how many stay as they are."""
    kept = 0
    for container in objects.containers(pod):
        found = status.find(container["name"])
        if found is None or found.state != RUNNING:
            if should_restart(pod, found):
                actions.start.append(container["name"])
                if found is not None and found.state == UNKNOWN:
                    text = "Container is in unknown state, try killing it before restart"
                    actions.kills.append(Kill(found, text, "Unknown"))
            continue
        restart = objects.restarts(pod, container, _KILLED)
        probe = failed_probe(found.id)
        if found.hash != objects.container_hash(container):
            message, restart = f"Container {container['name']} definition changed", True
        elif probe:
            message = f"Container {container['name']} failed {probe} probe"
        elif restart and resize.needs_restart(container, found):
            actions.start.append(container["name"])
            actions.kills.append(Kill(found, f"Container {container['name']} resize requires restart", "Resize"))
            continue
        else:
            kept += 1
            continue
        if restart:
            message += ", will be restarted"
            actions.start.append(container["name"])
        actions.kills.append(Kill(found, message, probe or "ContainerChanged"))
    return kept
