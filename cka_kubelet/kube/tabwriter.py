"""Columns as Go's text/tabwriter makes them."""

from collections.abc import Sequence


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
