"""systemd's watchdog: told that the kubelet is well at half the interval the unit asks for (pkg/kubelet/watchdog)."""

import asyncio
import os

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import format_duration, quote
from cka_kubelet.kubelet import sdnotify

_FILE = "watchdog_linux.go"


class WatchdogError(ValueError):
    """The unit's setting cannot be used. str() is upstream's message."""


def _number(text: str, what: str) -> int:
    if not text.removeprefix("-").isdigit():
        problem = f"strconv.Atoi: parsing {quote(text)}: invalid syntax"
        raise WatchdogError(f"error converting {what}: {problem}")
    return int(text)


def interval() -> float | None:
    """Seconds between two notifications; without a watchdog None, after upstream's lines. Raises WatchdogError."""
    micros, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if micros:
        seconds = _number(micros, "WATCHDOG_USEC") / 1e6
        if seconds <= 0:
            raise WatchdogError("error WATCHDOG_USEC must be a positive number")
        if not pid or _number(pid, "WATCHDOG_PID") == os.getpid():
            return seconds / 2
    klog.info(f"{_FILE}:94", "Systemd watchdog is not enabled")
    klog.info(
        f"{_FILE}:137",
        "Systemd watchdog is not enabled or the interval is invalid, so health checking will not be started.",
    )
    return None


async def run(every: float) -> None:
    """Notify until cancelled. That this loop still turns is the health check: everything else runs on it too."""
    klog.info(f"{_FILE}:141", "Starting systemd watchdog with interval", interval=format_duration(every))
    while True:
        sdnotify.notify("WATCHDOG=1")
        klog.info(f"{_FILE}:157", "Watchdog plugin notified", v=5, acknowledgment=True, state="WATCHDOG=1")
        await asyncio.sleep(every)
