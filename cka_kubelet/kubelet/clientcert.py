"""The client certificate store and the watch over its expiry (client-go util/certificate, pkg/kubelet/certificate)."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration, quote
from cka_kubelet.kube.kubeconfig import RESTConfig
from cka_kubelet.kubelet import pem
from cka_kubelet.kubelet.bootstrap import BootstrapError

_CHECK_SECONDS = 10.0
_GONE_SECONDS = 300.0


class CertificateStore:
    """`kubelet-client-current.pem` in a directory, a link to the newest `kubelet-client-<time>.pem`."""

    def __init__(self, directory: str, name: str = "kubelet-client") -> None:
        self._directory = Path(directory)
        self._name = name
        self.current_path = f"{directory}/{name}-current.pem"

    def current(self) -> bytes | None:
        """The current pair's PEM, None when there is none. Raises BootstrapError when it is no pair."""
        path = Path(self.current_path)
        if not path.exists():
            return None
        klog.info("certificate_store.go:147", "Loading cert/key pair from a file", filePath=self.current_path)
        data = path.read_bytes()
        try:
            pem.check_pair(data, data)
        except pem.PEMError as error:
            raise BootstrapError(
                "failed to initialize client certificate manager: could not convert data from "
                f"{quote(self.current_path)} into cert/key pair: {error}"
            ) from error
        return data

    def update(self, certificate: bytes, key: bytes) -> None:
        """Store a new pair and make it the current one. Raises OSError, also when the current one is no link."""
        self._directory.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S")
        target = self._directory / f"{self._name}-{stamp}.pem"
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + key)
        current = Path(self.current_path)
        if current.exists() and not current.is_symlink():
            raise OSError(f"expected {quote(self.current_path)} to be a symlink but it is a file")
        updated = self._directory / f"{self._name}-updated.pem"
        updated.unlink(missing_ok=True)
        updated.symlink_to(target)
        updated.rename(self.current_path)


def initial_pair(store: CertificateStore, config: RESTConfig) -> bytes | None:
    """The pair to start with: the stored one, else the kubeconfig's own, which is then stored."""
    data = store.current()
    if data is not None:
        return data
    certificate = config.cert_data or _read(config.cert_file)
    key = config.key_data or _read(config.key_file)
    if not certificate or not key:
        return None
    try:
        pem.check_pair(certificate, key)
    except pem.PEMError as error:
        raise BootstrapError(f"failed to initialize client certificate manager: {error}") from error
    store.update(certificate, key)
    return certificate + key


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError:
        return b""


async def watch_expiry(
    not_after: Callable[[], float | None],
    healthy: Callable[[], Awaitable[bool]],
    clock: Clock,
    fatal: Callable[[int], None],
) -> None:
    """Every 10 s: end the kubelet when its certificate has expired, or has been gone for 5 min, and the server answers.

    `not_after` gives the current certificate's end (epoch seconds), None when there is none.
    """
    last_available = clock.now()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        end = not_after()
        now = clock.now()
        if end is None:
            if now > last_available + _GONE_SECONDS:
                if await healthy():
                    klog.error(
                        "transport.go:120",
                        "No valid client certificate is found and the server is responsive, exiting.",
                        lastCertificateAvailabilityTime=pem.go_time(last_available),
                        shutdownThreshold=format_duration(_GONE_SECONDS),
                    )  # fmt: skip
                    fatal(1)
                else:
                    klog.error(
                        "transport.go:123", "No valid client certificate is found but the server is not responsive. "
                        "A restart may be necessary to retrieve new initial credentials.",
                        lastCertificateAvailabilityTime=pem.go_time(last_available),
                        shutdownThreshold=format_duration(_GONE_SECONDS),
                    )  # fmt: skip
            continue
        last_available = now
        if now > end:
            if await healthy():
                klog.error(
                    "transport.go:130", "The currently active client certificate has expired and the server is "
                    "responsive, exiting."
                )  # fmt: skip
                fatal(1)
            else:
                klog.error(
                    "transport.go:132", "The currently active client certificate has expired, but the server is not "
                    "responsive. A restart may be necessary to retrieve new initial credentials."
                )  # fmt: skip
