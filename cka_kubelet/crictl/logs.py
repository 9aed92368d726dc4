"""logs: a container's log file in the CRI format, `RFC3339Nano stdout|stderr F|P text`."""

import asyncio
import contextlib
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cka_kubelet.cri import api_pb2 as pb
from cka_kubelet.cri.client import CRIClient
from cka_kubelet.crictl import log
from cka_kubelet.crictl.app import Context
from cka_kubelet.crictl.errors import Failure, ShowHelp, wrap
from cka_kubelet.crictl.inotify import DirectoryWatch
from cka_kubelet.kube.gofmt import parse_duration, quote

_STATE_CHECK = 5.0
"""Seconds without a change of the log after which --follow asks whether the container still runs."""

_BLOCK = 1 << 16
_LINE = re.compile(rb"(\S+) (stdout|stderr) ([^ ]+) (.*)\Z", re.DOTALL)


@dataclass
class Options:
    """What to show. `since`: RFC3339 text in UTC or ""; `limit` bytes, -1 for no limit."""

    since: str
    timestamps: bool
    stream: str
    limit: int


class Writer:
    """Takes whole lines of the file and writes what the options let through."""

    def __init__(self, options: Options, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self._options = options
        self._out = {b"stdout": stdout, b"stderr": stderr}
        self._left = options.limit

    @property
    def full(self) -> bool:
        """The byte limit is reached."""
        return self._left == 0

    def write(self, line: bytes) -> None:
        """One line with its newline. A line in no known format is reported and dropped."""
        match = _LINE.match(line.rstrip(b"\n"))
        if match is None:
            return log.error(f"Failed when parsing line in log file: unsupported log format: {quote(_show(line))}")
        when, stream, tag, text = match.groups()
        if self._options.stream not in ("", stream.decode()) or _early(when, self._options.since):
            return None
        text += b"" if tag.split(b":")[0] == b"P" else b"\n"
        text = (when + b" " if self._options.timestamps else b"") + text
        if self._left >= 0:
            text = text[: self._left]
            self._left -= len(text)
        self._out[stream].write(text)
        return None

    def flush(self) -> None:
        for out in self._out.values():
            out.flush()


def _show(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _early(when: bytes, since: str) -> bool:
    """Whether a line's time is before `since`. Both become comparable as UTC without the zone."""
    return bool(since) and _utc(when.decode("ascii", "replace")) < since


def _utc(text: str) -> str:
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        return text
    moment = datetime.fromisoformat(match.group(1) + match.group(3).replace("Z", "+00:00")).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (match.group(2) or "")


def since_text(value: str, now: datetime) -> str:
    """--since as UTC text: a duration ago, an RFC3339 time or a part of one in local time, or seconds since 1970."""
    if not value:
        return ""
    try:
        return datetime.fromtimestamp(now.timestamp() - parse_duration(value), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    except ValueError:
        pass
    try:
        moment = float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise Failure(f"parsing time {quote(value)}: invalid") from None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines of a file begin."""
    end = file.seek(0, 2)
    if lines <= 0:
        return 0 if lines < 0 else end
    at, count = end, 0
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        stop = size - 1 if at + size == end and block.endswith(b"\n") else size
        while (stop := block.rfind(b"\n", 0, stop)) >= 0:
            count += 1
            if count == lines:
                return at + stop + 1
    return 0


async def show(context: Context) -> None:
    """crictl logs"""
    if not context.args or not context.args[0]:
        raise Failure("ID cannot be empty")
    if len(context.args) > 1:
        raise ShowHelp
    container_id = context.args[0]
    runtime = await context.runtime()
    if context.get("reopen"):
        with wrap("reopen container logs"):
            await runtime.reopen_container_log(container_id)
        log.info("Container logs reopened")
    stream = context.get("stream")
    since = since_text(context.get("since"), datetime.now(UTC))
    if stream not in ("", "stdout", "stderr"):
        raise Failure(f'invalid stream {quote(stream)}, must be "stdout" or "stderr"')
    if context.given("tail") and context.given("stream"):
        raise Failure("--tail and --stream are mutually exclusive")
    status = (await runtime.container_status(container_id)).status
    writer = Writer(
        Options(since, context.get("timestamps"), stream, max(-1, context.get("limit-bytes"))),
        sys.stdout.buffer,
        sys.stderr.buffer,
    )
    follow = runtime if context.get("follow") else None
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is the usual end of --follow
        await _read(_path(context, status), context.get("tail"), writer, follow, status.id)


def _path(context: Context, status: pb.ContainerStatus) -> str:
    path = status.log_path
    if not path:
        raise Failure("the container has not set log path")
    if context.get("previous"):
        if status.metadata.attempt == 0:
            raise Failure(f"previous terminated container {status.metadata.name} not found")
        folder, _, name = path.rpartition("/")
        path = f"{folder}/{status.metadata.attempt - 1}.{name.rpartition('.')[2]}"
    return path


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).resolve(strict=True).open("rb")
    except FileNotFoundError:
        problem = f"lstat {path}: no such file or directory"
        raise Failure(f"failed to try resolving symlinks in path {quote(path)}: {problem}") from None
    except OSError as e:
        problem = f"open {path}: {(e.strerror or '').lower()}"
        raise Failure(f"failed to open log file {quote(path)}: {problem}") from e


async def _read(path: str, tail: int, writer: Writer, follow: CRIClient | None, container_id: str) -> None:
    """Write the file from its last `tail` lines on; with a runtime, go on until the container has ended."""
    file = _open(path)
    file.seek(tail_offset(file, tail))
    watch = DirectoryWatch(str(Path(path).parent)) if follow else None
    over = False
    try:
        while not writer.full:
            start = file.tell()
            line = file.readline()
            if line.endswith(b"\n"):
                writer.write(line)
                continue
            writer.flush()
            if follow is None or watch is None or over:
                return
            file.seek(start)
            if _replaced(path, file):
                file.close()
                file = _open(path)
                continue
            await watch.changed(_STATE_CHECK)
            status = (await follow.container_status(container_id)).status
            over = status.state != pb.CONTAINER_RUNNING
    finally:
        writer.flush()
        file.close()
        if watch is not None:
            watch.close()


def _replaced(path: str, file: BinaryIO) -> bool:
    """Whether the log was rotated: another file is at its path now."""
    try:
        return Path(path).stat().st_ino != Path(f"/proc/self/fd/{file.fileno()}").stat().st_ino
    except OSError:
        return False
