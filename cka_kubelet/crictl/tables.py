"""Columns as Go's text/tabwriter makes them, and sizes and ages as docker/go-units words them."""

from collections.abc import Sequence

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def tabulate(rows: Sequence[Sequence[str]], *, minimum: int = 20, padding: int = 3) -> str:
    """Rows of cells as text. A column is as wide as the widest cell of the neighbouring rows that go on after it.

    The last cell of a row belongs to no column, so it neither widens one nor is padded (text/tabwriter's rule).
    """
    lines = [""] * len(rows)
    _block(rows, lines, 0, len(rows), 0, minimum, padding)
    return "".join(line + row[-1] + "\n" if row else "\n" for line, row in zip(lines, rows, strict=True))


def _block(
    rows: Sequence[Sequence[str]], lines: list[str], start: int, end: int, column: int, minimum: int, padding: int
) -> None:
    """Pad `column` in rows start..end, run of rows by run of rows that have it, then the columns within each run."""
    at = start
    while at < end:
        if len(rows[at]) - 1 <= column:
            at += 1
            continue
        stop = at
        while stop < end and len(rows[stop]) - 1 > column:
            stop += 1
        width = max(minimum, *(len(row[column]) + padding for row in rows[at:stop]))
        for i in range(at, stop):
            lines[i] += rows[i][column].ljust(width)
        _block(rows, lines, at, stop, column + 1, minimum, padding)
        at = stop


def age(seconds: float) -> str:
    """How long ago, in words: `About a minute`, `3 hours`."""
    whole, minutes, hours = int(seconds), int(seconds / 60), int(seconds / 3600 + 0.5)
    if whole < 60:
        return "Less than a second" if whole < 1 else "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    for limit, unit, name in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if days < limit:
            return f"{days // unit} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def size(count: float, precision: int = 4) -> str:
    """Bytes in powers of 1000: `2.14MB`."""
    unit = 0
    while count >= 1000 and unit < len(_SIZES) - 1:
        count /= 1000
        unit += 1
    return f"{count:.{precision}g}{_SIZES[unit]}"
