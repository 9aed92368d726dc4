"""kube-controller-manager: from its flags to controllers that lead (cmd/kube-controller-manager/app)."""

import asyncio

from cka_kubelet.controlplane import component, health, manageroptions, restclient, serving
from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.command import VERSION, Exit, StartError
from cka_kubelet.controlplane.controllers import manager
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.health import Check
from cka_kubelet.controlplane.leaderelection import LeaderElector
from cka_kubelet.kube import klog
from cka_kubelet.kube.apiclient import APIClient
from cka_kubelet.kube.httpclient import TransportError
from cka_kubelet.kube.kubeconfig import RESTConfig
from cka_kubelet.kube.signals import stop_event

_NAME = "kube-controller-manager"
_WAIT_SECONDS = 10.0
_KILLED = 2
"""What a Go program ends with as a container's first process when a signal that it does not handle ends it."""


async def run(settings: Settings) -> None:
    """Run the controllers until a signal comes or the lease is lost. Raises StartError, Exit."""
    problems = manageroptions.problems(settings)
    if problems:
        raise StartError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    config = restclient.configuration(settings.text("kubeconfig"), settings.text("master"))
    client = restclient.connect(config, f"{_NAME}/shared-informers")
    serving.check_files(settings)
    serving.check_authorities(
        settings, "unable to load client CA provider", "unable to create request header authentication config"
    )
    chosen = None
    if settings.on("leader-elect"):
        chosen = _elector(settings, config)
    checks: dict[str, Check] = {"leaderElection": chosen.problem} if chosen else {"ping": health.passes}
    endpoints = component.Endpoints(
        settings, {"/healthz": checks}, {"/metrics": lambda: component.metrics(chosen, _NAME)}
    )
    await component.look_up_authentication(settings)
    server = await serving.listen(settings, endpoints.handle, _NAME)
    klog.info("controllermanager.go:189", "Starting", version=VERSION)
    component.golang_settings("controllermanager.go:191")
    serving.announce(settings)

    async def work() -> None:
        await _control(settings, config, client, checks)

    working = asyncio.create_task(component.lead(chosen, work, "leaderelection lost", "controllermanager.go:333"))
    stopping = asyncio.create_task(stop_event().wait())
    await asyncio.wait((stopping, working), return_when=asyncio.FIRST_COMPLETED)
    server.close()
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    raise Exit(_KILLED)


def _elector(settings: Settings, config: RESTConfig) -> LeaderElector:
    try:
        return component.elector(settings, config, f"{_NAME}/leader-election", _NAME, release=False)
    except component.ElectionError as error:
        klog.plain(f"panic: {error}\n\ngoroutine 1 [running]:")
        raise Exit(_KILLED) from error


async def _control(settings: Settings, config: RESTConfig, client: APIClient, checks: dict[str, Check]) -> None:
    problem = await _wait_for_api(client)
    if problem:
        text = f"failed to wait for apiserver being healthy: {problem}"
        klog.error("controllermanager.go:260", "Error building controller context", err=text)
        raise Exit(1)
    broken = manageroptions.start_problem(settings)
    if broken is not None:
        name, problem = broken
        klog.error("controllermanager.go:771", "Error starting controller", err=problem, controller=name)
        klog.error("controllermanager.go:266", "Error starting controllers", err=problem)
        raise Exit(1)
    wanted, configuration = settings.words("controllers"), manageroptions.configuration(settings)
    checks |= {c.name: health.passes for c in manager.CONTROLLERS if manager.enabled(c.name, wanted)}
    accounts = None
    if settings.on("use-service-account-credentials"):
        from cka_kubelet.controlplane.accountclients import AccountClients  # kubeadm's way; a bare one needs it not

        accounts = AccountClients(client, config, _NAME)

    def client_of(controller: manager.Controller) -> Client:
        return accounts.client(controller.account) if accounts else client

    manager.say_which(configuration, wanted)
    await manager.run(client, configuration, wanted, client_of)


async def _wait_for_api(client: APIClient) -> str | None:
    """Wait until /healthz says ok; after 10 s why it does not."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _WAIT_SECONDS
    while True:
        try:
            response = await client.http.request("GET", "/healthz", timeout=_WAIT_SECONDS)
        except TransportError as error:
            problem = f"failed to get apiserver /healthz status: {error}"
        else:
            if response.status == 200:
                return None
            problem = f"failed to get apiserver /healthz status: {_status_text(response.body)}"
        if loop.time() >= until:
            return f"context deadline exceeded: {problem}"
        await asyncio.sleep(1)


def _status_text(body: bytes) -> str:
    return body.decode("utf-8", "replace").strip()
