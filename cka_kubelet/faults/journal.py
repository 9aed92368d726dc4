"""The undo journal: one file per injection on the learner's machine, complete before the node is touched.

Stages: intent → captured (pre-images are safe here) → applied → restored. Undo needs nothing but this file, and every
stage can be undone. Pre-images may hold keys: files are 0600 in a 0700 directory, and the pre-images leave with the
restored stage.
"""

import base64
import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cka_kubelet.errors import RestoreError
from cka_kubelet.remote.nodestate import Captured

Stage = Literal["intent", "captured", "applied", "restored"]
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """One injection into one node. `order` sorts injections of one cluster by age."""

    id: str
    order: int
    cluster: str
    node: str
    lab: str
    fault: str
    stage: Stage
    before: Captured | None = None


class Journal:
    """The records below `directory`. Every write is complete on disk before it returns."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, cluster: str, node: str, lab: str, fault: str) -> Record:
        """A record at stage intent, already on disk."""
        orders = [record.order for record in self.records()]
        record = Record(secrets.token_hex(8), max(orders, default=0) + 1, cluster, node, lab, fault, "intent")
        self._write(record)
        return record

    def captured(self, record: Record, before: Captured) -> Record:
        """The record with its pre-images, on disk: from here on the node may be changed."""
        return self._write(replace(record, stage="captured", before=before))

    def applied(self, record: Record) -> Record:
        return self._write(replace(record, stage="applied"))

    def restored(self, record: Record) -> None:
        """Forget the record: its node is as it was."""
        self._path(record).unlink(missing_ok=True)
        self._sync_directory()

    def records(self) -> list[Record]:
        """Every record on disk, oldest first. Raises RestoreError for one that cannot be read."""
        if not self._directory.is_dir():
            return []
        return sorted((_read(path) for path in self._directory.glob("*.json")), key=lambda r: (r.order, r.id))

    def pending(self, cluster: str | None = None) -> list[Record]:
        """What has to be undone, newest first; of one cluster, or of all."""
        return [r for r in reversed(self.records()) if cluster in (None, r.cluster)]

    def forget_cluster(self, cluster: str) -> None:
        """Drop the records of a cluster whose nodes no longer exist."""
        for record in self.pending(cluster):
            self.restored(record)

    def _path(self, record: Record) -> Path:
        return self._directory / f"{record.id}.json"

    def _write(self, record: Record) -> Record:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(record)
        temporary = path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(_encode(record), file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as err:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise RestoreError(
                f"{path}: the undo journal cannot be written: {err.strerror or err}",
                "Nothing further was changed. Make room on that disk and try again.",
            ) from err
        self._sync_directory()
        return record

    def _sync_directory(self) -> None:
        if self._directory.is_dir():
            handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _encode(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = {"version": _VERSION, **{k: v for k, v in vars(record).items() if k != "before"}}
    if record.before is not None:
        packed = zlib.compress(json.dumps(record.before.as_json()).encode())
        body["before"] = base64.b64encode(packed).decode()
        body["crc"] = zlib.crc32(packed)
    return body


def _read(path: Path) -> Record:
    try:
        body: Mapping[str, Any] = json.loads(path.read_text("ascii"))
        before = None
        if "before" in body:
            packed = base64.b64decode(body["before"])
            if zlib.crc32(packed) != body["crc"]:
                raise ValueError("its checksum is wrong")  # noqa: TRY301 - one message for every way to be damaged
            held = json.loads(zlib.decompress(packed))
            before = Captured(held["paths"], held["units"], held.get("objects", {}))
        names = ("id", "order", "cluster", "node", "lab", "fault", "stage")
        return Record(**{name: body[name] for name in names}, before=before)
    except (OSError, ValueError, KeyError, zlib.error) as err:
        raise RestoreError(
            f"{path}: this undo record cannot be read: {err}",
            "Destroy the nodes (`cka-kubelet nodes destroy`), then delete that file.",
        ) from err
