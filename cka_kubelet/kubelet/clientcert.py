"""Where certificates are kept, and the watch over the client's (client-go util/certificate, kubelet/certificate)."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from cka_kubelet.clock import Clock
from cka_kubelet.kube import klog, pem
from cka_kubelet.kube.gofmt import format_duration, path_error, quote

_CHECK_SECONDS, _FIRST_CHECK_SECONDS = 10.0, 1.0
_GONE_SECONDS = 300.0


class StoreError(Exception):
    """What is stored cannot be used. str() is client-go's message."""


class CertificateStore:
    """`NAME-current.pem` in a directory, a link to the newest `NAME-<time>.pem`.

    `cert_file` and `key_file`: a pair from elsewhere, used as long as there is no link.
    """

    def __init__(self, directory: str, name: str = "kubelet-client", cert_file: str = "", key_file: str = "") -> None:
        self._directory = Path(directory)
        self._name = name
        self._elsewhere = ((cert_file, key_file), (f"{directory}/{name}.crt", f"{directory}/{name}.key"))
        self.current_path = f"{directory}/{name}-current.pem"

    def current(self) -> bytes | None:
        """The current pair's PEM, None when there is none. Raises StoreError when it is no pair."""
        if Path(self.current_path).exists():
            klog.info("certificate_store.go:147", "Loading cert/key pair from a file", filePath=self.current_path)
            return self._read(self.current_path, self.current_path)
        for certificate, key in self._elsewhere:
            if certificate and key and Path(certificate).exists() and Path(key).exists():
                klog.info("certificate_store.go:160", "Loading cert/key pair", certFile=certificate, keyFile=key)
                return self._read(certificate, key)
        return None

    def _read(self, certificate: str, key: str) -> bytes:
        try:
            return _pair(certificate, key)
        except pem.PEMError as error:
            if certificate != key:
                raise StoreError(str(error)) from error
            raise StoreError(f"could not convert data from {quote(key)} into cert/key pair: {error}") from error

    def check(self) -> None:
        """Whether `current()` can be had, without its line. Raises StoreError."""
        if Path(self.current_path).exists():
            self._read(self.current_path, self.current_path)

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


def _pair(certificate: str, key: str) -> bytes:
    parts = []
    for path in (certificate,) if certificate == key else (certificate, key):
        try:
            parts.append(Path(path).read_bytes())
        except OSError as error:
            raise pem.PEMError(path_error("open", path, error)) from error
    pem.check_pair(parts[0], parts[-1])
    return b"".join(parts)


def initial_pair(store: CertificateStore, cert_data: bytes = b"", key_data: bytes = b"") -> tuple[bytes | None, bool]:
    """The pair to start with, and whether to replace it at once.

    That is the stored one while it is valid, else the one inside the kubeconfig, which is then stored. Raises
    StoreError.
    """
    data = store.current()
    if data is not None and time.time() < pem.certificates(data)[0].not_after:
        return data, False
    if not cert_data or not key_data:
        return None, True
    try:
        pem.check_pair(cert_data, key_data)
    except pem.PEMError as error:
        raise StoreError(str(error)) from error
    try:
        store.update(cert_data, key_data)
    except OSError as error:
        klog.error(
            "certificate_manager.go:538", "Unable to set the cert/key pair to the bootstrap certificate", err=error,
            logger="UnhandledError",
        )  # fmt: skip
    return cert_data + key_data, True


class RotationWatch:
    """Upstream's watch over the client certificate in use: new connections after a rotation, the end without one.

    `current` gives the certificate in use, None when there is none or it has expired; `healthy`: whether the API server
    answered when it was last asked for a certificate; `on_rotated` must let go of the connections made with the old
    one.
    """

    def __init__(
        self,
        current: Callable[[], pem.Certificate | None],
        healthy: Callable[[], bool],
        on_rotated: Callable[[], None],
        clock: Clock,
        fatal: Callable[[int], None],
    ) -> None:
        self._current = current
        self._healthy = healthy
        self._on_rotated = on_rotated
        self._clock = clock
        self._fatal = fatal
        self._last = current()
        self._last_available = clock.now()

    async def run(self) -> None:
        """Look every 10 s until cancelled, and every second as long as there was no certificate at all."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS if self._last is not None else _FIRST_CHECK_SECONDS)
            self.check()

    def check(self) -> None:
        """Look once."""
        found, now = self._current(), self._clock.now()
        if found is None:
            if now > self._last_available + _GONE_SECONDS:
                self._complain()
            return
        self._last_available = now
        if found is not self._last:
            self._last = found
            klog.info(
                "transport.go:147", "Certificate rotation detected, shutting down client connections to start using "
                "new credentials",
            )  # fmt: skip
            self._on_rotated()

    def _complain(self) -> None:
        when, threshold = pem.go_time(self._last_available), format_duration(_GONE_SECONDS)
        if self._healthy():
            klog.error(
                "transport.go:120", "No valid client certificate is found and the server is responsive, exiting.",
                lastCertificateAvailabilityTime=when, shutdownThreshold=threshold,
            )  # fmt: skip
            self._fatal(1)
        else:
            klog.error(
                "transport.go:123", "No valid client certificate is found but the server is not responsive. "
                "A restart may be necessary to retrieve new initial credentials.",
                lastCertificateAvailabilityTime=when, shutdownThreshold=threshold,
            )  # fmt: skip
