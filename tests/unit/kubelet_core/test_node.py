import asyncio
from typing import Any

import pytest

from cka_kubelet.clock import FakeClock
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kubelet import noderegister
from cka_kubelet.kubelet.lease import LeaseController
from cka_kubelet.kubelet.node import NodeKeeper

Object = dict[str, Any]


class _HTTP:
    def close_idle(self) -> None:
        pass


class FakeAPI:
    """Keeps objects by path, logs calls, raises what `failures` holds for a verb, once each."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[str] = []
        self.failures: list[Exception] = []
        self.http = _HTTP()

    def _call(self, verb: str, path: str) -> None:
        self.calls.append(f"{verb} {path}")
        if self.failures:
            raise self.failures.pop(0)

    async def get(self, path: str) -> Object:
        self._call("get", path)
        if path not in self.objects:
            raise StatusError(404, "NotFound", "not found")
        return self.objects[path]

    async def create(self, path: str, body: Object) -> Object:
        self._call("create", path)
        key = f"{path}/{body['metadata']['name']}"
        if key in self.objects:
            raise StatusError(409, "AlreadyExists", "already exists")
        self.objects[key] = body
        return body

    async def update(self, path: str, body: Object) -> Object:
        self._call("update", path)
        self.objects[path] = body
        return body

    async def patch(self, path: str, body: Object) -> Object:
        self._call("patch", path)
        return body


def _initial(name: str = "n") -> Object:
    return noderegister.initial_node(
        name, name, labels={"a": "b"}, taints=[], provider_id="", cloud_provider="", managed_attach=True
    )


def _keeper(api: FakeAPI, ready: str = "True") -> NodeKeeper:
    async def set_status(node: Object) -> None:
        node["status"] = {"conditions": [{"type": "Ready", "status": ready}]}

    async def no_cidr(_cidr: str) -> bool:
        return False

    async def nothing() -> None:
        pass

    return NodeKeeper(
        api, api, FakeClock(), _initial(),  # type: ignore[arg-type]  # a fake with the same methods
        lister=lambda: api.objects.get("/api/v1/nodes/n"), set_status=set_status, on_pod_cidr=no_cidr,
        runtime_up=nothing, update_every=10, report_every=300, register=True,
    )  # fmt: skip


async def test_registration_goes_on_until_it_succeeds(capfd: pytest.CaptureFixture[str]) -> None:
    api = FakeAPI()
    api.failures = [StatusError(401, "Unauthorized", "Unauthorized")]
    keeper = _keeper(api)
    await keeper.sync()
    assert keeper.registered.is_set()
    lines = [line.split("] ", 1)[1] for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        '"Attempting to register node" node="n"',
        '"Unable to register node with API server" err="Unauthorized" node="n"',
        '"Attempting to register node" node="n"',
        '"Successfully registered node" node="n"',
    ]


async def test_an_unchanged_status_is_not_sent_again() -> None:
    api = FakeAPI()
    keeper = _keeper(api)
    await keeper.sync()
    before = [call for call in api.calls if call.startswith("patch")]
    await keeper.sync()
    assert [call for call in api.calls if call.startswith("patch")] == before == ["patch /api/v1/nodes/n/status"]


async def test_five_failed_updates_are_enough(capfd: pytest.CaptureFixture[str]) -> None:
    api = FakeAPI()
    keeper = _keeper(api)
    await keeper.sync()
    api.objects["/api/v1/nodes/n"]["status"] = {}
    api.failures = [StatusError(500, "InternalError", "no")] * 5
    capfd.readouterr()
    await keeper.sync()
    errors = capfd.readouterr().err
    assert errors.count('"Error updating node status, will retry"') == 5
    assert errors.endswith('"Unable to update node status" err="update node status exceeds retry count"\n')


async def test_the_fast_loop_waits_for_the_node_and_ends_when_it_is_ready(capfd: pytest.CaptureFixture[str]) -> None:
    api = FakeAPI()
    keeper = _keeper(api)
    task = asyncio.create_task(keeper.fast_until_ready())
    await asyncio.sleep(0.02)
    assert 'Error getting the current node from lister" err="node \\"n\\" not found"' in capfd.readouterr().err
    api.objects["/api/v1/nodes/n"] = {**_initial(), "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    await asyncio.wait_for(task, 2)
    assert api.calls == ["patch /api/v1/nodes/n/status"]
    assert "Fast updating node status as it just became ready" in capfd.readouterr().err


def test_an_existing_node_is_patched_only_where_it_differs() -> None:
    wanted = _initial()
    assert noderegister.reconcile_patch(wanted, _initial()) is None
    existing = _initial()
    del existing["metadata"]["labels"]["kubernetes.io/os"]
    del existing["metadata"]["annotations"]
    assert noderegister.reconcile_patch(wanted, existing) == {
        "metadata": {
            "labels": {"kubernetes.io/os": "linux"},
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        }
    }


async def _renew_once(api: FakeAPI) -> None:
    async def node() -> Object:
        return {"metadata": {"uid": "u"}}

    lease = LeaseController(api, FakeClock(), "n", 40, node, lambda: None)  # type: ignore[arg-type]
    task = asyncio.create_task(lease.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])


async def test_a_new_lease_belongs_to_the_node() -> None:
    api = FakeAPI()
    await _renew_once(api)
    (lease,) = api.objects.values()
    assert lease["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("n", 40)


async def test_an_unreachable_lease_is_retried_after_two_hundred_milliseconds(
    capfd: pytest.CaptureFixture[str],
) -> None:
    api = FakeAPI()
    api.failures = [StatusError(401, "Unauthorized", "Unauthorized")]
    await _renew_once(api)
    assert capfd.readouterr().err.endswith(
        '"Failed to ensure lease exists, will retry" err="Unauthorized" interval="200ms"\n'
    )
