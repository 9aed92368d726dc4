"""klog's lines on stderr: header, structured message, key/value pairs.

`klog.error("kubelet.go:3531", "Unable to …", err=error, node=name)` prints
`E1121 03:09:19.063796   54895 kubelet.go:3531] "Unable to …" err="…" node="node01"`.
Strings are quoted, numbers and booleans bare, lists and mappings JSON, text of several lines framed by `<` and ` >`
(klog/v2 internal/serialize). `logger=` is an ordinary last key. After `configure(json=True)` a line is a JSON object.
"""

import fnmatch
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from cka_kubelet.kube.gofmt import quote, to_json

_STDERR: Final = 2


class _State:
    verbosity = 0
    json = False
    vmodule: tuple[tuple[str, int], ...] = ()
    pid = os.getpid()


class KObj:
    """A reference to an object; prints as `"namespace/name"`, or `"name"` without a namespace."""

    __slots__ = ("name", "namespace")

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def json_fields(self) -> dict[str, str]:
        """What the JSON format shows."""
        return {"name": self.name, "namespace": self.namespace} if self.namespace else {"name": self.name}


KRef = KObj


def set_verbosity(level: int) -> None:
    """Lines of a level above this are dropped; the kubelet's `-v`."""
    _State.verbosity = level


def configure(*, json: bool = False, vmodule: Sequence[tuple[str, int]] = ()) -> None:
    """Set the format, and levels by source file: patterns such as `kubelet*` for the name without `.go`."""
    _State.json = json
    _State.vmodule = tuple(vmodule)


def verbosity() -> int:
    """The level in force."""
    return _State.verbosity


def enabled(level: int, source: str = "") -> bool:
    """Whether lines of this level are printed, in the source file `source` (`kubelet.go:1839`) if given."""
    if level <= _State.verbosity:
        return True
    if not _State.vmodule or not source:
        return False
    name = source.partition(":")[0].removesuffix(".go")
    return level <= next((most for pattern, most in _State.vmodule if fnmatch.fnmatchcase(name, pattern)), 0)


def header(severity: str, source: str, now: float) -> str:
    """`Lmmdd hh:mm:ss.uuuuuu PPPPPPP file.go:LINE] ` in local time, pid right-aligned in seven columns."""
    local = time.localtime(now)
    micros = int(now % 1 * 1_000_000)
    stamp = (
        f"{local.tm_mon:02d}{local.tm_mday:02d} {local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}.{micros:06d}"
    )
    return f"{severity}{stamp} {_State.pid:>7} {source}] "


def _framed(text: str) -> str:
    body = text[:-1] if text.endswith("\n") else text
    return "<\n" + "\n".join("\t" + line for line in body.split("\n")) + "\n >"


def format_value(value: object) -> str:
    """One value the way klog prints it after `key=`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return '"<nil>"'
    if isinstance(value, dict | list | tuple):
        return to_json(value)
    if isinstance(value, bytes):
        return quote(value.decode("utf-8", "surrogateescape"))
    text = str(value)
    return _framed(text) if "\n" in text else quote(text)


def format_line(msg: str, pairs: dict[str, Any]) -> str:
    """The part of a structured line after the header."""
    if not pairs:
        return quote(msg)
    return quote(msg) + "".join(f" {key}={format_value(value)}" for key, value in pairs.items())


def _write(line: str) -> None:
    with suppress(OSError):  # nobody left to tell
        os.write(_STDERR, (line + "\n").encode("utf-8", "surrogateescape"))


def _emit(severity: str, source: str, msg: str, pairs: dict[str, Any], level: int | None) -> None:
    now = time.time()
    if _State.json:
        from cka_kubelet.kube import klogjson  # only where it is asked for

        _write(klogjson.entry(source, msg, level, pairs, now))
    else:
        _write(header(severity, source, now) + format_line(msg, pairs))


def info(source: str, msg: str, /, v: int = 0, **kv: Any) -> None:
    """Print an I line, when level `v` is enabled."""
    if v <= _State.verbosity or (_State.vmodule and enabled(v, source)):
        _emit("I", source, msg, kv, v)


def warning(source: str, msg: str, /, **kv: Any) -> None:
    """Print a W line. Upstream writes few of them."""
    _emit("W", source, msg, kv, 0)


def error(source: str, msg: str, /, err: object | None = None, **kv: Any) -> None:
    """Print an E line; `err` comes first and is left out when None."""
    if err is not None:
        kv = {"err": err if isinstance(err, str) else str(err), **kv}
    _emit("E", source, msg, kv, None)


def unhandled(source: str, err: object) -> None:
    """Upstream's utilruntime.HandleError."""
    error(source, "Unhandled Error", err=err, logger="UnhandledError")


def raw(severity: str, source: str, text: str, v: int = 0) -> None:
    """Print an unstructured line with a header, e.g. grpc's own."""
    if not enabled(v, source):
        return
    if _State.json:
        _emit(severity, source, text, {}, None if severity == "E" else v)
    else:
        _write(header(severity, source, time.time()) + text)


def plain(text: str) -> None:
    """Print a line without any header, as flag deprecations and panics are."""
    _write(text)
