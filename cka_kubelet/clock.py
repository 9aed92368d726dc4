"""Time, passed in. Production code takes a `Clock`; tests pass a `FakeClock` and never sleep."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What code that waits may ask of time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps on it."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def wait_until(condition: Callable[[], bool], timeout: float, clock: Clock, every: float = 0.1) -> bool:
    """True as soon as `condition` holds, False when it did not within `timeout` seconds. Always asks at least once."""
    deadline = clock.monotonic() + timeout
    while True:
        if condition():
            return True
        left = deadline - clock.monotonic()
        if left <= 0:
            return False
        clock.sleep(min(every, left))
