"""Puts the API server together and runs it, alone or with the controllers beside it in one process."""

import asyncio
import contextlib
import functools
import json
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cka_kubelet.controlplane import bootstrap, kubeadmconfig, serveroptions, serving
from cka_kubelet.controlplane.admission import Admission
from cka_kubelet.controlplane.authn import MASTER, Authenticator
from cka_kubelet.controlplane.authz import Authorizer
from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.command import VERSION, Exit, StartError
from cka_kubelet.controlplane.controllers.garbage import EventExpiry
from cka_kubelet.controlplane.controllers.informer import Loop
from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.controlplane.localclient import LocalClient
from cka_kubelet.controlplane.proxy import KubeletProxy
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.controlplane.resources import Resources
from cka_kubelet.controlplane.server import APIServer
from cka_kubelet.controlplane.storagebackend import StorageError, open_store
from cka_kubelet.controlplane.store import Store
from cka_kubelet.controlplane.tokens import TokenSigner
from cka_kubelet.controlplane.upkeep import Upkeep
from cka_kubelet.kube import klog
from cka_kubelet.kube.certfiles import pair_problem, public_keys_problem
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.httpserver import Handler
from cka_kubelet.kube.signals import stop_event

_FATAL = 255
"""What a line of severity F ends a program with."""
if TYPE_CHECKING:
    from cka_kubelet.controlplane.auditpolicy import Policy

Beside = Callable[[Client], Awaitable[None]]


def _signer(settings: Settings) -> TokenSigner:
    path = settings.text("service-account-signing-key-file")
    try:
        return TokenSigner(path, settings.words("service-account-issuer")[0], _readable(settings))
    except OSError as error:
        problem = path_error("open", path, error)
    except ValueError:
        problem = f"error reading private key file {path}: data does not contain a valid RSA or ECDSA private key"
    raise StartError(f"failed to parse service-account-issuer-key-file: {problem}")


def _readable(settings: Settings) -> list[str]:
    """The key files there are; what is wrong with others is said when files are checked."""
    return [path for path in settings.words("service-account-key-file") if public_keys_problem(path) is None]


def _kubelet_tls(settings: Settings) -> ssl.SSLContext | None:
    certificate, key = settings.text("kubelet-client-certificate"), settings.text("kubelet-client-key")
    if not certificate:
        return None
    problem = pair_problem(certificate, key)
    if problem:
        raise StartError(problem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    authority = settings.text("kubelet-certificate-authority")
    if authority:
        context.load_verify_locations(authority)
    else:
        context.verify_mode = ssl.CERT_NONE  # upstream's default as well: kubelets sign their own serving certificate
    context.load_cert_chain(certificate, key)
    return context


def _check_more_files(settings: Settings) -> None:
    """Keys of service accounts, and the pair the API server shows to aggregated ones. Raises StartError."""
    problems = [public_keys_problem(path) for path in settings.words("service-account-key-file")]
    certificate, key = settings.text("proxy-client-cert-file"), settings.text("proxy-client-key-file")
    if certificate or key:
        problems.append(pair_problem(certificate, key))
    for problem in problems:
        if problem:
            raise StartError(problem)


def _own_address() -> str:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # no packet is sent; the kernel says which address it would use
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _notify_ready() -> None:
    """systemd's Type=notify."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        address = "\0" + path[1:] if path.startswith("@") else path
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", address)


class _Completed(NamedTuple):
    """What follows from the flags: the advertised address, the services' range, the signer of tokens."""

    address: str
    services: str
    service_address: str
    signer: TokenSigner


class _Parts(NamedTuple):
    """What files give, and what runs beside the server."""

    kubelet_tls: ssl.SSLContext | None
    policy: "Policy | None"
    others: Beside | None


def _complete(settings: Settings) -> _Completed:
    """Check all flags. Raises StartError."""
    address = settings.text("advertise-address") or _own_address()
    if not settings.text("external-hostname"):
        klog.raw("I", "options.go:263", f"external host was not specified, using {address}")
    try:
        services = serveroptions.service_network(settings)
    except ValueError as error:
        raise StartError(str(error)) from error
    signing = settings.text("service-account-signing-key-file") and settings.words("service-account-issuer")
    signer = _signer(settings) if signing else None
    problems = serveroptions.problems(settings)
    if problems or signer is None:
        raise StartError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    return _Completed(address, str(services), str(next(services.hosts())), signer)


def _say_version() -> None:
    klog.raw("I", "server.go:150", f"Version: {VERSION}")
    environment = {name: os.environ.get(name, "") for name in ("GOGC", "GOMAXPROCS", "GOTRACEBACK")}
    klog.info("server.go:152", "Golang settings", **environment)  # type: ignore[arg-type]  # keys are upstream's


def _authentication(settings: Settings) -> dict[str, str]:
    """What other servers need to authenticate as this one does."""
    found = {}
    for key in ("client-ca-file", "requestheader-client-ca-file"):
        if settings.text(key):
            found[key] = Path(settings.text(key)).read_text("ascii")
    if "requestheader-client-ca-file" in found:
        for key in ("allowed-names", "extra-headers-prefix", "group-headers", "username-headers"):
            found[f"requestheader-{key}"] = json.dumps(settings.words(f"requestheader-{key}"), separators=(",", ":"))
    return found


def _anonymous(settings: Settings, modes: list[str]) -> bool:
    """Whether requests without credentials are anonymous."""
    if "AlwaysAllow" not in modes or not settings.on("anonymous-auth"):
        return settings.on("anonymous-auth")
    klog.raw(
        "W", "authentication.go:753",
        "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. You should "
        "use a different authorizer",
    )  # fmt: skip
    return False


def _audit_policy(settings: Settings) -> "Policy | None":
    """What is to be recorded. Raises StartError."""
    path = settings.text("audit-policy-file")
    if not path:
        return None
    from cka_kubelet.controlplane import auditpolicy  # few clusters have one

    try:
        return auditpolicy.load(path)
    except auditpolicy.PolicyError as error:
        raise StartError(f"loading audit policy file: {error}") from error


def _audited(settings: Settings, policy: "Policy | None", api: APIServer, authenticator: Authenticator) -> Handler:
    """The handler, with the audit log around it where one is wanted. Raises StartError."""
    path = settings.text("audit-log-path")
    if not path:
        return api.handle
    if policy is None:
        text = "No audit policy file provided, no events will be recorded for log backend"
        klog.raw("I", "audit.go:298", text, v=2)
        return api.handle
    from cka_kubelet.controlplane.audit import AuditLog, LogFile

    try:
        write: Callable[[bytes], object] = (
            functools.partial(os.write, 1)
            if path == "-"
            else LogFile(path, settings.number("audit-log-maxsize"), settings.number("audit-log-maxbackup"))
        )
    except OSError as error:
        raise StartError(f"ensureLogFile: {path_error('open', path, error)}") from error
    return AuditLog(api.handle, policy, authenticator.authenticate, write).handle


def _say_plugins(settings: Settings) -> None:
    enabled = serveroptions.plugins(settings)
    for line, kind, order in ((157, "mutating", serveroptions.MUTATING), (160, "validating", serveroptions.VALIDATING)):
        names = [name for name in order if name in enabled]
        text = f"Loaded {len(names)} {kind} admission controller(s) successfully in the following order"
        klog.raw("I", f"plugins.go:{line}", f"{text}: {','.join(names)}.")


async def _beside(resources: Resources, settings: Settings, upkeep: Upkeep, others: Beside | None) -> None:
    """What runs next to serving: the expiry of events, upkeep, and the controllers where they share the process."""
    client = LocalClient(resources, MASTER)
    async with asyncio.TaskGroup() as group:
        group.create_task(Loop("event-ttl", EventExpiry(client, settings.seconds("event-ttl")).sync).run())
        group.create_task(Loop("bootstrap-controller", upkeep.sync).run())
        if others is not None:
            group.create_task(_awaited(others(client)))


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def run(settings: Settings, others: Beside | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError."""
    completed = _complete(settings)
    _say_version()
    serving.check_files(settings)
    serving.check_authorities(
        settings, 'unable to load client CA file "{}"', "unable to create request header authentication config"
    )
    _check_more_files(settings)
    kubelet_tls = _kubelet_tls(settings)
    policy = _audit_policy(settings)
    _say_plugins(settings)
    try:
        store = await open_store(settings)
    except StorageError as error:
        klog.raw("F", "instance.go:233", str(error))
        raise Exit(_FATAL) from error
    except OSError as error:
        raise StartError(str(error)) from error
    try:
        await _serve(settings, completed, store, _Parts(kubelet_tls, policy, others))
    finally:
        await store.close()


async def _serve(settings: Settings, completed: _Completed, store: Store, parts: _Parts) -> None:
    address, services, service_address, signer = completed
    port = settings.number("secure-port")
    plugins, modes = serveroptions.plugins(settings), serveroptions.modes(settings)
    registry = Registry(store, Admission(store, services, plugins))
    authenticator = Authenticator(
        store, signer, anonymous=_anonymous(settings, modes), bootstrap=settings.on("enable-bootstrap-token-auth")
    )
    resources = Resources(registry, Authorizer(store, modes), authenticator, signer)

    async def populate() -> None:
        await bootstrap.populate(registry, address, port, service_address)
        if settings.text("client-ca-file"):
            pods = settings.text("cluster-cidr") if settings.has("cluster-cidr") else "10.244.0.0/16"
            authority = Path(settings.text("client-ca-file"))
            await kubeadmconfig.populate(registry, f"https://{address}:{port}", authority, pods, services)
        await bootstrap.publish_authentication(registry, _authentication(settings))

    upkeep = Upkeep(registry, populate, address, port, service_address)
    await upkeep.start()
    api = APIServer(resources, KubeletProxy(registry, parts.kubelet_tls), f"{address}:{port}")
    handler = _audited(settings, parts.policy, api, authenticator)
    server = await serving.listen(settings, handler, "apiserver")
    serving.announce(settings)
    beside = asyncio.create_task(_beside(resources, settings, upkeep, parts.others))
    _notify_ready()
    stopping = asyncio.create_task(stop_event().wait())
    try:
        await asyncio.wait((stopping, beside), return_when=asyncio.FIRST_COMPLETED)
        if beside.done():
            beside.result()
    finally:
        beside.cancel()
        stopping.cancel()
        await asyncio.gather(beside, stopping, return_exceptions=True)
        server.close()
        await server.wait_closed()
