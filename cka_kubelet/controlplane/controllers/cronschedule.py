"""Cron schedules as robfig/cron's standard parser reads them. Pure."""

import datetime
from typing import NamedTuple

_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("dom", 1, 31), ("month", 1, 12), ("dow", 0, 6),
)  # fmt: skip
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_FAR = 5 * 366


class ScheduleError(ValueError):
    """Not a schedule. str() is robfig/cron's message."""


class Schedule(NamedTuple):
    """The values that each field takes; `any_day`: whether day of month or day of week is a star."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool

    def _day_fits(self, day: datetime.date) -> bool:
        in_month, in_week = day.day in self.days, (day.isoweekday() % 7) in self.weekdays
        return (in_month and in_week) if self.any_day else (in_month or in_week)

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """The first time later than `moment`; None when there is none within five years."""
        first = moment.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
        for offset in range(_FAR):
            day = first.date() + datetime.timedelta(days=offset)
            if day.month not in self.months or not self._day_fits(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = first.replace(
                        year=day.year, month=day.month, day=day.day, hour=hour, minute=minute
                    )  # fmt: skip
                    if found >= first:
                        return found
        return None


def parse(text: str) -> Schedule:
    """A schedule of five fields or one of the names such as @hourly. Raises ScheduleError."""
    if not text.strip():
        raise ScheduleError("empty spec string")
    if text.startswith("@"):
        if text not in _NAMED:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        return parse(_NAMED[text])
    words = text.split()
    if len(words) != len(_FIELDS):
        found = " ".join(words)
        raise ScheduleError(f"expected exactly 5 fields, found {len(words)}: [{found}]")
    sets = [_field(word, low, high) for word, (_, low, high) in zip(words, _FIELDS, strict=True)]
    star = any(words[index].startswith(("*", "?")) for index in (2, 4))
    return Schedule(sets[0], sets[1], sets[2], sets[3], sets[4], star)


def _field(word: str, low: int, high: int) -> frozenset[int]:
    return frozenset(value for part in word.split(",") for value in _range(part, low, high))


def _range(part: str, low: int, high: int) -> range:
    bounds, slash, step = part.partition("/")
    start, dash, end = bounds.partition("-")
    if start in ("*", "?"):
        first, last = low, high
    else:
        first = _number(start, low, high)
        last = _number(end, low, high) if dash else (high if slash else first)
    width = _number(step, low, high) if slash else 1
    if first < low:
        raise ScheduleError(f"beginning of range ({first}) below minimum ({low}): {part}")
    if last > high:
        raise ScheduleError(f"end of range ({last}) above maximum ({high}): {part}")
    if first > last:
        raise ScheduleError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    if width == 0:
        raise ScheduleError(f"step of range should be a positive number: {part}")
    return range(first, last + 1, width)


def _number(text: str, low: int, high: int) -> int:
    names = {12: (_MONTHS, 1), 6: (_DAYS, 0)}.get(high)
    if names and text.lower() in names[0]:
        return names[0].index(text.lower()) + names[1]
    if not text.lstrip("-").isdecimal():
        problem = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ScheduleError(f"failed to parse int from {text}: {problem}")
    return int(text)
