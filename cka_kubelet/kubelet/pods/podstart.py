"""How long an API pod took to start, by the pod startup SLI (pkg/kubelet/util/pod_startup_latency_tracker.go)."""

import calendar
import time
from typing import Any

from cka_kubelet.kubelet import observed
from cka_kubelet.kubelet.pods import objects

_seen_network = False


class Start:
    """One pod's start. A pod that was started before this kubelet saw it does not count."""

    def __init__(self, pod: objects.Pod) -> None:
        self._over = _all_started(pod)
        self._created = _epoch(pod["metadata"].get("creationTimestamp"))
        self._host = objects.host_network(pod)

    def shown(self, pod: objects.Pod, now: float) -> bool:
        """Whether nothing is left to measure: the API server shows all containers started, which is noted once."""
        if self._over or not _all_started(pod):
            return self._over
        self._over = True
        if self._created is None:
            return True
        total = now - self._created
        excluded = pulls.pop(objects.uid(pod), 0.0) + _initialized(pod)
        observed.pod_start_total_seconds.add(total)
        observed.pod_start_sli_seconds.add(max(0.0, total - excluded))
        _note_first(self._host, max(0.0, total - excluded))
        return True


pulls: dict[str, float] = {}
"""Seconds that pods have spent pulling images, by uid, until they are noted or gone."""


def pulled(uid: str, seconds: float) -> None:
    """An image was pulled for a pod."""
    pulls[uid] = pulls.get(uid, 0.0) + seconds


def _note_first(host: bool, seconds: float) -> None:
    global _seen_network  # once in the kubelet's life
    if not host and not _seen_network:
        _seen_network = True
        observed.first_network_pod_seconds.set(seconds)


def _all_started(pod: objects.Pod) -> bool:
    found: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    return bool(found) and all("running" in (c.get("state") or {}) for c in found)


def _initialized(pod: objects.Pod) -> float:
    """Seconds between the first init container's start and the last one's end."""
    states = [c.get("state") or {} for c in (pod.get("status") or {}).get("initContainerStatuses") or []]
    ended = [s["terminated"] for s in states if "terminated" in s]
    began = [t for s in ended if (t := _epoch(s.get("startedAt"))) is not None]
    ends = [t for s in ended if (t := _epoch(s.get("finishedAt"))) is not None]
    return max(ends) - min(began) if began and ends else 0.0


def _epoch(stamp: object) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(str(stamp), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None
