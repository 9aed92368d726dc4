"""What the kubelet knows about its container runtime's health (pkg/kubelet/runtime.go)."""

from collections.abc import Callable

from cka_kubelet.clock import Clock

BASE_RUNTIME_SYNC_THRESHOLD = 30.0
"""Seconds without a good runtime status after which the runtime counts as down."""


class RuntimeState:
    """Collects errors from the runtime, the network plugin, storage and health checks such as the PLEG's.

    A health check is a function that gives None or what is wrong; its name prefixes the text, `PLEG is not healthy: …`.
    """

    def __init__(self, clock: Clock, threshold: float = BASE_RUNTIME_SYNC_THRESHOLD) -> None:
        self._clock = clock
        self._threshold = threshold
        self._last_sync: float | None = None
        self._checks: list[tuple[str, Callable[[], str | None]]] = []
        self._runtime_error: str | None = None
        self._network_error: str | None = "network state unknown"
        self._storage_error: str | None = None
        self.pod_cidr = ""

    def add_health_check(self, name: str, check: Callable[[], str | None]) -> None:
        """Ask `check` whenever runtime errors are asked for."""
        self._checks.append((name, check))

    def set_runtime_sync(self) -> None:
        """The runtime answered just now that it is ready."""
        self._last_sync = self._clock.monotonic()

    def set_runtime_error(self, error: str | None) -> None:
        self._runtime_error = error

    def set_network_error(self, error: str | None) -> None:
        self._network_error = error

    def set_storage_error(self, error: str | None) -> None:
        self._storage_error = error

    def runtime_errors(self) -> list[str]:
        """In upstream's order: status check, health checks, the runtime's own condition. Empty when all is well."""
        errors = []
        if self._last_sync is None:
            errors.append("container runtime status check may not have completed yet")
        elif self._clock.monotonic() - self._last_sync > self._threshold:
            errors.append("container runtime is down")
        for name, check in self._checks:
            problem = check()
            if problem is not None:
                errors.append(f"{name} is not healthy: {problem}")
        if self._runtime_error is not None:
            errors.append(self._runtime_error)
        return errors

    def network_errors(self) -> list[str]:
        """Why pods that need the pod network cannot start. Empty when all is well."""
        return [self._network_error] if self._network_error is not None else []

    def storage_errors(self) -> list[str]:
        """Why volumes cannot be used. Empty when all is well."""
        return [self._storage_error] if self._storage_error is not None else []
