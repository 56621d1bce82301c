"""The file in which one thread of a process writes down what it was handed.

It is a row of pairs of 64-bit numbers in the machine's own byte order: the first UID of
a run, and how many it has. A pair with no UIDs is a mark.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Two numbers of 64 bits.
PAIR_BYTES = 16

#: How many bytes are read at a time.
BLOCK = 1 << 20

#: Marks: the clock was stepped back, so order may break once; the log is complete.
STEPPED_BACK = 1
COMPLETE = 2


class RunLog:
    """Append runs, so that they are kept when this process is killed right after."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o644)

    def append(self, runs: Iterable[range]) -> None:
        """Write ``runs`` down."""
        self._write([number for run in runs for number in (run.start, len(run))])

    def mark(self, mark: int) -> None:
        """Write a mark."""
        self._write([mark, 0])

    def _write(self, numbers: list[int]) -> None:
        data = array("Q", numbers).tobytes()
        if os.write(self._file, data) != len(data):
            raise OSError("A log could not be written. Is the disk full?")

    def close(self) -> None:
        """End the log as one that is complete."""
        self.mark(COMPLETE)
        os.close(self._file)


def joined(uids: Iterable[int]) -> list[range]:
    """Return UIDs in their order, as runs."""
    runs: list[range] = []
    start = end = -1
    for uid in uids:
        if uid != end:
            if start != end:
                runs.append(range(start, end))
            start = uid
        end = uid + 1
    if start != end:
        runs.append(range(start, end))
    return runs


def read(path: Path) -> Iterator[tuple[int, int]]:
    """Return the pairs of a log. The last write of a killed process may be cut off."""
    with path.open("rb") as log:
        while block := log.read(BLOCK):
            numbers = array("Q", block[: len(block) // PAIR_BYTES * PAIR_BYTES])
            pairs = iter(numbers)
            yield from zip(pairs, pairs, strict=True)
