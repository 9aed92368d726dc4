"""Text the way Go prints it: `%q`, `time.Duration`, JSON without HTML escapes, system call errors.

The kubelet's messages are Go's; people search for them word for word. Durations are seconds (float) everywhere here.
"""

import errno
import json
import os
import re

_SIMPLE = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_NEEDS_ESCAPE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")

_UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([^\d.]*)")

_ERRNO_TEXT = {
    errno.ENOENT: "no such file or directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EISDIR: "is a directory",
    errno.ENOTDIR: "not a directory",
    errno.EROFS: "read-only file system",
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by peer",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.ETIMEDOUT: "connection timed out",
    errno.ENOSPC: "no space left on device",
    errno.EMFILE: "too many open files",
    errno.ELOOP: "too many levels of symbolic links",
    errno.EPIPE: "broken pipe",
}


def _escape(char: str) -> str:
    simple = _SIMPLE.get(char)
    if simple is not None:
        return simple
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str) -> str:
    """`text` as Go's strconv.Quote prints it, quotation marks included."""
    if _NEEDS_ESCAPE.search(text) is None:
        return f'"{text}"'
    return '"' + _NEEDS_ESCAPE.sub(lambda match: _escape(match.group()), text) + '"'


def _fraction(value: int, digits: int) -> str:
    text = f"{value:0{digits}d}".rstrip("0")
    return f".{text}" if text else ""


def format_duration(seconds: float) -> str:
    """`seconds` as Go's time.Duration prints it: 0.2 → `200ms`, 90 → `1m30s`, 600 → `10m0s`."""
    nanos = round(seconds * 1e9)
    sign = "-" if nanos < 0 else ""
    nanos = abs(nanos)
    if nanos == 0:
        return "0s"
    if nanos < 1_000:
        return f"{sign}{nanos}ns"
    if nanos < 1_000_000:
        return f"{sign}{nanos // 1_000}{_fraction(nanos % 1_000, 3)}µs"
    if nanos < 1_000_000_000:
        return f"{sign}{nanos // 1_000_000}{_fraction(nanos % 1_000_000, 6)}ms"
    whole, rest = divmod(nanos, 1_000_000_000)
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{secs}{_fraction(rest, 9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def parse_duration(text: str) -> float:
    """Seconds in a Go duration such as `1m30s`. Raises ValueError with time.ParseDuration's message."""
    rest = text
    sign = 1
    if rest[:1] in ("+", "-"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0.0
    while rest:
        match = _PART.match(rest)
        if match is None:
            raise ValueError(f"time: invalid duration {quote(text)}")
        number, unit = match.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += float(number) * _UNITS[unit]
        rest = rest[match.end() :]
    return sign * total / 1e9


def to_json(value: object) -> str:
    """`value` as compact JSON the way klog prints structures: no spaces, no HTML escapes, UTF-8 as is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def errno_text(error: OSError) -> str:
    """Go's lower-case text of a system call error: `no such file or directory`."""
    if error.errno in _ERRNO_TEXT:
        return _ERRNO_TEXT[error.errno]
    return os.strerror(error.errno).lower() if error.errno else str(error)


def path_error(operation: str, path: object, error: OSError) -> str:
    """Go's *PathError: `open /etc/x: no such file or directory`."""
    return f"{operation} {path}: {errno_text(error)}"


def join_errors(errors: list[str]) -> str:
    """Kubernetes' aggregate of errors: one prints bare, several as `[a, b]`, repeats once."""
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
