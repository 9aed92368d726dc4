"""The parts as others see them: roles, health, modes of authorization, clients of service accounts."""

import asyncio
from typing import Any

import pytest

from cka_kubelet.controlplane import controllerpolicy, flagtable, serverhealth
from cka_kubelet.controlplane.accountclients import AccountClient
from cka_kubelet.controlplane.authn import ANONYMOUS, Authenticator
from cka_kubelet.controlplane.authz import Attributes, Authorizer
from cka_kubelet.controlplane.component import Endpoints
from cka_kubelet.controlplane.controllers import manager
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.health import Health, passes
from cka_kubelet.controlplane.registry import User
from cka_kubelet.kube import pflag
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpserver import Request
from cka_kubelet.kube.tlsserver import PeerCertificate

from . import api

SCHEDULER = User("system:kube-scheduler", ("system:authenticated",))
MANAGER = User("system:kube-controller-manager", ("system:authenticated",))


def allowed(user: User, verb: str, resource: str, group: str = "", namespace: str = "", name: str = "") -> bool:
    authorizer = api.resources().authorizer
    return authorizer.decide(user, Attributes(verb, "", group, "v1", resource, "", namespace, name)).allowed


def test_every_controller_has_a_role_of_its_own() -> None:
    listed = [subjects for _, _, subjects in controllerpolicy.cluster_bindings()]
    listed += [subjects for _, _, _, subjects in controllerpolicy.bindings()]
    bound = {(subject.namespace, subject.name) for subjects in listed for subject in subjects}
    assert {("kube-system", controller.account) for controller in manager.CONTROLLERS} <= bound


def test_the_scheduler_binds_but_does_not_create() -> None:
    authorizer = api.resources().authorizer
    binding = Attributes("create", "", "", "v1", "pods", "binding", "demo", "web")
    assert authorizer.decide(SCHEDULER, binding).allowed
    assert not allowed(SCHEDULER, "create", "pods", namespace="demo")
    assert allowed(SCHEDULER, "update", "leases", "coordination.k8s.io", "kube-system", "kube-scheduler")
    assert not allowed(SCHEDULER, "update", "leases", "coordination.k8s.io", "kube-system", "kube-controller-manager")


def test_the_controller_manager_itself_only_reads_and_makes_accounts() -> None:
    assert allowed(MANAGER, "watch", "pods")
    assert allowed(MANAGER, "create", "serviceaccounts", namespace="kube-system")
    assert not allowed(MANAGER, "create", "pods", namespace="demo")
    controller = User("system:serviceaccount:kube-system:replicaset-controller", ("system:authenticated",))
    assert allowed(controller, "create", "pods", namespace="demo")
    assert not allowed(controller, "update", "deployments", "apps", "demo")


@pytest.mark.parametrize(
    ("modes", "node", "nobody", "reason"),
    [
        (["Node", "RBAC"], True, False, ""),
        (["RBAC"], False, False, ""),
        (["AlwaysAllow"], True, True, ""),
        (["AlwaysDeny"], False, False, "Everything is forbidden."),
    ],
)
def test_modes_of_authorization(modes: list[str], node: bool, nobody: bool, reason: str) -> None:
    authorizer = Authorizer(api.resources().registry.store, modes)
    own = Attributes("get", "", "", "v1", "nodes", "", "", "node01")
    kubelet = User("system:node:node01", ("system:nodes", "system:authenticated"))
    assert authorizer.decide(kubelet, own).allowed is node
    decision = authorizer.decide(User("nobody", ()), own)
    assert (decision.allowed, decision.reason) == (nobody, reason)
    assert authorizer.decide(User("admin", ("system:masters",)), own).allowed


def request(path: str, peer: PeerCertificate | None = None, query: str = "", token: str = "") -> Request:
    async def read(_limit: int) -> bytes:
        return b""

    headers = [("authorization", f"Bearer {token}")] if token else []
    asked = {query: [""]} if query else {}
    return Request("GET", path, asked, query, headers, peer, "127.0.0.1", "", read)


def test_without_anonymous_requests() -> None:
    store = api.resources().registry.store
    assert Authenticator(store, None).authenticate(request("/")) == ANONYMOUS
    with pytest.raises(StatusError) as caught:
        Authenticator(store, None, anonymous=False).authenticate(request("/"))
    assert caught.value.code == 401


def test_the_api_servers_checks_have_upstreams_names_and_order() -> None:
    health = Health(serverhealth.checks(api.resources().registry.store))
    answers = {root: asyncio.run(health.answer(root, {"verbose": [""]})) for root in serverhealth.ROOTS}
    lines = {root: bytes(answer.body).decode().splitlines() for root, answer in answers.items() if answer}  # type: ignore[arg-type]
    assert lines["/readyz"][:5] == [
        "[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok"
    ]  # fmt: skip
    assert lines["/readyz"][-2:] == ["[+]shutdown ok", "readyz check passed"]
    assert "[+]poststarthook/rbac/bootstrap-roles ok" in lines["/livez"]
    assert not {"[+]shutdown ok", "[+]informer-sync ok", "[+]etcd-readiness ok"} & set(lines["/livez"])
    one = asyncio.run(health.answer("/livez/poststarthook/rbac/bootstrap-roles", {}))
    assert one is not None and (one.status, one.body) == (200, b"ok")
    assert asyncio.run(health.answer("/livez/nothing", {})) is None


def endpoints(**checks: Any) -> Endpoints:
    flags = {flag.name: flag for section in flagtable.scheduler().values() for flag in section}
    return Endpoints(Settings(pflag.parse([], flags), flags), {"/healthz": checks}, {"/metrics": lambda: "m 1\n"})


def test_health_is_for_everybody_and_the_rest_is_not() -> None:
    async def broken() -> str:
        return "failed election to renew leadership on lease x"

    served = endpoints(ping=passes)
    assert asyncio.run(served.handle(request("/healthz"))).body == b"ok"
    failing = asyncio.run(endpoints(ping=passes, leaderElection=broken).handle(request("/healthz")))
    assert failing.status == 500
    assert failing.body == b"[+]ping ok\n[-]leaderElection failed: reason withheld\nhealthz check failed\n"
    refused = asyncio.run(served.handle(request("/metrics")))
    assert refused.status == 403
    assert b'"message": "forbidden: User \\"system:anonymous\\" cannot get path \\"/metrics\\""' in bytes(refused.body)  # type: ignore[arg-type]
    admin = PeerCertificate("admin", ("system:masters",))
    assert asyncio.run(served.handle(request("/metrics", admin))).body == b"m 1\n"
    assert asyncio.run(served.handle(request("/nothing", admin))).status == 404
    assert asyncio.run(served.handle(request("/metrics", token="x"))).status == 401


class Root:
    """The controller manager's own client: makes accounts and tokens."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.tokens = 0

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        *_, account = path.removesuffix("/token").rpartition("/")
        if not path.endswith("/token"):
            self.accounts.add(body["metadata"]["name"])
            return body
        if account not in self.accounts:
            raise StatusError(404, "NotFound", "", None)
        self.tokens += 1
        return {"status": {"token": f"{account}-{self.tokens}"}}


class Direct:
    """The API as one account sees it: only the newest token counts."""

    def __init__(self, root: Root) -> None:
        self.root, self.http, self.seen = root, self, list[str]()
        self.token = ""

    async def get(self, path: str) -> dict[str, Any]:
        self.seen.append(self.token)
        if not self.token.endswith(str(self.root.tokens)):
            raise StatusError(401, "Unauthorized", "Unauthorized", None)
        return {"path": path}


def test_a_controllers_client_makes_its_account_and_renews_its_token() -> None:
    async def story() -> None:
        root = Root()
        direct = Direct(root)
        client = AccountClient(root, direct, "job-controller")  # type: ignore[arg-type]
        assert await client.get("/x") == {"path": "/x"}
        await client.get("/x")
        assert root.accounts == {"job-controller"}
        assert direct.seen == ["job-controller-1", "job-controller-1"]
        root.tokens += 1  # the key has changed: what was good is refused
        await client.get("/x")
        assert direct.seen[2:] == ["job-controller-1", "job-controller-3"]

    asyncio.run(story())
