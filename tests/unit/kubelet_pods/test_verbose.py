from collections.abc import Iterator
from typing import Any

import pytest

from cka_kubelet.kube import klog
from cka_kubelet.kubelet.pods import verbose


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    klog.set_verbosity(4)
    yield
    klog.set_verbosity(0)


def _pod(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "t", "uid": "u", **metadata}, "spec": {"containers": []}}


def _texts(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]


def test_each_kind_of_update_has_its_word(capfd: pytest.CaptureFixture[str]) -> None:
    pod = _pod()
    leaving = _pod(deletionTimestamp="2026-01-01T00:00:00Z")
    changed = {**pod, "spec": {"containers": [{"name": "c", "image": "other"}]}}
    verbose.pod_update("ADDED", _pod(annotations={"kubernetes.io/config.source": "file"}), None)
    verbose.pod_update("MODIFIED", changed, pod)
    verbose.pod_update("MODIFIED", {**pod, "status": {"phase": "Running"}}, pod)
    verbose.pod_update("MODIFIED", leaving, pod)
    verbose.pod_update("DELETED", leaving, leaving)
    assert _texts(capfd) == [
        '"SyncLoop ADD" source="file" pods=["t/web"]',
        '"SyncLoop UPDATE" source="api" pods=["t/web"]',
        '"SyncLoop RECONCILE" source="api" pods=["t/web"]',
        '"SyncLoop DELETE" source="api" pods=["t/web"]',
        '"SyncLoop REMOVE" source="api" pods=["t/web"]',
    ]


def test_starts_and_deaths_are_told_once_each(capfd: pytest.CaptureFixture[str]) -> None:
    pod = klog.KObj("t", "web")
    verbose.lifecycle("u", pod, {}, {"sandbox": ("0", 0), "new": ("0", 1)})
    verbose.lifecycle("u", pod, {"sandbox": ("0", 0), "c": ("1", 1)}, {"sandbox": ("0", 0), "c": ("2", 1)})
    head = '"SyncLoop (PLEG): event for pod" pod="t/web" event='
    assert _texts(capfd) == [
        head + '{"ID":"u","Type":"ContainerStarted","Data":"sandbox"}',
        head + '{"ID":"u","Type":"ContainerDied","Data":"c"}',
    ]


def test_probe_results(capfd: pytest.CaptureFixture[str]) -> None:
    verbose.probe("readiness", True, _pod())
    verbose.probe("readiness", False, _pod())
    verbose.probe("liveness", False, _pod())
    assert _texts(capfd) == [
        '"SyncLoop (probe)" probe="readiness" status="ready" pod="t/web"',
        '"SyncLoop (probe)" probe="readiness" status="" pod="t/web"',
        '"SyncLoop (probe)" probe="liveness" status="unhealthy" pod="t/web"',
    ]
