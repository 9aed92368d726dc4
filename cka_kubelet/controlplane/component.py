"""What the controller manager and the scheduler have in common: a small HTTPS server, and a leader's lease."""

import asyncio
import os
import resource
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from cka_kubelet.controlplane import leaderelection, restclient
from cka_kubelet.controlplane.command import VERSION, Exit, StartError
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.health import Checks, Health
from cka_kubelet.controlplane.leaderelection import Election, LeaderElector
from cka_kubelet.kube import apistatus, klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kube.httpserver import Request, Response
from cka_kubelet.kube.kubeconfig import RESTConfig

_JSON = [("content-type", "application/json"), ("cache-control", "no-cache, private")]
_TEXT = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")]
_EVERYBODY = "system:authenticated"
_LOOKUP = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class ElectionError(Exception):
    """The --leader-elect-* flags do not fit together."""


class Endpoints:
    """The handler of :10257 and :10259: health for everybody, the rest for those whom the API server lets.

    `checks`: by path, `/healthz` and its like. `pages`: what else there is, path → text.
    """

    def __init__(
        self, settings: Settings, checks: Mapping[str, Checks], pages: Mapping[str, Callable[[], str]]
    ) -> None:
        self._free = settings.words("authorization-always-allow-paths")
        self._health = Health(checks)
        self._pages = pages
        self._authentication = _delegate(settings, "authentication")
        self._authorization = _delegate(settings, "authorization")
        if self._authorization is None:
            why = "No authorization-kubeconfig provided, so SubjectAccessReview of authorization tokens won't work."
            klog.raw("W", "authorization.go:193", why)

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        try:
            if not self._is_free(request.path):
                user, groups = await self._user(request)
                await self._authorize(user, groups, request)
        except StatusError as error:
            return Response(error.code, _JSON, apistatus.encode(error.status()))
        return await self._answer(request)

    def _is_free(self, path: str) -> bool:
        return any(path == free or (free.endswith("*") and path.startswith(free[:-1])) for free in self._free)

    async def _answer(self, request: Request) -> Response:
        answer = await self._health.answer(request.path, request.query)
        if answer is not None:
            return answer
        page = self._pages.get(request.path)
        return Response(200, _TEXT, page().encode()) if page else Response(404, _TEXT, b"404 page not found\n")

    async def _user(self, request: Request) -> tuple[str, tuple[str, ...]]:
        if request.peer is not None and request.peer.cn:
            return request.peer.cn, (*request.peer.organizations, _EVERYBODY)
        scheme, _, token = request.header("authorization").partition(" ")
        if scheme.lower() == "bearer" and token.strip() and self._authentication is not None:
            return await self._reviewed(token.strip())
        if request.bad_certificate or token:
            raise apistatus.unauthorized()
        return "system:anonymous", ("system:unauthenticated",)

    async def _reviewed(self, token: str) -> tuple[str, tuple[str, ...]]:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = await _ask(self._authentication, "/apis/authentication.k8s.io/v1/tokenreviews", review)
        if not status.get("authenticated"):
            raise apistatus.unauthorized()
        found = status.get("user") or {}
        return str(found.get("username", "")), (*(found.get("groups") or ()), _EVERYBODY)

    async def _authorize(self, user: str, groups: tuple[str, ...], request: Request) -> None:
        if "system:masters" in groups:
            return
        verb, path = request.method.lower(), request.path
        if self._authorization is not None:
            spec = {"user": user, "groups": groups, "nonResourceAttributes": {"path": path, "verb": verb}}
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
            status = await _ask(self._authorization, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
            if status.get("allowed"):
                return
        raise StatusError(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


async def _ask(client: APIClient | None, path: str, review: dict[str, Any]) -> dict[str, Any]:
    """The status of a review; the failure to get one is an internal error for whoever asked."""
    if client is None:
        return {}
    try:
        return dict((await client.create(path, review)).get("status") or {})
    except (StatusError, TransportError) as error:
        klog.error("webhook.go:269", "Failed to make webhook authorizer request", err=error)
        raise apistatus.internal(str(error)) from error


def _delegate(settings: Settings, what: str) -> APIClient | None:
    """A client from --authentication-kubeconfig or --authorization-kubeconfig."""
    path = settings.text(f"{what}-kubeconfig")
    if not path:
        return None
    try:
        return restclient.connect(restclient.configuration(path), "kube-component")
    except StartError as error:
        prefix = f"failed to get delegated {what} kubeconfig: "
        raise StartError(f"{prefix}{prefix}{error}") from error


async def look_up_authentication(settings: Settings) -> None:
    """What upstream does without a client CA of its own: it asks for the API server's. Raises StartError."""
    if settings.text("requestheader-client-ca-file") or settings.on("authentication-skip-lookup"):
        return
    client = _delegate(settings, "authentication")
    if client is None:
        return
    try:
        await client.get(_LOOKUP)
    except (StatusError, TransportError) as error:
        if isinstance(error, StatusError) and error.code == 403:
            klog.raw("W", "requestheader_controller.go:204", _FORBIDDEN)
        if not settings.on("authentication-tolerate-lookup-failure"):
            text = f"unable to load configmap based request-header-client-ca-file: {error}"
            raise StartError(text) from error
        klog.raw("W", "authentication.go:397", f"Error looking up in-cluster authentication configuration: {error}")
        klog.raw("W", "authentication.go:398", _CONTINUING)
        klog.raw("W", "authentication.go:399", _TO_REQUIRE)


_FORBIDDEN = (
    "Unable to get configmap/extension-apiserver-authentication in kube-system.  Usually fixed by 'kubectl create "
    "rolebinding -n kube-system ROLEBINDING_NAME --role=extension-apiserver-authentication-reader "
    "--serviceaccount=YOUR_NS:YOUR_SA'"
)
_CONTINUING = "Continuing without authentication configuration. This may treat all requests as anonymous."
_TO_REQUIRE = (
    "To require authentication configuration lookup to succeed, set --authentication-tolerate-lookup-failure=false"
)


def golang_settings(source: str) -> None:
    """The second line of every start."""
    environment = {name: os.environ.get(name, "") for name in ("GOGC", "GOMAXPROCS", "GOTRACEBACK")}
    klog.info(source, "Golang settings", **environment)  # type: ignore[arg-type]  # keys are upstream's


def elector(settings: Settings, config: RESTConfig, program: str, source: str, *, release: bool) -> LeaderElector:
    """From the --leader-elect-* flags. `source`: as whom events about the lease are recorded. Raises ElectionError."""
    deadline = settings.seconds("leader-elect-renew-deadline")
    election = Election(
        settings.text("leader-elect-resource-namespace"),
        settings.text("leader-elect-resource-name"),
        settings.seconds("leader-elect-lease-duration"),
        deadline,
        settings.seconds("leader-elect-retry-period"),
        release,
    )
    problem = leaderelection.problem(election)
    if problem:
        raise ElectionError(problem)
    client = restclient.connect(config, program, max(1.0, deadline / 2))
    recorder, tasks = Recorder(client, source), set[asyncio.Task[None]]()

    def record(lease: dict[str, Any], text: str) -> None:
        task = asyncio.create_task(recorder.event(lease, "Lease", "LeaderElection", text))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return LeaderElector(client, election, f"{socket.gethostname()}_{uuid.uuid4()}", event=record)


async def lead(chosen: LeaderElector | None, work: Callable[[], Awaitable[None]], lost: str, source: str) -> None:
    """Do the work while leading, at once without an election. `lost` is what is logged, before Exit(1)."""
    if chosen is None:
        await work()
        return
    await chosen.acquire()
    working, renewing = asyncio.ensure_future(work()), asyncio.create_task(chosen.renew())
    try:
        await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        renewing.cancel()
    klog.error(source, lost)
    raise Exit(1)


def metrics(chosen: LeaderElector | None, name: str) -> str:
    """What /metrics says, in Prometheus' text format."""
    from cka_kubelet.kube.exposition import Sample, family  # only where somebody asks

    own = resource.getrusage(resource.RUSAGE_SELF)
    seconds = own.ru_utime + own.ru_stime
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    build = {"git_version": VERSION, "major": "1", "minor": "36", "platform": "linux/amd64"}
    leading = [Sample({"name": name}, 1 if chosen.leading else 0)] if chosen else []
    return "".join(
        (
            family(
                "kubernetes_build_info", "gauge", "[ALPHA] What was built, from which version.", [Sample(build, 1)]
            ),
            family("leader_election_master_status", "gauge", "[ALPHA] 1 on the leader, 0 on others.", leading),
            family(
                "process_cpu_seconds_total", "counter", "CPU time in seconds.", [Sample({}, seconds)]
            ),
            family(
                "process_resident_memory_bytes", "gauge", "Resident memory in bytes.",
                [Sample({}, pages * resource.getpagesize())],
            ),
        )
    )  # fmt: skip
