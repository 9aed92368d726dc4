"""The API's verbs, without HTTP."""

import asyncio
import base64
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.sqlitestore import SQLiteStore
from cka_kubelet.controlplane.store import ConflictError, ExpiredError
from cka_kubelet.kube.apistatus import StatusError
from tests.unit.controlplane import api

PODS = "/api/v1/namespaces/default/pods"
NODE_USER = User("system:node:node01", ("system:nodes", "system:authenticated"))


@pytest.fixture
def server() -> Any:
    found = api.resources()
    yield found
    api.at_once(found.registry.store.close())


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec}}


async def account(client: Any) -> None:
    await client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})


def test_a_pod_gets_upstreams_defaults(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        await account(client)
        made = await client.create(PODS, pod())
        spec = made["spec"]
        assert spec["serviceAccountName"] == "default"
        assert spec["dnsPolicy"] == "ClusterFirst"
        assert spec["terminationGracePeriodSeconds"] == 30
        assert [item["tolerationSeconds"] for item in spec["tolerations"]] == [300, 300]
        assert spec["volumes"][0]["name"].startswith("kube-api-access-")
        assert made["status"]["phase"] == "Pending"

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": []},
        {"metadata": {"name": 3}},
        {"metadata": {"name": "x"}, "spec": []},
        {"metadata": {"name": "x"}, "spec": {"containers": "c"}},
        {"metadata": {"name": "x"}, "spec": {"containers": ["c"]}},
        {"metadata": {"name": "x", "labels": [1]}, "spec": {"containers": [{"name": "c", "image": []}]}},
        {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": "many"}]}},
        {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}], "tolerations": 7}},
    ],
)
def test_malformed_bodies_are_the_clients_mistake(server: Any, body: dict[str, Any]) -> None:
    async def run() -> None:
        client = api.client(server)
        await account(client)
        with pytest.raises(StatusError) as caught:
            await client.create(PODS, body)
        assert 400 <= caught.value.code < 500

    asyncio.run(run())


def test_a_bound_pod_ends_gracefully(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        await account(client)
        await client.create(PODS, pod(nodeName="node01"))
        await client.delete(f"{PODS}/web")
        ending = await client.get(f"{PODS}/web")
        assert ending["metadata"]["deletionGracePeriodSeconds"] == 30
        await client.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
        with pytest.raises(StatusError) as caught:
            await client.get(f"{PODS}/web")
        assert str(caught.value) == 'pods "web" not found'

    asyncio.run(run())


def test_a_namespace_is_found_by_name_and_ends_with_its_finalizer(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        path = "/api/v1/namespaces/shop"
        await client.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
        assert (await client.get(path))["status"]["phase"] == "Active"
        labels = {"metadata": {"labels": {"a": "b"}}}
        assert (await client.patch(path, labels))["metadata"]["labels"]["a"] == "b"
        assert (await client.delete(path))["status"]["phase"] == "Terminating"
        ending = await client.get(path)
        await client.update(f"{path}/finalize", {**ending, "spec": {"finalizers": []}})
        with pytest.raises(StatusError) as caught:
            await client.get(path)
        assert caught.value.code == 404

    asyncio.run(run())


def test_a_patch_of_the_wrong_type_is_refused_once(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        path = "/apis/apps/v1/namespaces/default/replicasets"
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
        selector = {"matchLabels": {"a": "b"}}
        await client.create(path, {"metadata": {"name": "r"}, "spec": {"selector": selector, "template": template}})
        with pytest.raises(StatusError) as caught:
            await client.patch(f"{path}/r", {"spec": {"replicas": "x"}})
        assert caught.value.code == 422
        cause = caught.value.status()["details"]["causes"][0]
        assert cause["field"] == "patch"
        assert re.match(r'Invalid value: ".*": unrecognized type: int32$', cause["message"])

    asyncio.run(run())


def test_a_stale_update_conflicts(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        path = "/api/v1/namespaces/default/configmaps"
        old = await client.create(path, {"metadata": {"name": "c"}, "data": {"a": "1"}})
        await client.update(f"{path}/c", {**old, "data": {"a": "2"}})
        with pytest.raises(StatusError) as caught:
            await client.update(f"{path}/c", {**old, "data": {"a": "3"}})
        assert caught.value.code == 409
        assert "the object has been modified; please apply your changes to the latest version" in str(caught.value)

    asyncio.run(run())


def test_a_node_may_touch_itself_and_no_other(server: Any) -> None:
    async def run() -> None:
        node = api.client(server, NODE_USER)
        await node.create("/api/v1/nodes", {"metadata": {"name": "node01"}})
        await node.patch("/api/v1/nodes/node01/status", {"status": {"phase": "Running"}})
        await api.client(server).create("/api/v1/nodes", {"metadata": {"name": "node02"}})
        with pytest.raises(StatusError) as caught:
            await node.patch("/api/v1/nodes/node02/status", {"status": {"phase": "Running"}})
        assert caught.value.code == 403

    asyncio.run(run())


def _request(common_name: str) -> dict[str, Any]:
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", "/dev/null", "-subj", f"/O=system:nodes/CN={common_name}"]  # fmt: skip
    made = subprocess.run(command, capture_output=True, check=True).stdout
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": base64.b64encode(made).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    }


def test_a_node_may_ask_for_its_own_certificate_alone(server: Any) -> None:
    own, other = _request("system:node:node01"), _request("system:node:node02")

    async def run() -> None:
        node = api.client(server, NODE_USER)
        path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
        await node.create(path, own)
        with pytest.raises(StatusError) as caught:
            await node.create(path, other)
        assert str(caught.value) == (
            'certificatesigningrequests.certificates.k8s.io "csr-" is forbidden: '
            "can only create a node CSR with CN=system:node:node01"
        )

    asyncio.run(run())


def test_a_stranger_is_told_what_is_forbidden(server: Any) -> None:
    async def run() -> None:
        with pytest.raises(StatusError) as caught:
            await api.client(server, User("bob", ("system:authenticated",))).list(PODS)
        expected = (
            'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"'
        )
        assert str(caught.value) == expected

    asyncio.run(run())


def test_watches_see_what_follows(server: Any) -> None:
    async def run() -> None:
        client = api.client(server)
        path = "/api/v1/namespaces/default/configmaps"
        revision = (await client.list(path))["metadata"]["resourceVersion"]
        await client.create(path, {"metadata": {"name": "c"}})
        await client.delete(f"{path}/c")
        events = client.watch(path, revision)
        seen = [(await anext(events))["type"], (await anext(events))["type"]]
        assert seen == ["ADDED", "DELETED"]

    asyncio.run(run())


async def test_nothing_acknowledged_is_lost_and_old_revisions_expire(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "s.db")
    await first.write("pods", {"metadata": {"namespace": "a", "name": "b"}}, None)
    revision = first.revision  # the file is not closed, as in a crash
    second = SQLiteStore(tmp_path / "s.db")
    assert second.get("pods", "a", "b") == first.get("pods", "a", "b")
    assert second.revision == revision
    with pytest.raises(ExpiredError):
        second.subscribe("pods", revision - 1)
    await first.close()
    await second.close()


async def test_a_write_over_what_was_not_read_is_a_conflict() -> None:
    store = SQLiteStore(":memory:")
    made = await store.write("pods", {"metadata": {"namespace": "a", "name": "b"}}, None)
    await store.write("pods", {"metadata": {"namespace": "a", "name": "b"}, "spec": 1}, made)
    for attempt in (store.write("pods", made, None), store.write("pods", made, made), store.remove("pods", made)):
        with pytest.raises(ConflictError):
            await attempt
    await store.close()
