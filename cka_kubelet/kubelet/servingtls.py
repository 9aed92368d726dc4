"""TLS of :10250 with a certificate that changes while the server listens.

With files (tlsCertFile, or the self-signed pair) they are followed, as is the client CA; with serverTLSBootstrap the
control plane signs, and until it has, each handshake ends in the alert that Go sends.
"""

import asyncio
import os
import ssl
from typing import TYPE_CHECKING

from cka_kubelet.kube import klog, pem, tlsserver
from cka_kubelet.kube.certfiles import authority_problem, pair_problem

if TYPE_CHECKING:
    from cka_kubelet.kubelet.tlsoptions import TLSOptions

_LOOK = 1.0
_Stamp = tuple[int, int, int] | None


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116  # once a second: no object for it
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class ServingTLS:
    """`context` is for the listener; `use` gives it a pair, at any time. `authority`: the client CA's file, or ""."""

    def __init__(self, authority: str, options: "TLSOptions | None" = None) -> None:
        self._authority = authority
        self._options = options
        self._current: ssl.SSLContext | None = None
        self._pair: tuple[str, str] | None = None
        self._seen: dict[str, _Stamp] = {}
        self.context = self._configured(tlsserver.server_context("", "", self._authority))
        self.context.sni_callback = self._choose

    def _configured(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self._options is not None:
            context.minimum_version = self._options.version
            if self._options.ciphers:
                context.set_ciphers(self._options.ciphers)
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        """Called in each handshake: switch to the certificate of now."""
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def problem(self) -> str | None:
        """Why no connection can be had now, None when it can."""
        return "no serving certificate available for the kubelet" if self._current is None else None

    def use(self, certificate: str, key: str) -> None:
        """Serve this pair (file names) from the next connection on. Raises OSError or ssl.SSLError."""
        self._current = tlsserver.server_context(certificate, key, self._authority)
        self._pair = (certificate, key)

    def use_pem(self, pair: bytes) -> None:
        """Serve this certificate and key from the next connection on. Raises ssl.SSLError."""
        with pem.as_file(pair) as path:
            self.use(path, path)
        self._pair = None

    async def follow(self, certificate: str, key: str) -> None:
        """Take over each new content of the pair's files and of the client CA's, until cancelled."""
        klog.info(
            "dynamic_serving_content.go:135", "Starting controller",
            name=f"kubelet-server-cert-files::{certificate}::{key}",
        )  # fmt: skip
        self.look(certificate, key)
        while True:
            await asyncio.sleep(_LOOK)
            self.look(certificate, key)

    def look(self, certificate: str, key: str) -> None:
        """Reload what has changed since the last look."""
        fresh = {path: _stamp(path) for path in (certificate, key, self._authority) if path}
        changed = {path for path, stamp in fresh.items() if path in self._seen and self._seen[path] != stamp}
        self._seen = fresh
        if self._authority in changed:
            self._reload_authority()
        if {certificate, key} & changed:
            self._reload_pair(certificate, key)

    def _reload_pair(self, certificate: str, key: str) -> None:
        problem = pair_problem(certificate, key)
        if problem is not None:
            klog.unhandled("dynamic_serving_content.go:215", f"key failed with : {problem}")
            return
        self.use(certificate, key)
        name = f"kubelet-server-cert-files::{certificate}::{key}"
        klog.info("dynamic_serving_content.go:194", "Loaded a new cert/key pair", v=2, name=name)

    def _reload_authority(self) -> None:
        name = f"client-ca-bundle::{self._authority}"
        problem = authority_problem(self._authority)
        if problem is not None:
            klog.unhandled("dynamic_cafile_content.go:228", f"key failed with : {problem}")
            return
        self.context.load_verify_locations(self._authority)
        if self._pair is not None:
            self.use(*self._pair)
        klog.info("dynamic_cafile_content.go:145", "Loaded a new CA Bundle and Verifier", v=2, name=name)
