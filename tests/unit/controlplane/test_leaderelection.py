"""Leader election on an API in memory and a clock of the test's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from cka_kubelet.controlplane import component, leaderelection
from cka_kubelet.controlplane.leaderelection import Election, LeaderElector
from cka_kubelet.controlplane.localclient import LocalClient
from cka_kubelet.kube.httpclient import TransportError

from . import api

_ELECTION = Election("kube-system", "kube-scheduler", release=True)
_PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Unreachable(LocalClient):
    """An API that can be gone."""

    gone = False

    async def _call(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        if self.gone:
            raise TransportError("get", "https://10.0.0.2:6443", "connect: connection refused", refused=True)
        return await super()._call(*arguments, **options)


class Story:
    def __init__(self) -> None:
        self.clock = Clock()
        self.client = Unreachable(api.resources(), api.MASTER)
        self.events: list[str] = []

    def elector(self, identity: str, election: Election = _ELECTION) -> LeaderElector:
        def event(_lease: Mapping[str, Any], text: str) -> None:
            self.events.append(text)

        return LeaderElector(self.client, election, identity, self.clock, event)

    async def spec(self) -> dict[str, Any]:
        return dict((await self.client.get(_PATH))["spec"])


def play(story: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(Story())

    asyncio.run(run())


def test_the_first_one_leads_and_others_wait_for_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    async def story(world: Story) -> None:
        first, second = world.elector("a"), world.elector("b")
        await first.acquire()
        assert first.leading
        assert not await second._try()
        assert 'leader_election_master_status{name="x"} 1\n' in component.metrics(first, "x")
        assert 'leader_election_master_status{name="x"} 0\n' in component.metrics(second, "x")
        world.clock.now += 14
        assert not await second._try()
        world.clock.now += 2  # the lease was last seen 16 s ago
        assert await second._try()
        spec = await world.spec()
        assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("b", 1, 15)
        assert world.events == ["a became leader"]

    play(story)
    said = capfd.readouterr().err
    assert '"Attempting to acquire leader lease..." lock="kube-system/kube-scheduler"' in said
    assert '"Successfully acquired lease" lock="kube-system/kube-scheduler"' in said


def test_renewing_keeps_the_time_of_acquisition() -> None:
    async def story(world: Story) -> None:
        elector = world.elector("a")
        assert await elector._try()
        before = await world.spec()
        world.clock.now += 5
        assert await elector._try()
        after = await world.spec()
        assert after["acquireTime"] == before["acquireTime"]
        assert after["renewTime"] > before["renewTime"]
        assert after["leaseTransitions"] == 0

    play(story)


def test_a_change_by_somebody_else_is_read_again() -> None:
    async def story(world: Story) -> None:
        elector = world.elector("a")
        assert await elector._try()
        await world.client.patch(_PATH, {"metadata": {"labels": {"x": "y"}}}, "application/merge-patch+json")
        assert await elector._try()  # the optimistic write conflicts, the second one does not

    play(story)


def test_a_released_lease_is_free_at_once() -> None:
    async def story(world: Story) -> None:
        first, second = world.elector("a"), world.elector("b")
        assert await first._try()
        await first.release()
        assert not first.leading
        assert await second._try()

    play(story)


def test_the_lease_is_lost_when_the_api_server_stays_away(capfd: pytest.CaptureFixture[str]) -> None:
    async def story(world: Story) -> None:
        elector = world.elector("a", _ELECTION._replace(renew_deadline=0.05, retry_period=0.01))
        await elector.acquire()
        world.client.gone = True
        await elector.renew()
        assert world.events == ["a became leader", "a stopped leading"]
        assert await elector.problem() == ""
        world.clock.now += 36
        assert await elector.problem() == "failed election to renew leadership on lease kube-scheduler"

    play(story)
    said = capfd.readouterr().err
    assert '"Error retrieving lease lock" err="Get \\"https://10.0.0.2:6443\\": connect: connection refused"' in said
    assert '"Failed to renew lease" lock="kube-system/kube-scheduler" err="context deadline exceeded"' in said


@pytest.mark.parametrize(
    ("rhythm", "problem"),
    [
        ((15, 10, 2), None),
        ((10, 10, 2), "leaseDuration must be greater than renewDeadline"),
        ((15, 10, 9), "renewDeadline must be greater than retryPeriod*JitterFactor"),
        ((15, 10, 0.5), "retryPeriod must be greater than zero"),
    ],
)
def test_a_rhythm_that_cannot_be(rhythm: tuple[float, float, float], problem: str | None) -> None:
    assert leaderelection.problem(Election("n", "x", *rhythm)) == problem
