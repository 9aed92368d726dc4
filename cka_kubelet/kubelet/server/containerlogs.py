"""Reading CRI log files for /containerLogs: tail, since, timestamps, limit, follow, over rotation."""

import asyncio
import calendar
import io
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cka_kubelet.kube.gofmt import quote as q

CHUNK = 64 * 1024
POLL = 0.1


class LogError(Exception):
    """The request for logs cannot be served; `status` is the HTTP status, the text the body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class LogOptions:
    """PodLogOptions. `tail` None: everything; `since` seconds since the epoch; `limit` bytes."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float | None = None
    limit: int | None = None
    stream: str = ""


def parse_options(query: dict[str, list[str]], now: float) -> LogOptions:
    """Options from a query. Raises LogError with upstream's 400 and 422 bodies."""
    try:
        tail = _number(query, "tailLines")
        limit = _number(query, "limitBytes")
        seconds = _number(query, "sinceSeconds")
        since = _time(query["sinceTime"][0]) if query.get("sinceTime", [""])[0] else None
        flags = {n: _flag(query, n) for n in ("follow", "previous", "timestamps")}
    except ValueError:
        raise LogError(400, '{"message": "Unable to decode query."}') from None
    if (tail is not None and tail < 0) or (limit is not None and limit < 1) or (seconds is not None and seconds < 1):
        raise LogError(422, '{"message": "Invalid request."}')
    if seconds is not None:
        since = now - seconds
    stream = {"Stdout": "stdout", "Stderr": "stderr"}.get(query.get("stream", [""])[0], "")
    return LogOptions(flags["follow"], flags["previous"], flags["timestamps"], tail, since, limit, stream)


def _number(query: dict[str, list[str]], name: str) -> int | None:
    value = query.get(name, [""])[0]
    return int(value) if value else None


def _flag(query: dict[str, list[str]], name: str) -> bool:
    value = query.get(name, [""])[0]
    return value.lower() not in ("", "0", "false", "f")


def _time(text: str) -> float:
    base = text.rstrip("Z").split(".")[0].split("+")[0]
    return float(calendar.timegm(time.strptime(base, "%Y-%m-%dT%H:%M:%S")))


def container_to_read(status: dict[str, Any], container: str, pod: str, previous: bool) -> str:
    """The id of the container whose log is meant (kubelet_pods.go validateContainerLogStatus). Raises LogError."""
    kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    found = next((c for kind in kinds for c in status.get(kind) or [] if c["name"] == container), None)
    if found is None:
        raise LogError(400, f"container {q(container)} in pod {q(pod)} is not available")
    state, last = found.get("state") or {}, found.get("lastState") or {}
    before = (last.get("terminated") or {}).get("containerID") or ""
    waiting = state.get("waiting") or {}
    if previous:
        if not before:
            raise LogError(400, f"previous terminated container {q(container)} in pod {q(pod)} not found")
        return _bare(before)
    if state.get("running"):
        return _bare(found.get("containerID") or "")
    if state.get("terminated"):
        if state["terminated"].get("containerID"):
            return _bare(state["terminated"]["containerID"])
        raise LogError(400, f"container {q(container)} in pod {q(pod)} is terminated")
    if before:
        return _bare(before)
    start = f"container {q(container)} in pod {q(pod)} is waiting to start"
    reason = waiting.get("reason") or ""
    if reason == "ErrImagePull":
        raise LogError(400, f"{start}: image can't be pulled")
    if reason == "ImagePullBackOff":
        raise LogError(400, f"{start}: trying and failing to pull image")
    if waiting:
        raise LogError(400, f"{start}: {reason}")
    raise LogError(400, f"container {q(container)} in pod {q(pod)} is not available")


def _bare(container_id: str) -> str:
    return container_id.partition("://")[2]


def format_line(line: bytes, options: LogOptions) -> bytes | None:
    """One CRI line (`TIME STREAM TAGS text`) as it is shown; None when it is filtered out."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3:
        return b""
    stamp, stream, tags = parts[0], parts[1].decode("ascii", "replace"), parts[2]
    if options.stream and stream != options.stream:
        return None
    if options.since is not None and not _after(stamp, options.since):
        return None
    text = parts[3] if len(parts) == 4 else b""
    end = b"" if tags.split(b":")[0] == b"P" else b"\n"
    return (stamp + b" " + text if options.timestamps else text) + end


def _after(stamp: bytes, since: float) -> bool:
    try:
        return parse_stamp(stamp.decode("ascii")) >= since
    except (ValueError, UnicodeDecodeError):
        return True


def parse_stamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with nanoseconds. Raises ValueError."""
    date, _, rest = text.partition(".")
    if not rest:
        date, rest = text[:19], "0" + text[19:]
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] or "0"
    zone = rest[len(digits) :]
    offset = 0.0
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    return calendar.timegm(time.strptime(date[:19], "%Y-%m-%dT%H:%M:%S")) + float(f"0.{digits}") - offset


def tail_offset(file: io.BufferedIOBase, lines: int) -> int:
    """Where the last `lines` complete lines of a file begin."""
    size = file.seek(0, os.SEEK_END)
    if lines == 0:
        return size
    position, left = size, lines + 1
    while position > 0:
        step = min(CHUNK, position)
        position -= step
        file.seek(position)
        block = file.read(step)
        end = len(block)
        while (end := block.rfind(b"\n", 0, end)) >= 0:
            left -= 1
            if left == 0:
                return position + end + 1
    return 0


async def read_log(path: Path, options: LogOptions, running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log's text, piece by piece; with `follow` until the container has ended. Raises OSError at the first step."""
    left = options.limit
    file = path.open("rb")
    try:
        file.seek(tail_offset(file, options.tail) if options.tail is not None else 0)
        rest = b""
        while True:
            block = file.read(CHUNK)
            out = bytearray()
            if block:
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    out += format_line(line, options) or b""
            if left is not None:
                out = out[:left]
                left -= len(out)
            if out:
                yield bytes(out)
            if left == 0:
                return
            if block:
                continue
            if not options.follow:
                return
            alive = running()
            await asyncio.sleep(POLL)
            fresh = _reopened(path, file)
            if fresh is not None:
                file.close()
                file, rest = fresh, b""
            elif not alive and file.tell() >= os.fstat(file.fileno()).st_size:
                return
    finally:
        file.close()


def _reopened(path: Path, file: io.BufferedReader) -> io.BufferedReader | None:
    """The new file under the path when the log was rotated and all of the old one was read."""
    try:
        if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return None
        return path.open("rb")
    except OSError:
        return None
