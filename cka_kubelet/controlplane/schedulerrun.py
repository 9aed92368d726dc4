"""kube-scheduler: from its flags to a scheduler that leads (cmd/kube-scheduler/app/server.go)."""

import asyncio
from collections.abc import Awaitable, Callable

from cka_kubelet.controlplane import component, health, restclient, serving
from cka_kubelet.controlplane.command import VERSION, StartError
from cka_kubelet.controlplane.controllers import scheduler
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.leaderelection import LeaderElector
from cka_kubelet.kube import klog
from cka_kubelet.kube.kubeconfig import RESTConfig
from cka_kubelet.kube.signals import stop_event

_NAME = "kube-scheduler"


class _State:
    def __init__(self) -> None:
        self.synced = False
        self.stopping = False

    def now_synced(self) -> None:
        """All caches have their first list."""
        self.synced = True

    async def sync_problem(self) -> str:
        """The check `sched-handler-sync`."""
        return "" if self.synced else "handlers are not fully synchronized"

    async def shutdown_problem(self) -> str:
        """The check `shutdown`."""
        return "process is shutting down" if self.stopping else ""


def _check(settings: Settings) -> None:
    port = settings.number("secure-port")
    if not 0 <= port <= 65535:
        text = f"--secure-port {port} must be between 0 and 65535, inclusive. 0 for turning off secure port"
        raise StartError(text)
    path = settings.text("config")
    if path:
        from cka_kubelet.controlplane import schedulerconfig  # kubeadm configures the scheduler by flags

        schedulerconfig.apply(settings, path)


def _elector(settings: Settings, config: RESTConfig) -> LeaderElector:
    lock = settings.text("leader-elect-resource-lock")
    if lock != "leases":
        removed = lock in ("endpoints", "configmaps", "endpointsleases", "configmapsleases")
        problem = f"{lock} lock is removed, migrate to leases" if removed else f"Invalid lock-type {lock}"
        raise StartError(f"couldn't create resource lock: {problem}")
    try:
        return component.elector(settings, config, f"{_NAME}/leader-election", "default-scheduler", release=True)
    except component.ElectionError as error:
        raise StartError(f"couldn't create leader elector: {error}") from error


async def run(settings: Settings) -> None:
    """Schedule until SIGTERM or SIGINT, or until the lease is lost. Raises StartError, Exit."""
    _check(settings)
    config = restclient.configuration(settings.text("kubeconfig"), settings.text("master"))
    client = restclient.connect(config, f"{_NAME}/scheduler")
    serving.check_files(settings)
    serving.check_authorities(
        settings, "unable to load client CA provider", "unable to create request header authentication config"
    )
    state = _State()
    chosen = None
    if settings.on("leader-elect"):
        chosen = _elector(settings, config)
    election = {"leaderElection": chosen.problem} if chosen else {}
    ready = {**election, "shutdown": state.shutdown_problem, "sched-handler-sync": state.sync_problem}
    checks = {"/healthz": election or {"ping": health.passes}, "/livez": {"ping": health.passes}, "/readyz": ready}
    endpoints = component.Endpoints(settings, checks, {"/metrics": lambda: component.metrics(chosen, _NAME)})
    await component.look_up_authentication(settings)
    server = await serving.listen(settings, endpoints.handle, _NAME)
    klog.info("server.go:175", "Starting Kubernetes Scheduler", version=VERSION)
    component.golang_settings("server.go:177")
    serving.announce(settings)

    def lead(work: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        return component.lead(chosen, work, "Leaderelection lost", "server.go:303")

    working = asyncio.create_task(scheduler.run(client, state.now_synced, lead))
    stopping = asyncio.create_task(stop_event().wait())
    try:
        await asyncio.wait((stopping, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            _raise(working)
        state.stopping = True
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if chosen is not None:
            await chosen.release()
            klog.info("server.go:299", "Requested to terminate, exiting")
    finally:
        server.close()


def _raise(task: asyncio.Task[None]) -> None:
    """What ended the task; out of a TaskGroup's wrapping."""
    try:
        task.result()
    except BaseExceptionGroup as group:
        for error in group.exceptions:
            raise error from None
