"""Static pods: manifests in a directory, watched by inotify and listed again every fileCheckFrequency."""

import asyncio
import contextlib
import ctypes
import hashlib
import json
import os
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import path_error
from cka_kubelet.kube.gofmt import quote as q
from cka_kubelet.kubelet.pods import manifest, objects

_CHANGED = 0x2 | 0x4 | 0x80 | 0x100  # MODIFY ATTRIB MOVED_TO CREATE
_GONE = 0x40 | 0x200 | 0x400 | 0x800  # MOVED_FROM DELETE DELETE_SELF MOVE_SELF
_RETRY_FIRST, _RETRY_MOST = 1.0, 20.0
MOST = 10 << 20
"""Bytes of a manifest (upstream's maxConfigLength)."""
_NO_PATH = "path does not exist, ignoring"
Update = Callable[[dict[str, objects.Pod]], None]


class StaticPods:
    """Calls `update(pods by path)` with the whole set at the start and whenever it may have changed."""

    def __init__(self, path: str, node_name: str, frequency: float, update: Update) -> None:
        self._path = Path(path)
        self._node = node_name
        self._frequency = frequency
        self._update = update
        self._pods: dict[str, objects.Pod] = {}
        self._contents: dict[str, tuple[bytes, objects.Pod]] = {}
        self._events = asyncio.Event()
        self._changes: list[tuple[Path, bool]] = []
        self._watch: int | None = None
        self._retry_at, self._retry_delay = 0.0, _RETRY_FIRST

    async def run(self) -> None:
        """Watch for ever, until cancelled."""
        try:
            problem = self._start_watch()  # before the first listing: nothing falls between the two
            self._list()
            self._plan_retry(problem)
            next_list = time.monotonic() + self._frequency
            while True:
                if self._watch is None and time.monotonic() >= self._retry_at:
                    self._plan_retry(self._start_watch())
                now = time.monotonic()
                until = min(next_list, self._retry_at) if self._watch is None else next_list
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(until - now, 0.01)):
                        await self._events.wait()
                if self._events.is_set():
                    self._events.clear()
                    self._consume()
                if time.monotonic() >= next_list:
                    self._list()
                    next_list = time.monotonic() + self._frequency
        finally:
            self._stop_watch()

    def _list(self) -> None:
        """Read the directory, or the one file that the path names."""
        try:
            self._path.stat()
            names = sorted(self._path.iterdir()) if self._path.is_dir() else [self._path]
        except FileNotFoundError:
            # Upstream sends an empty set once, so that pods of a removed directory go away.
            self._pods.clear()
            self._update({})
            klog.error("file.go:98", "Unable to read config path", err=_NO_PATH, path=str(self._path))
            return
        except OSError as error:
            text = path_error("open", self._path, error)
            klog.error("file.go:98", "Unable to read config path", err=text, path=str(self._path))
            return
        pods = {}
        for file in names:
            if file.name.startswith(".") or not _is_regular(file):
                continue
            try:
                pods[str(file)] = self._read(file)
            except manifest.ManifestError as error:
                klog.error("file.go:187", "Could not process manifest file", err=error, path=str(file))
        self._pods = pods
        self._update(dict(pods))

    def _read(self, file: Path) -> objects.Pod:
        """The pod in a file; the same bytes give the same object. Raises ManifestError."""
        try:
            data = _contents(file)
        except OSError as error:
            raise manifest.ManifestError(path_error("open", file, error)) from None
        known = self._contents.get(str(file))
        if known and known[0] == data:
            return known[1]
        pod = manifest.parse(data, str(file), self._node)
        self._contents[str(file)] = (data, pod)
        return pod

    def _start_watch(self) -> str:
        """Begin to watch. Returns what is in the way, empty if nothing is."""
        return self._inotify() if self._path.exists() else _NO_PATH

    def _plan_retry(self, problem: str) -> None:
        """A path that does not exist is tried again every second, anything else after 1 s doubling to 20 s."""
        if not problem:
            self._retry_delay = _RETRY_FIRST
            return
        klog.error("file_linux.go:59", "Unable to read config path", err=problem, path=str(self._path))
        self._retry_at = time.monotonic() + (_RETRY_FIRST if problem == _NO_PATH else self._retry_delay)
        if problem != _NO_PATH:
            self._retry_delay = min(self._retry_delay * 2, _RETRY_MOST)

    def _inotify(self) -> str:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return f"unable to create inotify: {os.strerror(ctypes.get_errno()).lower()}"
        if libc.inotify_add_watch(descriptor, os.fsencode(self._path), _CHANGED | _GONE) < 0:
            text = f"unable to create inotify for path {q(str(self._path))}: {os.strerror(ctypes.get_errno()).lower()}"
            os.close(descriptor)
            return text
        self._watch = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._readable)
        return ""

    def _stop_watch(self) -> None:
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch)
            os.close(self._watch)
            self._watch = None

    def _readable(self) -> None:
        try:
            data = os.read(self._watch, 65536) if self._watch is not None else b""
        except BlockingIOError:
            return
        offset = 0
        while offset + 16 <= len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, offset)
            name = data[offset + 16 : offset + 16 + length].rstrip(b"\0").decode("utf-8", "surrogateescape")
            offset += 16 + length
            if mask & (_CHANGED | _GONE) and not name.startswith("."):
                self._changes.append((self._path / name if name else self._path, bool(mask & _GONE)))
        self._events.set()

    def _consume(self) -> None:
        """Carry out what inotify told, change by change as upstream does: one that cannot be read is told each time.

        A directory that is removed is not watched again: what a new one holds is found by the next listing.
        """
        changes, self._changes = self._changes, []
        for file, gone in changes:
            if gone and not file.exists():
                self._pods.pop(str(file), None)
                self._contents.pop(str(file), None)
                continue
            if file.is_dir() or file.is_fifo():
                continue
            try:
                self._pods[str(file)] = self._read(file)
            except manifest.ManifestError as error:
                text = f"can't process config file {q(str(file))}: {error}"
                klog.error("file.go:132", "Unable to process watch event", err=text)
        self._update(dict(self._pods))


def _is_regular(file: Path) -> bool:
    """Whether this entry of the directory can be a manifest; anything but a file is told."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        klog.error("file.go:163", "Could not get metadata", err=path_error("stat", file, error), path=str(file))
        return False
    if stat.S_ISREG(mode):
        return True
    if stat.S_ISDIR(mode):
        text = "Provided manifest path is a directory, so not recursing into manifest path"
        klog.error("file.go:169", text, path=str(file))
    else:
        text = "Manifest path is not a directory or file"
        klog.error("file.go:193", text, path=str(file), mode=stat.filemode(mode))
    return False


def _contents(file: Path) -> bytes:
    """At most MOST bytes of a file, never waiting for a writer. Raises OSError, ManifestError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        data = opened.read(MOST + 1)
    if len(data or b"") > MOST:
        raise manifest.ManifestError("the read limit is reached")
    return data or b""


def static_uid(node_name: str, path: str, pod: objects.Pod, source: str = "file") -> str:
    """The hash that is a static pod's uid: other content, node or path, other pod (32 hex digits)."""
    digest = hashlib.md5(usedforsecurity=False)
    where = f"host:{node_name}", f"file:{path}" if source == "file" else f"url:{path}"
    for part in (json.dumps(pod, sort_keys=True, separators=(",", ":")), *where):
        digest.update(part.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
