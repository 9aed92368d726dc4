"""StatefulSets, CronJobs and bootstrap tokens on an API in memory."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cka_kubelet.controlplane.controllers import cronschedule
from cka_kubelet.controlplane.controllers.bootstraptokens import BootstrapSigner, TokenCleaner, detached_signature
from cka_kubelet.controlplane.controllers.cronjobs import CronJobs
from cka_kubelet.controlplane.controllers.informer import Informer
from cka_kubelet.controlplane.controllers.statefulsets import StatefulSets
from cka_kubelet.controlplane.kinds import kind

from . import api

Object = dict[str, Any]

_SETS, _PODS = "/apis/apps/v1/namespaces/default/statefulsets", "/api/v1/namespaces/default/pods"
_CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
_CRON, _JOBS = "/apis/batch/v1/namespaces/default/cronjobs", "/apis/batch/v1/namespaces/default/jobs"
_SPEC = {"containers": [{"name": "c", "image": "i"}]}
_TEMPLATE = {"metadata": {"labels": {"app": "db"}}, "spec": _SPEC}
_SET = {
    "metadata": {"name": "db"},
    "spec": {
        "replicas": 2,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": _TEMPLATE,
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        ],
    },
}


class World:
    """The API with caches that are refreshed by hand."""

    def __init__(self, *resources: str) -> None:
        self.client = api.client(api.resources())
        self.caches = {name: Informer(self.client, kind(name).path()) for name in resources}

    async def look(self) -> None:
        for name, cache in self.caches.items():
            found = await self.client.list(kind(name).path())
            cache.items = {(i["metadata"].get("namespace", ""), i["metadata"]["name"]): i for i in found["items"]}

    async def sync(self, controller: Any, times: int = 1) -> Any:
        for _ in range(times):
            await self.look()
            result = await controller.sync()
        await self.look()
        return result

    async def events(self) -> list[tuple[str, str]]:
        found = (await self.client.list("/api/v1/namespaces/default/events"))["items"]
        return [(item["reason"], item["message"]) for item in found]


class Stateful(World):
    def __init__(self) -> None:
        super().__init__("statefulsets.apps", "pods", "persistentvolumeclaims", "controllerrevisions.apps")
        self.controller = StatefulSets(self.client, *self.caches.values())

    async def names(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in (await self.client.list(_PODS))["items"])

    async def ready(self, name: str) -> None:
        condition = {"type": "Ready", "status": "True"}
        status = {"status": {"phase": "Running", "conditions": [condition]}}
        await self.client.patch(f"{_PODS}/{name}/status", status, "application/merge-patch+json")


def play(story: Callable[[Stateful], Awaitable[None]]) -> None:
    async def run() -> None:
        world = Stateful()
        await world.client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        await world.client.create(_SETS, _SET)
        await story(world)

    asyncio.run(run())


def test_pods_come_one_after_the_other_each_with_its_claim() -> None:
    async def story(world: Stateful) -> None:
        await world.sync(world.controller, 3)
        assert await world.names() == ["db-0"]  # the second waits for the first
        await world.ready("db-0")
        await world.sync(world.controller)
        assert await world.names() == ["db-0", "db-1"]
        pod = await world.client.get(f"{_PODS}/db-1")
        assert pod["spec"]["hostname"] == "db-1"
        assert pod["spec"]["subdomain"] == "db"
        assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
        assert pod["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data-db-1"}
        claims = [item["metadata"]["name"] for item in (await world.client.list(_CLAIMS))["items"]]
        assert sorted(claims) == ["data-db-0", "data-db-1"]
        assert ("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful") in await world.events()
        assert ("SuccessfulCreate", "create Claim data-db-0 Pod db-0 in StatefulSet db success") in await world.events()
        await world.ready("db-1")
        await world.sync(world.controller)
        status = (await world.client.get(f"{_SETS}/db"))["status"]
        assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)

    play(story)


def test_scaling_down_takes_the_last_and_leaves_its_claim() -> None:
    async def story(world: Stateful) -> None:
        for name in ("db-0", "db-1"):
            await world.sync(world.controller)
            await world.ready(name)
        await world.client.patch(f"{_SETS}/db", {"spec": {"replicas": 1}}, "application/merge-patch+json")
        await world.sync(world.controller)
        assert await world.names() == ["db-0"]
        assert (await world.client.get(f"{_CLAIMS}/data-db-1"))["metadata"]["name"] == "data-db-1"
        assert ("SuccessfulDelete", "delete Pod db-1 in StatefulSet db successful") in await world.events()

    play(story)


def test_an_update_goes_from_the_last_to_the_partition() -> None:
    async def story(world: Stateful) -> None:
        for name in ("db-0", "db-1"):
            await world.sync(world.controller)
            await world.ready(name)
        await world.sync(world.controller)
        changed = {**_TEMPLATE, "spec": {"containers": [{"name": "c", "image": "new"}]}}
        spec = {"template": changed, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
        await world.client.patch(f"{_SETS}/db", {"spec": spec}, "application/merge-patch+json")
        await world.sync(world.controller)
        assert await world.names() == ["db-0"]  # the last one was deleted first
        await world.sync(world.controller)
        images = {}
        for name in ("db-0", "db-1"):
            images[name] = (await world.client.get(f"{_PODS}/{name}"))["spec"]["containers"][0]["image"]
        assert images == {"db-0": "i", "db-1": "new"}
        await world.ready("db-1")
        await world.client.delete(f"{_PODS}/db-0")
        await world.sync(world.controller, 2)
        assert (await world.client.get(f"{_PODS}/db-0"))["spec"]["containers"][0]["image"] == "i"
        status = (await world.client.get(f"{_SETS}/db"))["status"]
        assert status["currentRevision"] != status["updateRevision"]

    play(story)


@pytest.mark.parametrize(
    ("text", "after", "found"),
    [
        ("* * * * *", "2026-11-21T10:00:30", "2026-11-21T10:01:00"),
        ("*/15 * * * *", "2026-11-21T10:00:00", "2026-11-21T10:15:00"),
        ("0 9-17/4 * * mon-fri", "2026-11-21T10:00:00", "2026-11-23T09:00:00"),
        ("30 4 1,15 * 5", "2026-11-21T10:00:00", "2026-11-27T04:30:00"),  # day of month or day of week
        ("0 0 29 feb *", "2026-11-21T10:00:00", "2028-02-29T00:00:00"),
        ("@hourly", "2026-11-21T10:00:00", "2026-11-21T11:00:00"),
        ("0 0 31 2 *", "2026-11-21T10:00:00", None),
    ],
)
def test_when_a_schedule_comes_next(text: str, after: str, found: str | None) -> None:
    moment = cronschedule.parse(text).after(datetime.datetime.fromisoformat(after))
    assert (moment and moment.isoformat()) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty spec string"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@never", "unrecognized descriptor: @never"),
    ],
)
def test_a_schedule_that_is_none(text: str, problem: str) -> None:
    with pytest.raises(cronschedule.ScheduleError) as caught:
        cronschedule.parse(text)
    assert str(caught.value) == problem


class Cron(World):
    def __init__(self) -> None:
        super().__init__("cronjobs.batch", "jobs.batch")
        self.now = 0.0
        self.controller = CronJobs(self.client, *self.caches.values(), now=lambda: self.now)

    async def start(self, **spec: object) -> None:
        body = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec": _POD}}}, **spec}
        made = await self.client.create(_CRON, {"metadata": {"name": "c"}, "spec": body})
        created = datetime.datetime.fromisoformat(made["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
        self.now = created.timestamp() // 300 * 300 + 300.5  # just after the first time that is due

    async def jobs(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in (await self.client.list(_JOBS))["items"])

    async def finish(self, name: str, kind_of_end: str = "Complete") -> None:
        status = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z"}
        condition = {"type": kind_of_end, "status": "True"}
        body = {"status": {**status, "conditions": [condition]}}
        await self.client.patch(f"{_JOBS}/{name}/status", body, "application/merge-patch+json")


_POD = {"restartPolicy": "Never", **_SPEC}


def play_cron(story: Callable[[Cron], Awaitable[None]]) -> None:
    asyncio.run(story(Cron()))


def test_a_job_each_time_and_only_once() -> None:
    async def story(world: Cron) -> None:
        await world.start()
        wait = await world.sync(world.controller)
        first = f"c-{int(world.now) // 60}"
        assert await world.jobs() == [first]
        assert 299 <= wait <= 300
        await world.sync(world.controller)
        assert await world.jobs() == [first]
        status = (await world.client.get(f"{_CRON}/c"))["status"]
        assert [item["name"] for item in status["active"]] == [first]
        await world.finish(first)
        world.now += 300
        await world.sync(world.controller)
        assert len(await world.jobs()) == 2
        events = await world.events()
        assert ("SuccessfulCreate", f"Created job {first}") in events
        assert ("SawCompletedJob", f"Saw completed job: {first}, condition: Complete") in events

    play_cron(story)


@pytest.mark.parametrize(("policy", "count"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
def test_what_happens_while_a_job_still_runs(policy: str, count: int) -> None:
    async def story(world: Cron) -> None:
        await world.start(concurrencyPolicy=policy)
        await world.sync(world.controller)
        before = await world.jobs()
        world.now += 300
        await world.sync(world.controller)
        after = await world.jobs()
        assert len(after) == count
        assert (after == before) is (policy == "Forbid")
        told = [reason for reason, _ in await world.events()]
        assert ("JobAlreadyActive" in told) is (policy == "Forbid")

    play_cron(story)


def test_old_jobs_go_and_a_suspended_one_starts_none() -> None:
    async def story(world: Cron) -> None:
        await world.start(successfulJobsHistoryLimit=1)
        for _ in range(3):
            await world.sync(world.controller)
            await world.finish((await world.jobs())[-1])
            world.now += 300
        await world.client.patch(f"{_CRON}/c", {"spec": {"suspend": True}}, "application/merge-patch+json")
        await world.sync(world.controller, 2)
        assert len(await world.jobs()) == 1

    play_cron(story)


def test_a_bad_schedule_is_told() -> None:
    async def story(world: Cron) -> None:
        await world.start(schedule="x * * * *")
        await world.sync(world.controller)
        problem = 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'
        assert ("UnparseableSchedule", f'unparseable schedule: "x * * * *" : {problem}') in await world.events()

    play_cron(story)


def _token(token_id: str, expiration: str = "", **more: str) -> Object:
    data = {"token-id": token_id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **more}
    if expiration:
        data["expiration"] = expiration
    name = f"bootstrap-token-{token_id}"
    return {"metadata": {"name": name}, "type": "bootstrap.kubernetes.io/token", "stringData": data}


def test_cluster_info_is_signed_with_every_token_that_may() -> None:
    async def story() -> None:
        world = World("secrets", "configmaps")
        info = "/api/v1/namespaces/kube-public/configmaps"
        await world.client.create(
            info, {"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "a: 1", "x": "y"}}
        )
        secrets = "/api/v1/namespaces/kube-system/secrets"
        unsigned = {"usage-bootstrap-signing": "false"}
        for token in (_token("abcdef"), _token("ghijkl", "2020-01-01T00:00:00Z"), _token("mnopqr", **unsigned)):
            await world.client.create(secrets, token)
        await world.sync(BootstrapSigner(world.client, *world.caches.values()))
        data = (await world.client.get(f"{info}/cluster-info"))["data"]
        assert data.keys() == {"kubeconfig", "x", "jws-kubeconfig-abcdef"}
        assert data["jws-kubeconfig-abcdef"] == detached_signature("a: 1", "abcdef", "0123456789abcdef")
        await world.sync(TokenCleaner(world.client, world.caches["secrets"]))
        left = [item["metadata"]["name"] for item in (await world.client.list(secrets))["items"]]
        assert left == ["bootstrap-token-abcdef", "bootstrap-token-mnopqr"]

    asyncio.run(story())


def test_a_detached_signature() -> None:
    found = detached_signature("content", "abcdef", "secret")
    head, nothing, signature = found.split(".")
    assert (head, nothing) == ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9", "")
    assert len(signature) == 43
