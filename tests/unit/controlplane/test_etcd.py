"""The store in etcd: against a fake one always, against the real program where it is installed."""

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cka_kubelet.controlplane import bootstrap, serverhealth
from cka_kubelet.controlplane.admission import Admission
from cka_kubelet.controlplane.authn import Authenticator
from cka_kubelet.controlplane.authz import Authorizer
from cka_kubelet.controlplane.etcd.client import Client
from cka_kubelet.controlplane.etcd.compactor import compact
from cka_kubelet.controlplane.etcd.servers import Servers
from cka_kubelet.controlplane.etcd.store import EtcdStore
from cka_kubelet.controlplane.health import Health
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.controlplane.resources import Resources
from cka_kubelet.controlplane.store import ConflictError, ExpiredError
from cka_kubelet.controlplane.upkeep import Upkeep
from cka_kubelet.kube.apistatus import StatusError
from tests.unit.controlplane import api
from tests.unit.controlplane.fake_etcd import FakeEtcd

MAPS = "/api/v1/namespaces/default/configmaps"
KEY = b"/registry/configmaps/default/c"


class Log:
    """Keeps what grpc says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, source: str, msg: str, /, err: object | None = None, **kv: object) -> None:
        self.lines.append(f"E {source}] {msg} {err}")

    def raw(self, severity: str, source: str, text: str, /) -> None:
        self.lines.append(f"{severity} {source}] {text}")


@pytest_asyncio.fixture
async def etcd() -> AsyncIterator[FakeEtcd]:
    fake = FakeEtcd()
    await fake.start()
    yield fake
    await fake.stop()


async def opened(port: int) -> EtcdStore:
    client = Client(Servers([f"http://127.0.0.1:{port}"], None), Log())
    await client.connected(5)
    return await EtcdStore.open(client, "/registry")


@pytest_asyncio.fixture
async def store(etcd: FakeEtcd) -> AsyncIterator[EtcdStore]:
    made = await opened(etcd.port)
    yield made
    await made.close()


def config(name: str = "c", **data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name}, "data": data}


async def server(store: EtcdStore) -> Resources:
    registry = Registry(store, Admission(store, "10.96.0.0/12"))
    await bootstrap.populate(registry, "10.99.7.2", 6443, "10.96.0.1")
    return Resources(registry, Authorizer(store), Authenticator(store, None), None)


async def test_what_is_written_is_read_and_kept_without_its_revision(etcd: FakeEtcd, store: EtcdStore) -> None:
    made = await store.write("configmaps", config(a="1"), None)
    assert made["metadata"]["resourceVersion"] == str(etcd.revision)
    assert store.get("configmaps", "default", "c") == made
    assert json.loads(etcd.pairs[KEY].value) == config(a="1")
    again = await opened(etcd.port)
    assert again.get("configmaps", "default", "c") == made
    assert again.revision == etcd.revision
    await again.close()


async def test_a_write_over_something_newer_is_a_conflict(etcd: FakeEtcd, store: EtcdStore) -> None:
    made = await store.write("configmaps", config(), None)
    etcd.put(KEY, json.dumps(config(by="etcdctl")).encode())
    for attempt in (
        store.write("configmaps", config(), None),
        store.write("configmaps", config(), made),
        store.remove("configmaps", made),
    ):
        with pytest.raises(ConflictError):
            await attempt
    assert store.get("configmaps", "default", "c")["data"] == {"by": "etcdctl"}  # type: ignore[index]  # it is there


async def test_two_api_servers_see_each_other_at_once_and_changes_are_made_again(etcd: FakeEtcd) -> None:
    stores = [await opened(etcd.port), await opened(etcd.port)]
    clients = [api.client(await server(each)) for each in stores]
    await clients[0].create(MAPS, config())

    async def count(client: Any, key: str) -> None:
        for number in range(20):
            await client.patch(f"{MAPS}/c", {"data": {f"{key}{number}": ""}}, "application/merge-patch+json")

    await asyncio.gather(count(clients[0], "a"), count(clients[1], "b"))
    for client in clients:
        assert len((await client.get(f"{MAPS}/c"))["data"]) == 40
    stale = await clients[0].get(f"{MAPS}/c")
    await clients[1].delete(f"{MAPS}/c")
    with pytest.raises(StatusError) as gone:
        await clients[0].update(f"{MAPS}/c", stale)
    assert gone.value.code == 404
    for each in stores:
        await each.close()


async def test_an_outdated_resource_version_is_refused(etcd: FakeEtcd, store: EtcdStore) -> None:
    client = api.client(await server(store))
    old = await client.create(MAPS, config())
    etcd.put(KEY, json.dumps({**old, "data": {"by": "etcdctl"}}).encode())
    with pytest.raises(StatusError) as refused:
        await client.update(f"{MAPS}/c", old)
    assert refused.value.code == 409
    assert "the object has been modified; please apply your changes to the latest version" in refused.value.message
    fresh = await client.get(f"{MAPS}/c")
    assert (await client.update(f"{MAPS}/c", {**fresh, "data": {}}))["data"] == {}


async def test_changes_behind_our_back_reach_watches(etcd: FakeEtcd, store: EtcdStore) -> None:
    subscription, stop = store.subscribe("configmaps", None)
    etcd.put(KEY, json.dumps(config(a="1")).encode())
    etcd.put(KEY, json.dumps(config(a="2")).encode())
    etcd.put(b"/registry/configmaps/default/broken", b"k8s\x00protobuf")
    etcd.delete(KEY)
    changes = [await subscription.next() for _ in range(3)]
    assert [change.type for change in changes if change] == ["ADDED", "MODIFIED", "DELETED"]
    assert changes[2] is not None
    assert changes[2].object["metadata"]["resourceVersion"] == str(etcd.revision)
    assert store.list("configmaps") == []
    stop()


async def test_reading_waits_for_what_others_wrote_elsewhere_too(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.put(b"/elsewhere", b"x")
    await store.current()
    assert store.revision == etcd.revision


async def test_reading_waits_for_what_a_new_watch_is_still_to_be_told(etcd: FakeEtcd) -> None:
    store = await opened(etcd.port)
    etcd.held = True
    etcd.put(KEY, json.dumps(config()).encode())  # between loading and watching
    reading = asyncio.create_task(store.current())
    done, _ = await asyncio.wait((reading,), timeout=0.2)
    assert not done
    etcd.release()
    await reading
    assert store.get("configmaps", "default", "c") is not None
    await store.close()


async def test_what_was_missed_while_etcd_was_gone_is_caught_up(etcd: FakeEtcd, store: EtcdStore) -> None:
    await store.write("configmaps", config("a"), None)
    await store.write("configmaps", config("b"), None)
    before = store.revision
    subscription, stop = store.subscribe("configmaps", None)
    await etcd.stop()
    with pytest.raises(StatusError) as failed:
        await store.write("configmaps", config("d"), None)
    assert failed.value.code == 500
    assert failed.value.message.startswith("rpc error: code = Unavailable desc = connection error: desc = ")
    etcd.delete(b"/registry/configmaps/default/a")
    etcd.put(b"/registry/configmaps/default/b", json.dumps(config("b", new="1")).encode())
    etcd.put(KEY, json.dumps(config()).encode())
    etcd.compacted = etcd.revision  # nobody can be told what happened one by one
    await etcd.start()
    await store.current()
    assert [item["metadata"]["name"] for item in store.list("configmaps")] == ["b", "c"]
    changes = [await subscription.next() for _ in range(3)]
    seen = {(change.type, change.object["metadata"]["name"]) for change in changes if change}
    assert seen == {("DELETED", "a"), ("MODIFIED", "b"), ("ADDED", "c")}
    assert all(change and change.revision > before for change in changes)
    stop()


async def test_an_older_snapshot_ends_watches_and_expires_revisions(etcd: FakeEtcd, store: EtcdStore) -> None:
    await store.write("configmaps", config("a"), None)
    snapshot, revision = dict(etcd.pairs), etcd.revision
    await store.write("configmaps", config("b"), None)
    newer = store.revision
    subscription, stop = store.subscribe("configmaps", None)
    await etcd.stop()
    etcd.restore(snapshot, revision)
    await etcd.start()
    assert await subscription.next() is None
    assert [item["metadata"]["name"] for item in store.list("configmaps")] == ["a"]
    assert store.revision == revision
    with pytest.raises(ExpiredError):
        store.subscribe("configmaps", newer)
    stop()


async def test_another_past_with_as_many_revisions_is_noticed(etcd: FakeEtcd, store: EtcdStore) -> None:
    await store.write("configmaps", config("a"), None)
    snapshot, revision = dict(etcd.pairs), etcd.revision
    await store.write("configmaps", config("b"), None)
    subscription, stop = store.subscribe("configmaps", None)
    await etcd.stop()
    etcd.restore(snapshot, revision)
    etcd.put(b"/registry/configmaps/default/other", json.dumps(config("other")).encode())
    await etcd.start()
    assert await subscription.next() is None
    assert [item["metadata"]["name"] for item in store.list("configmaps")] == ["a", "other"]
    stop()


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (("Unavailable", "etcdserver: request timed out"), 500, "etcdserver: request timed out"),
        (
            ("ResourceExhausted", "etcdserver: mvcc: database space exceeded"),
            500,
            "etcdserver: mvcc: database space exceeded",
        ),
        (("PermissionDenied", "no"), 500, "rpc error: code = PermissionDenied desc = no"),
    ],
)
async def test_etcds_complaints_are_passed_on(
    etcd: FakeEtcd, store: EtcdStore, failure: tuple[str, str], code: int, message: str
) -> None:
    etcd.failure = failure
    with pytest.raises(StatusError) as failed:
        await store.write("configmaps", config(), None)
    assert (failed.value.code, failed.value.reason, failed.value.message) == (code, "", message)
    etcd.failure = None
    await store.write("configmaps", config(), None)


async def test_no_answer_in_time_is_a_timeout(
    etcd: FakeEtcd, store: EtcdStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cka_kubelet.controlplane.etcd.store._WRITE_TIMEOUT", 0.05)
    etcd.mute = True
    with pytest.raises(StatusError) as failed:
        await store.write("configmaps", config(), None)
    assert (failed.value.code, failed.value.reason) == (504, "Timeout")
    assert "request did not complete within requested timeout" in failed.value.message


async def test_health_tells_of_etcd(etcd: FakeEtcd, store: EtcdStore) -> None:
    health = Health(serverhealth.checks(store))
    well = await health.answer("/readyz", {"verbose": [""]})
    assert well is not None
    assert b"[+]etcd ok\n" in well.body  # type: ignore[operator]  # bytes: nothing is streamed here
    assert well.body.endswith(b"readyz check passed\n")  # type: ignore[union-attr]  # bytes
    etcd.failure = ("PermissionDenied", "no")
    for path in ("/readyz", "/livez", "/healthz"):
        ill = await health.answer(path, {})
        assert ill is not None
        assert ill.status == 500
        assert b"[-]etcd failed: reason withheld\n" in ill.body  # type: ignore[operator]  # bytes
        assert ill.body.endswith(f"{path[1:]} check failed\n".encode())  # type: ignore[union-attr]  # bytes
    one = await health.answer("/livez/etcd", {})
    assert one is not None
    assert one.body.startswith(b"internal server error: error getting data from etcd: ")  # type: ignore[union-attr]  # bytes
    excluded = await health.answer("/livez", {"exclude": ["etcd"]})
    assert excluded is not None
    assert excluded.status == 200


async def test_api_servers_of_one_etcd_are_all_endpoints_until_they_leave(etcd: FakeEtcd, store: EtcdStore) -> None:
    async def populated() -> None:
        return None

    other = await opened(etcd.port)
    registries = [Registry(each, Admission(each, "10.96.0.0/12")) for each in (store, other)]
    await bootstrap.populate(registries[0], "10.0.0.1", 6443, "10.96.0.1")
    keeps = [
        Upkeep(registry, populated, f"10.0.0.{number}", 6443, "10.96.0.1")
        for number, registry in enumerate(registries, 1)
    ]

    async def addresses() -> list[str]:
        for keep in keeps:
            await keep.sync()
        await store.current()
        found = store.get("endpoints", "default", "kubernetes")
        assert found is not None
        return [each["ip"] for each in found["subsets"][0]["addresses"]]

    assert await addresses() == ["10.0.0.1", "10.0.0.2"]
    assert etcd.leases == [15] * len(etcd.leases)
    await other.close()
    del keeps[1]
    assert await addresses() == ["10.0.0.1"]


async def test_a_full_etcd_does_not_keep_the_api_server_from_starting(etcd: FakeEtcd, store: EtcdStore) -> None:
    tries: list[int] = []

    async def populate() -> None:
        tries.append(1)
        await store.write("configmaps", config(), None)

    keep = Upkeep(Registry(store, Admission(store, "10.96.0.0/12")), populate, "10.0.0.1", 6443, "10.96.0.1")
    etcd.failure = ("ResourceExhausted", "etcdserver: mvcc: database space exceeded")
    await keep.start()
    etcd.failure = None
    await bootstrap.populate(keep._registry, "10.0.0.1", 6443, "10.96.0.1")
    await keep.sync()
    await keep.sync()
    assert len(tries) == 2


async def test_compaction_is_done_by_one_of_many(etcd: FakeEtcd, store: EtcdStore) -> None:
    client = Client(Servers([f"http://127.0.0.1:{etcd.port}"], None), Log())
    first = await compact(client, 0, 0)
    second = await compact(client, 0, 0)
    assert first[0] == second[0] == 1
    etcd.put(KEY, b"{}")
    again = await compact(client, *first)
    assert (again[0], etcd.compacted) == (2, first[1])
    assert (await compact(client, *second))[0] == 2
    assert etcd.compacted == first[1]
    await client.close()


async def test_servers_that_cannot_be_had_are_named_as_grpc_names_them() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for url, problem in (
            (f"https://127.0.0.1:{port}", f"dial tcp 127.0.0.1:{port}: connect: connection refused"),
            ("hhttps://127.0.0.1:2379", "dial tcp: address hhttps://127.0.0.1:2379: too many colons in address"),
            ("https://127.0.0.1", "dial tcp: address 127.0.0.1: missing port in address"),
            ("https://127.0.0.1:99999", "dial tcp: address 99999: invalid port"),
        ):
            log = Log()
            client = Client(Servers([url], None), log)
            with pytest.raises(TimeoutError):
                await client.connected(0.1)
            await client.close()
            assert f'Err: connection error: desc = "transport: Error while dialing: {problem}"' in log.lines[0]
            assert f'ServerName: "{url.rpartition("//")[2]}"' in log.lines[0]


async def test_the_next_server_is_tried_when_one_fails(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cka_kubelet.controlplane.etcd.servers._BASE_DELAY", 0.01)
    client = Client(Servers(["http://127.0.0.1:1", f"http://127.0.0.1:{etcd.port}"], None), Log())
    await client.connected(5)
    await client.close()


@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed")
async def test_the_real_etcd(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    here, peer = (f"http://127.0.0.1:{port}" for port in ports)
    flags = ["--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", peer]
    flags += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["etcd", "--data-dir", str(tmp_path / "data"), *flags], stderr=subprocess.DEVNULL)

    process = start()
    try:
        store = await opened(ports[0])
        client = api.client(await server(store))
        for number in range(600):  # more than a page
            await client.create(MAPS, config(f"c{number}"))
        process.kill()
        process.wait()
        process = start()
        await store._client.connected(20)
        made = await client.patch(f"{MAPS}/c5", {"data": {"a": "b"}}, "application/merge-patch+json")
        etcdctl = await asyncio.create_subprocess_exec(
            "etcdctl", f"--endpoints={here}", "del", "/registry/configmaps/default/c7", stdout=subprocess.DEVNULL
        )
        await etcdctl.wait()
        assert len((await client.list(MAPS))["items"]) == 599
        other = await opened(ports[0])
        assert other.get("configmaps", "default", "c5") == made
        assert len(other.list("configmaps")) == 599
        await store._client.compact(5, store.revision)
        await other.close()
        await store.close()
    finally:
        process.kill()
        process.wait()
