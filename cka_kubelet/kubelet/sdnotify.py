"""systemd's readiness notification."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send e.g. `READY=1` to the socket in NOTIFY_SOCKET; nothing when systemd did not give one."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
