"""Exponential back-off by key, as client-go's flowcontrol.Backoff keeps it."""

from collections.abc import Callable


class Backoff:
    """`initial` seconds, doubled up to `limit`; forgotten when twice `limit` passed before the next event."""

    __slots__ = ("_entries", "_now", "initial", "limit")

    def __init__(self, initial: float, limit: float, now: Callable[[], float]) -> None:
        self.initial = initial
        self.limit = limit
        self._now = now
        self._entries: dict[str, tuple[float, float]] = {}

    def get(self, key: str) -> float:
        """The present delay of `key` in seconds; 0 when it has none."""
        entry = self._entries.get(key)
        return entry[0] if entry else 0.0

    def waiting_since(self, key: str, event: float) -> bool:
        """Whether `key` must still wait, counted from `event` (seconds since the epoch)."""
        entry = self._entries.get(key)
        if entry is None or self._expired(event, entry[1]):
            return False
        return self._now() - event < entry[0]

    def next(self, key: str, event: float) -> None:
        """Start the key's delay, or double it."""
        entry = self._entries.get(key)
        now = self._now()
        if entry is None or self._expired(event, entry[1]):
            self._entries[key] = (min(self.initial, self.limit), now)
        else:
            self._entries[key] = (min(entry[0] * 2, self.limit), now)

    def forget(self, part: str) -> None:
        """Drop every key that contains `part` (a pod's uid)."""
        for key in [k for k in self._entries if part in k]:
            del self._entries[key]

    def _expired(self, event: float, last_update: float) -> bool:
        return event - last_update > self.limit * 2
