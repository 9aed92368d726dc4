"""Signs certificate requests that were approved (pkg/controller/certificates/signer). openssl does the cryptography."""

import asyncio
import base64
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import Informer, each
from cka_kubelet.kube import klog

Object = dict[str, Any]

CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
_USAGES = {
    CLIENT: "clientAuth",
    "kubernetes.io/kube-apiserver-client": "clientAuth",
    "kubernetes.io/kubelet-serving": "serverAuth",
}
_YEAR = 365 * 86400
_MIN_SECONDS = 600
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_NAMES = re.compile(r"X509v3 Subject Alternative Name:[^\n]*\n\s*(.+)")


class Signer:
    """One pass over all certificate signing requests. `ca_cert` and `ca_key` are the cluster CA's files."""

    def __init__(
        self, client: Client, requests: Informer, ca_cert: str, ca_key: str, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._requests = requests
        self._ca_cert = ca_cert
        self._ca_key = ca_key
        self._now = now

    async def sync(self) -> None:
        """Every request once."""
        if self._ca_key:
            await each(self._requests.items.values(), self._one)

    async def _one(self, request: Object) -> None:
        status, spec = request.get("status") or {}, request["spec"]
        states = {item["type"] for item in status.get("conditions") or ()}
        usage = _USAGES.get(spec.get("signerName", ""))
        if usage is None or status.get("certificate") or states & {"Denied", "Failed"}:
            return
        if "Approved" not in states:
            return
        pem = base64.b64decode(spec.get("request", ""))
        seconds = max(int(spec.get("expirationSeconds") or _YEAR), _MIN_SECONDS)
        certificate = await self._sign(pem, usage, seconds)
        if certificate is None:
            return
        body = {**request, "status": {**status, "certificate": base64.b64encode(certificate).decode()}}
        await self._client.update(f"{REQUESTS}/{request['metadata']['name']}/status", body)

    async def _sign(self, pem: bytes, usage: str, seconds: int) -> bytes | None:
        """The certificate in PEM, None when openssl refuses the request."""
        text = await openssl("req", "-noout", "-text", stdin=pem)
        if text is None:
            return None
        lines = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature,keyEncipherment",
            f"extendedKeyUsage={usage}",
        ]
        names = _NAMES.search(text.decode("utf-8", "replace"))
        if names:
            entries = (entry.strip().replace("IP Address:", "IP:") for entry in names[1].split(","))
            lines.append("subjectAltName=" + ",".join(entry for entry in entries if entry.startswith(("DNS:", "IP:"))))
        now = self._now()
        with tempfile.TemporaryDirectory() as directory:
            extensions = Path(directory) / "ext"
            extensions.write_text("\n".join(lines))
            (Path(directory) / "index").touch()
            return await self._ca(directory, pem, extensions, now - 300, now + seconds)

    async def _ca(self, directory: str, pem: bytes, extensions: Path, start: float, end: float) -> bytes | None:
        """`openssl ca` rather than `x509 -req`: it alone sets both times to the second in every openssl 3."""
        config = Path(directory) / "config"
        config.write_text(
            "[ca]\ndefault_ca=x\n[x]\n"
            f"database={directory}/index\nnew_certs_dir={directory}\nserial={directory}/serial\n"
            "default_md=sha256\npolicy=p\nunique_subject=no\n"
            "[p]\ncommonName=optional\norganizationName=optional\n"
        )
        (Path(directory) / "serial").write_text(f"{secrets.randbits(120) | 1 << 119:030X}\n")
        request = Path(directory) / "request"
        request.write_bytes(pem)
        times = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(stamp)) for stamp in (start, end)]
        done = await openssl(
            *("ca", "-batch", "-notext", "-config", str(config), "-in", str(request), "-extfile", str(extensions)),
            *("-cert", self._ca_cert, "-keyfile", self._ca_key, "-startdate", times[0], "-enddate", times[1]),
            *("-out", f"{directory}/certificate", "-preserveDN"),
        )
        return (Path(directory) / "certificate").read_bytes() if done is not None else None


async def openssl(*arguments: str, stdin: bytes = b"") -> bytes | None:
    """Standard output of an openssl command, None when it failed."""
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        klog.error("certificate_controller.go:187", "Cannot run openssl", err=error)
        return None
    out, problem = await process.communicate(stdin)
    if process.returncode:
        text = problem.decode("utf-8", "replace").strip().rpartition("\n")[2]
        klog.error("certificate_controller.go:187", "openssl failed", err=text)
        return None
    return out
