"""Manifests that go and come back: the new pod has to wait until nothing of the old one is left to be removed."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

from cka_kubelet.kubelet.pods import objects
from cka_kubelet.kubelet.pods.manager import PodManager


def static_pod(name: str) -> objects.Pod:
    annotations = {"kubernetes.io/config.source": "file"}
    return {"metadata": {"name": name, "namespace": "kube-system", "uid": name, "annotations": annotations}, "spec": {}}


async def test_pods_that_come_back_together_wait_each_for_its_own_predecessor() -> None:
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    manager: Any = PodManager.__new__(PodManager)
    for part in ("probes", "cgroups", "runtime", "images", "_source", "statuses"):
        setattr(manager, part, MagicMock())
    manager.mirror_client = AsyncMock()
    manager.sources = SimpleNamespace(mirror_of=lambda pod: None, static={})
    manager.pleg = SimpleNamespace(cache={})

    async def removal(status: Any) -> None:
        await gates[status.uid].wait()

    manager._collector = SimpleNamespace(whole_pod=removal)
    pods = {name: static_pod(name) for name in gates}
    manager.workers = {
        name: SimpleNamespace(uid=name, pod=pod, finished=True, removed=True) for name, pod in pods.items()
    }
    manager._waiting_static = dict(pods)
    added: list[str] = []
    manager._add = lambda pod: added.append(objects.uid(pod))
    cleanups = {name: asyncio.create_task(manager._cleanup(worker)) for name, worker in manager.workers.items()}
    gates["b"].set()
    await cleanups["b"]
    assert added == ["b"]
    gates["a"].set()
    await cleanups["a"]
    assert added == ["b", "a"]
    assert manager.workers == {}
