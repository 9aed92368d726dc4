"""What upstream says of its sync loop at `-v=1` to `-v=4` (kubelet.go syncLoopIteration)."""

from typing import Any

from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import objects

_RUNNING, _EXITED = {("0", 0), ("1", 1)}, {("1", 0), ("2", 1)}
"""(CRI state, kind) of sandboxes (0) and containers (1) that run, and of those that do not any more."""


def pod_update(kind: str, pod: objects.Pod, before: objects.Pod | None) -> None:
    """A source told of a pod; `before` is how it was known."""
    if not klog.enabled(2, "kubelet.go"):
        return
    level, line = 2, 2741
    if kind == "DELETED":
        word, line = "REMOVE", 2747
    elif before is None:
        word, line = "ADD", 2735
    elif objects.deleted(pod) and not objects.deleted(before):
        word, line = "DELETE", 2756
    elif objects.desired(pod) != objects.desired(before):
        word = "UPDATE"
    else:
        word, level, line = "RECONCILE", 4, 2752
    source = objects.annotations(pod).get(objects.SOURCE, "api")
    klog.info(f"kubelet.go:{line}", f"SyncLoop {word}", v=level, source=source, pods=[objects.key(pod)])


def lifecycle(uid: str, pod: klog.KObj, before: dict[str, tuple[str, int]], now: dict[str, tuple[str, int]]) -> None:
    """The runtime's sandboxes and containers changed: one line for each that started or died."""
    if not klog.enabled(2, "kubelet.go"):
        return
    for identity, state in now.items():
        old = before.get(identity)
        if old == state or not (state in _RUNNING or state in _EXITED):
            continue
        event = "ContainerStarted" if state in _RUNNING else "ContainerDied"
        told: dict[str, Any] = {"ID": uid, "Type": event, "Data": identity}
        klog.info("kubelet.go:2781", "SyncLoop (PLEG): event for pod", v=2, pod=pod, event=told)


def probe(kind: str, ok: bool, pod: objects.Pod) -> None:
    """A probe's result changed."""
    good = {"readiness": "ready", "startup": "started"}.get(kind, "")
    bad = "" if kind == "readiness" else "unhealthy"
    klog.info("kubelet.go:2871", "SyncLoop (probe)", v=1, probe=kind, status=good if ok else bad, pod=objects.key(pod))


def step(name: str, pod: objects.Pod, **more: object) -> None:
    """A worker begins or ends a step, e.g. `SyncPod enter`."""
    klog.info("kubelet.go:1985", name, v=4, pod=objects.key(pod), podUID=objects.uid(pod), **more)
