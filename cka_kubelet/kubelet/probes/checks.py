"""One probe, once: exec, httpGet, tcpSocket. The texts are those of upstream's probers."""

import asyncio
import ssl
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from cka_kubelet.cri.client import CRIClient
from cka_kubelet.cri.errors import CommandTimedOutError, RpcError
from cka_kubelet.kube.gofmt import errno_text, quote
from cka_kubelet.kube.httpclient import HTTPClient, HTTPResponse, TransportError

OUTPUT_LIMIT = 10 * 1024
MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)


class ProbeError(Exception):
    """The probe could not be made, so its result is unknown."""


class Outcome(NamedTuple):
    """`ok`, and what the prober saw. `answered`: it was HTTP's answer that was not good enough."""

    ok: bool
    output: str
    answered: bool = False
    warning: bool = False


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
    path = spec.get("path") or "/"
    url = f"{scheme}://{shown}:{port}" + (path if path.startswith("/") else f"/{path}")
    try:
        async with asyncio.timeout(timeout):
            reply = await _follow(url, headers, timeout, f"kube-{purpose}/1.36")
    except TimeoutError:
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Outcome(False, f"Get {quote(url)}: {late}")
    except TransportError as error:
        return Outcome(False, str(error))
    body = reply.body[:OUTPUT_LIMIT].decode("utf-8", "replace")
    if 300 <= reply.status < 400:
        return Outcome(True, f"Probe terminated redirects, Response body: {body}", answered=True, warning=True)
    if 200 <= reply.status < 300:
        return Outcome(True, body)
    return Outcome(False, f"HTTP probe failed with statuscode: {reply.status}", answered=True)


async def _follow(url: str, headers: list[tuple[str, str]], timeout: float, agent: str) -> HTTPResponse:
    """The answer after redirects to the same host; one to another host is the answer itself. Raises TransportError."""
    for _ in range(MOST_REDIRECTS):
        parts = urlsplit(url)
        context = _unverified() if parts.scheme == "https" else None
        client = HTTPClient(f"{parts.scheme}://{parts.netloc}", context, user_agent=agent)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            reply = await client.request("GET", target, headers=headers, timeout=timeout)
        finally:
            client.close_idle()
        location = reply.header("location") if reply.status in _REDIRECTS else ""
        following = urljoin(url, location)
        if not location or urlsplit(following).hostname != parts.hostname:
            return reply
        url = following
    raise TransportError("Get", url, f"stopped after {MOST_REDIRECTS} redirects")


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
