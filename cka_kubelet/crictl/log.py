"""Lines on stderr as logrus writes them: logfmt into a file or pipe, short and coloured on a terminal."""

import re
import sys
import time

from cka_kubelet.kube.gofmt import quote

_START = time.monotonic()
_BARE = re.compile(r"[A-Za-z0-9\-._/@^+]+\Z")
_COLOURS = {"error": 31, "fatal": 31, "warning": 33, "info": 36, "debug": 37}
_debug = False


def set_debug(on: bool) -> None:
    """Let debug lines through."""
    global _debug
    _debug = on


def line(level: str, text: str, now: float, *, terminal: bool, elapsed: int = 0) -> str:
    """One line without its newline. `now` in seconds since the epoch, `elapsed` whole seconds since the start."""
    if terminal:
        return f"\x1b[{_COLOURS[level]}m{level[:4].upper()}\x1b[0m[{elapsed:04d}] {text:<44} "
    shown = text if _BARE.match(text) else quote(text)
    zone = time.strftime("%z", time.localtime(now))
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f'time="{time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))}{zone}" level={level} msg={shown}'


def _write(level: str, text: str) -> None:
    elapsed = int(time.monotonic() - _START)
    sys.stdout.flush()
    print(line(level, text, time.time(), terminal=sys.stderr.isatty(), elapsed=elapsed), file=sys.stderr, flush=True)


def error(text: str) -> None:
    _write("error", text)


def warning(text: str) -> None:
    _write("warning", text)


def info(text: str) -> None:
    _write("info", text)


def debug(text: str) -> None:
    if _debug:
        _write("debug", text)
