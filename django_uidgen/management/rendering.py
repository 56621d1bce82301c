"""Values as text, for a person or for another program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple


class Frame(NamedTuple):
    """The text before the first UID, between two, and after the last."""

    before: str
    between: str
    after: str


#: The forms of a list of UIDs. With a frame, it can be written piece by piece.
FRAMES = {
    "plain": Frame("", "\n", "\n"),
    "json": Frame('["', '",\n"', '"]\n'),
    "csv": Frame("uid\n", "\n", "\n"),
}


def number(value: float) -> str:
    """Return ``value`` with commas between the thousands, without needless zeros."""
    return f"{value:,.12g}"


def moment(value: datetime | None) -> str:
    """Return ``value`` in ISO 8601 with milliseconds, or "-" for None."""
    return "-" if value is None else value.isoformat(timespec="milliseconds")


def pairs(named: Iterable[tuple[str, object]]) -> str:
    """Return one line for each name and value, the values aligned."""
    return "\n".join(f"{name:<15}  {value}".rstrip() for name, value in named)


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return aligned columns under their headings, the first row.

    A column is flush right if the last row has a number there.
    """
    widths = [
        max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)
    ]
    right = [isinstance(cell, int) for cell in rows[-1]]
    return "\n".join(
        "  ".join(
            f"{cell!s:>{width}}" if flush_right else f"{cell!s:<{width}}"
            for cell, width, flush_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )
