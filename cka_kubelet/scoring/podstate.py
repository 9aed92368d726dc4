"""A pod as `kubectl get pods` shows it. Pure; everything in a Pod object is untrusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class PodState:
    """`status`: kubectl's STATUS column. `containers`: the runtime's ids of what runs. `since`: of the Ready
    condition, else of the pod's creation, seconds since the epoch. `message`: what a waiting container or an unmet
    condition says. `kubelet_uid`: by which the kubelet knows it; a mirror's is that of its static pod. `over`: finished
    or being deleted; a controller has made another in its place."""

    name: str
    uid: str
    node: str
    ready: bool
    status: str
    message: str
    since: float | None
    containers: tuple[str, ...] = ()
    kubelet_uid: str = ""
    over: bool = False


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """From a Pod object. Source of STATUS: Kubernetes pkg/printers/internalversion, printPod."""
    metadata, spec, status = (_map(pod.get(key)) for key in ("metadata", "spec", "status"))
    containers = _maps(status.get("containerStatuses"))
    conditions = {str(c.get("type")): c for c in _maps(status.get("conditions"))}
    ready = conditions.get("Ready", {})
    gone = metadata.get("deletionTimestamp")
    running = (str(c.get("containerID", "")) for c in containers if "running" in _map(c.get("state")))
    return PodState(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        node=str(spec.get("nodeName", "")),
        ready=ready.get("status") == "True" and gone is None,
        status="Terminating" if gone is not None else _status(status, containers),
        message=_message(status, containers, conditions)[:500],
        since=epoch(ready.get("lastTransitionTime")) or epoch(metadata.get("creationTimestamp")),
        containers=tuple(name.partition("://")[2] for name in running),
        kubelet_uid=str(_map(metadata.get("annotations")).get(_MIRROR) or metadata.get("uid", "")),
        over=gone is not None or status.get("phase") in ("Failed", "Succeeded"),
    )


def _status(status: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> str:
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    inits = _maps(status.get("initContainerStatuses"))
    for index, init in enumerate(inits):
        state = _map(init.get("state"))
        ended = _map(state.get("terminated"))
        if ("terminated" in state and ended.get("exitCode") == 0) or (init.get("started") and "running" in state):
            continue
        if "terminated" in state:
            return f"Init:{_ended(ended)}"
        waiting = _map(state.get("waiting")).get("reason")
        return f"Init:{waiting}" if waiting not in (None, "", "PodInitializing") else f"Init:{index}/{len(inits)}"
    for container in containers:  # printPod goes from the last to the first, so the first one's word stays
        state = _map(container.get("state"))
        if waiting := _map(state.get("waiting")).get("reason"):
            return str(waiting)
        if "terminated" in state:
            return _ended(_map(state.get("terminated")))
    return reason


def _ended(terminated: Mapping[str, Any]) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode')}"


def _message(
    status: Mapping[str, Any], containers: Sequence[Mapping[str, Any]], conditions: Mapping[str, Mapping[str, Any]]
) -> str:
    said = [_map(_map(c.get("state")).get("waiting")).get("message") for c in containers]
    said += [conditions.get(kind, {}).get("message") for kind in ("PodScheduled", "Ready")]
    return next((str(text) for text in [*said, status.get("message")] if text), "")


def epoch(stamp: object) -> float | None:
    """Seconds since the epoch of a metav1.Time (RFC 3339); None when it is missing or broken."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [_map(item) for item in value] if isinstance(value, list) else []
