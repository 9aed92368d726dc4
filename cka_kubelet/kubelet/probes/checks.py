"""One probe, once: exec, httpGet, tcpSocket. The texts are those of upstream's probers."""

import asyncio
import ssl
from typing import Any, NamedTuple

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import CommandTimedOutError, RpcError
from cka_kubelet.kube.gofmt import errno_text, quote
from cka_kubelet.kube.httpclient import HTTPClient, TransportError

OUTPUT_LIMIT = 10 * 1024


class ProbeError(Exception):
    """The probe could not be made, so its result is unknown."""


class Outcome(NamedTuple):
    """`ok`, and what the prober saw. `answered`: it was HTTP's answer that was not good enough."""

    ok: bool
    output: str
    answered: bool = False


async def run(
    probe: dict[str, Any], container: dict[str, Any], container_id: str, pod_ip: str, cri: CRIClient
) -> Outcome:
    """Run the probe's handler within its timeout. Raises ProbeError."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    if probe.get("exec"):
        return await command(probe["exec"].get("command") or [], container_id, timeout, cri)
    if probe.get("httpGet"):
        return await http(probe["httpGet"], container, pod_ip, timeout)
    if probe.get("tcpSocket"):
        spec = probe["tcpSocket"]
        return await tcp(spec.get("host") or pod_ip, port_number(spec.get("port"), container), timeout)
    if probe.get("grpc"):
        from cka_kubelet.kubelet.probes import grpc  # h2 is loaded anyway; the module only when a pod asks for it

        ok, output = await grpc.check(pod_ip, int(probe["grpc"]["port"]), probe["grpc"].get("service") or "", timeout)
        return Outcome(ok, output)
    raise ProbeError("missing probe handler")


async def command(argv: list[str], container_id: str, timeout: float, cri: CRIClient) -> Outcome:
    """Exit status 0 is success; the output is what the command wrote, at most 10 KiB."""
    try:
        reply = await cri.exec_sync(container_id, argv, int(timeout))
    except CommandTimedOutError as error:
        return Outcome(False, str(error))
    except RpcError as error:
        raise ProbeError(str(error)) from None
    text = (reply.stdout + reply.stderr)[:OUTPUT_LIMIT].decode("utf-8", "replace")
    return Outcome(reply.exit_code == 0, text)


async def http(
    spec: dict[str, Any], container: dict[str, Any], pod_ip: str, timeout: float, purpose: str = "probe"
) -> Outcome:
    """Any status from 200 to 399 is success. The server's certificate is not verified; `purpose` names the client."""
    scheme = (spec.get("scheme") or "HTTP").lower()
    host = spec.get("host") or pod_ip
    port = port_number(spec.get("port"), container)
    shown = f"[{host}]" if ":" in host else host
    headers = [(h["name"], h.get("value") or "") for h in spec.get("httpHeaders") or []]
    names = {name.lower() for name, _ in headers}
    if "accept" not in names:
        headers.append(("Accept", "*/*"))
    client = HTTPClient(
        f"{scheme}://{shown}:{port}", _unverified() if scheme == "https" else None, user_agent=f"kube-{purpose}/1.36"
    )
    path = spec.get("path") or "/"
    try:
        reply = await client.request(
            "GET", path if path.startswith("/") else f"/{path}", headers=headers, timeout=timeout
        )
    except TransportError as error:
        return Outcome(False, str(error))
    finally:
        client.close_idle()
    if 200 <= reply.status < 400:
        return Outcome(True, reply.body[:OUTPUT_LIMIT].decode("utf-8", "replace"))
    return Outcome(False, f"HTTP probe failed with statuscode: {reply.status}", answered=True)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def tcp(host: str, port: int, timeout: float) -> Outcome:
    """A connection that can be made is success."""
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {shown}: i/o timeout")
    except OSError as error:
        return Outcome(False, f"dial tcp {shown}: connect: {errno_text(error)}")
    writer.close()
    return Outcome(True, "")


def port_number(port: object, container: dict[str, Any]) -> int:
    """A probe's port: a number, or the name of one of the container's. Raises ProbeError."""
    if isinstance(port, int):
        return port
    text = str(port)
    if text.isdigit():
        return int(text)
    for declared in container.get("ports") or []:
        if declared.get("name") == text:
            return int(declared["containerPort"])
    raise ProbeError(f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
