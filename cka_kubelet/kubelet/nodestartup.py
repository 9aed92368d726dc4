"""How long a new node took to become ready (pkg/kubelet/util/node_startup_latency_tracker.go)."""

import os
import time
from pathlib import Path

from cka_kubelet.kubelet import observed


class Startup:
    """Moments in seconds since the epoch, 0 while they have not come. A Node that existed before has no figures."""

    def __init__(self) -> None:
        self.attempted = 0.0
        self.registered = 0.0
        self._ready = False

    def ready(self) -> None:
        """The node is ready: set the figures, the first time."""
        if self._ready or not self.attempted or not self.registered:
            return
        self._ready = True
        now, booted = time.time(), boot_time()
        started = process_start()
        observed.node_startup_before.set(started - booted)
        observed.node_startup_unregistered.set(self.attempted - started)
        observed.node_startup_registering.set(self.registered - self.attempted)
        observed.node_startup_registered.set(now - self.registered)
        observed.node_startup.set(now - booted)


def boot_time() -> float:
    """When the machine was booted, in seconds since the epoch."""
    lines = Path("/proc/stat").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("btime")).split()[1])


def process_start() -> float:
    """When this process was started, in seconds since the epoch, to a hundredth."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return boot_time() + ticks / os.sysconf("SC_CLK_TCK")
