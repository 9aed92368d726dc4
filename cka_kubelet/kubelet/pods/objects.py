"""Reading pods. A pod is the plain dict that JSON gives; nothing here changes one."""

import json
from collections.abc import Iterator
from typing import Any

Pod = dict[str, Any]
Container = dict[str, Any]

SOURCE = "kubernetes.io/config.source"
HASH = "kubernetes.io/config.hash"
SEEN = "kubernetes.io/config.seen"
MIRROR = "kubernetes.io/config.mirror"


def uid(pod: Pod) -> str:
    """metadata.uid; of a static pod the hash of its manifest."""
    return str(pod["metadata"].get("uid", ""))


def name(pod: Pod) -> str:
    return str(pod["metadata"].get("name", ""))


def namespace(pod: Pod) -> str:
    return str(pod["metadata"].get("namespace", "") or "default")


def key(pod: Pod) -> str:
    """`namespace/name`, as klog prints objects."""
    return f"{namespace(pod)}/{name(pod)}"


def full_name(pod: Pod) -> str:
    """`name_namespace`: what a static pod and its mirror have in common."""
    return f"{name(pod)}_{namespace(pod)}"


def described(pod: Pod) -> str:
    """`name_namespace(uid)`, as upstream's messages name a pod."""
    return f"{full_name(pod)}({uid(pod)})"


def annotations(pod: Pod) -> dict[str, str]:
    return pod["metadata"].get("annotations") or {}


def is_mirror(pod: Pod) -> bool:
    return MIRROR in annotations(pod)


def is_static(pod: Pod) -> bool:
    """From a file, not from the API server."""
    return annotations(pod).get(SOURCE, "api") != "api"


def deleted(pod: Pod) -> bool:
    """Somebody asked for its deletion."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def desired(pod: Pod) -> tuple[Any, ...]:
    """Everything of a pod that others decide, for comparison."""
    metadata = pod["metadata"]
    keys = ("labels", "annotations", "deletionTimestamp", "deletionGracePeriodSeconds")
    return (pod["spec"], *(metadata.get(k) for k in keys))


def conditions(pod: Pod) -> list[dict[str, Any]]:
    """The conditions that the API knows."""
    return (pod.get("status") or {}).get("conditions") or []


def gates(pod: Pod) -> list[Any]:
    """What the API says of the pod's readiness gates."""
    wanted = {gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []}
    return [(c["type"], c.get("status")) for c in conditions(pod) if c["type"] in wanted] if wanted else []


def restart_policy(pod: Pod) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def restarts(pod: Pod, container: Container | None, exit_code: int) -> bool:
    """Whether a container that ended so is to run again: by its own rules and policy (KEP-5307), else the pod's."""
    own = (container or {}).get("restartPolicy")
    if container is not None and own:
        for rule in container.get("restartPolicyRules") or []:
            codes = rule.get("exitCodes") or {}
            if (exit_code in (codes.get("values") or [])) == (codes.get("operator") == "In"):
                return True  # every action restarts the container at least
    policy = own or restart_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def init_containers(pod: Pod) -> list[Container]:
    return pod["spec"].get("initContainers") or []


def containers(pod: Pod) -> list[Container]:
    return pod["spec"].get("containers") or []


def ephemeral_containers(pod: Pod) -> list[Container]:
    """Added to a running pod for debugging; never restarted, without resources or probes."""
    return pod["spec"].get("ephemeralContainers") or []


def all_containers(pod: Pod) -> Iterator[Container]:
    """Init containers first, in the order of the spec; ephemeral ones are not among them."""
    yield from init_containers(pod)
    yield from containers(pod)


def is_sidecar(container: Container) -> bool:
    """An init container that restarts always (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def find_container(pod: Pod, container_name: str) -> Container | None:
    every = (*all_containers(pod), *ephemeral_containers(pod))
    return next((c for c in every if c["name"] == container_name), None)


def field_path(pod: Pod, container: Container) -> str:
    """Where the container stands in the spec, for events."""
    kinds = {"initContainers": init_containers(pod), "ephemeralContainers": ephemeral_containers(pod)}
    name = container["name"]
    kind = next((k for k, members in kinds.items() if any(c["name"] == name for c in members)), "containers")
    return f"spec.{kind}{{{name}}}"


def host_network(pod: Pod) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def grace_period(pod: Pod) -> int:
    """Seconds between SIGTERM and SIGKILL; a deletion's own figure comes first."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is None:
        asked = pod["spec"].get("terminationGracePeriodSeconds")
    return 30 if asked is None else int(asked)


def container_hash(container: Container) -> str:
    """Changes when a running container must be replaced: name or image (FNV-1a 32, as kubecontainer.HashContainer)."""
    value = 0x811C9DC5
    for byte in json.dumps({"image": container.get("image", ""), "name": container["name"]}).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return format(value, "x")


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort (v1 helper qos.ComputePodQOS)."""
    requests: dict[str, list[str]] = {}
    limits: dict[str, list[str]] = {}
    guaranteed = True
    for container in all_containers(pod):
        resources = container.get("resources") or {}
        wanted = resources.get("requests") or {}
        capped = resources.get("limits") or {}
        for resource in ("cpu", "memory"):
            if not _zero(wanted.get(resource)):
                requests.setdefault(resource, []).append(str(wanted[resource]))
            if not _zero(capped.get(resource)):
                limits.setdefault(resource, []).append(str(capped[resource]))
        guaranteed = guaranteed and all(not _zero(capped.get(r)) for r in ("cpu", "memory"))
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and all(_same(c) for c in all_containers(pod)):
        return "Guaranteed"
    return "Burstable"


def _zero(value: object) -> bool:
    return value is None or str(value) in ("", "0")


def _same(container: Container) -> bool:
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = resources.get("requests") or {}
    return all(str(requests.get(r, limits[r])) == str(limits[r]) for r in ("cpu", "memory"))
