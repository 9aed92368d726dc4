"""Puts the control plane together and runs it: API server, scheduler and controllers in one process."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import ssl
from pathlib import Path

from cka_kubelet.controlplane import bootstrap, kubeadmconfig
from cka_kubelet.controlplane.admission import Admission
from cka_kubelet.controlplane.authn import MASTER, Authenticator
from cka_kubelet.controlplane.authz import Authorizer
from cka_kubelet.controlplane.client import LocalClient
from cka_kubelet.controlplane.controllers import run_all
from cka_kubelet.controlplane.flags import Options
from cka_kubelet.controlplane.proxy import KubeletProxy
from cka_kubelet.controlplane.registry import Registry
from cka_kubelet.controlplane.resources import Resources
from cka_kubelet.controlplane.server import APIServer
from cka_kubelet.controlplane.storagebackend import open_store
from cka_kubelet.controlplane.tokens import TokenSigner
from cka_kubelet.kube import httpserver, klog, tlsserver


def _signer(options: Options) -> TokenSigner | None:
    path = options.service_account_signing_key_file or options.service_account_key_file
    return TokenSigner(path, options.service_account_issuer) if path else None


def _kubelet_tls(options: Options) -> ssl.SSLContext | None:
    if not options.kubelet_client_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if options.kubelet_certificate_authority:
        context.load_verify_locations(options.kubelet_certificate_authority)
    else:
        context.verify_mode = ssl.CERT_NONE  # upstream's default as well: kubelets sign their own serving certificate
    context.load_cert_chain(options.kubelet_client_certificate, options.kubelet_client_key)
    return context


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


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError, ssl.SSLError or ValueError for bad files or a taken port.

    Raises StorageError when there is no etcd.
    """
    store = await open_store(options)
    registry = Registry(store, Admission(store, options.service_cluster_ip_range))
    signer = _signer(options)
    resources = Resources(registry, Authorizer(store), Authenticator(store, signer), signer)
    address = options.advertise_address or _own_address()
    services = ipaddress.ip_network(options.service_cluster_ip_range)
    await bootstrap.populate(registry, address, options.secure_port, str(next(services.hosts())))
    server_url = f"https://{address}:{options.secure_port}"
    cidrs = (options.cluster_cidr, options.service_cluster_ip_range)
    await kubeadmconfig.populate(registry, server_url, Path(options.client_ca_file), *cidrs)
    api = APIServer(resources, KubeletProxy(registry, _kubelet_tls(options)), f"{address}:{options.secure_port}")
    tls = tlsserver.server_context(options.tls_cert_file, options.tls_private_key_file, options.client_ca_file)
    server = await httpserver.serve(api.handle, options.bind_address, options.secure_port, tls)
    klog.info("secure_serving.go:211", f"Serving securely on [::]:{server.port}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    controllers = asyncio.create_task(run_all(LocalClient(resources, MASTER), options))
    _notify_ready()
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((stopping, controllers), return_when=asyncio.FIRST_COMPLETED)
        if controllers.done():
            controllers.result()
    finally:
        controllers.cancel()
        stopping.cancel()
        await asyncio.gather(controllers, stopping, return_exceptions=True)
        server.close()
        await server.wait_closed()
        await store.close()
