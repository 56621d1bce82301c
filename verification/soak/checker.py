"""Read what the minting processes wrote down, and count what is there twice.

    python -m verification.soak.checker FOLDER

FOLDER has a folder ``logs/ALIAS`` for each generator, since two generators may mint the
same, and, where the leases are to be checked as well, a file ``leases/ALIAS`` with the
rows of the worker table: worker id, first tick and end of each lease.

This program shares no code with the library. Its memory is bounded: the runs are spread
over many files by their UIDs, and each of these is sorted on its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from verification.soak import run_log

if TYPE_CHECKING:
    from collections.abc import Iterator

#: UIDs that agree above these bits are looked at together: 16 s in the default layout.
SHARE_BITS = 36

#: How many numbers are kept of each share before they are written.
BUFFERED = 3 << 13

#: How many findings of a kind are described.
SHOWN = 5

# The default layout: tick, 10 bits of worker id, 12 of sequence.
TICK_SHIFT = 22
SEQUENCE_BITS = 12
WORKER_IDS = 1 << 10

Run = tuple[int, int, int]
Leases = dict[int, list[tuple[int, int]]]


class Findings:
    """What was counted, and the first examples of what should not be."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def found(self, what: str, count: int, example: str) -> None:
        """Count what should not be."""
        before = self.counts[what]
        self.counts[what] += count
        if before < SHOWN:
            self.examples.append(f"{what}: {example}")

    @property
    def good(self) -> bool:
        """Tell whether nothing was found, and something was there to be looked at."""
        wrong = ("duplicates", "out of order", "not leased", "leases that overlap")
        return self.counts["UIDs"] > 0 and not any(map(self.counts.get, wrong))


class Shares:
    """Runs in files by their highest bits, so that each file fits into memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[int, array[int]] = defaultdict(lambda: array("Q"))

    def add(self, first: int, count: int, log: int) -> None:
        """Add a run, in parts where it lies in more than one share."""
        while count:
            share = first >> SHARE_BITS
            part = min(count, ((share + 1) << SHARE_BITS) - first)
            buffer = self._buffers[share]
            buffer.extend((first, part, log))
            if len(buffer) >= BUFFERED:
                self._flush(share)
            first += part
            count -= part

    def _flush(self, share: int) -> None:
        with (self._folder / str(share)).open("ab") as file:
            self._buffers[share].tofile(file)
        del self._buffers[share][:]

    def sorted(self) -> Iterator[list[Run]]:
        """Return the runs of each share, by their first UIDs."""
        for share in sorted(self._buffers):
            self._flush(share)
            path = self._folder / str(share)
            numbers = array("Q", path.read_bytes())
            path.unlink()
            each = iter(numbers)
            yield sorted(zip(each, each, each, strict=True))


def check(folder: Path) -> Findings:
    """Check all that is in ``folder``."""
    findings = Findings()
    for logs in sorted((folder / "logs").iterdir()):
        leases = read_leases(folder / "leases" / logs.name, findings)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            shares = Shares(Path(scratch))
            paths = sorted(logs.iterdir())
            for number, path in enumerate(paths):
                read_log(path, number, shares, findings)
            for runs in shares.sorted():
                find_repeated(runs, paths, findings)
                if leases is not None:
                    find_unleased(runs, leases, paths, findings)
    return findings


def read_log(path: Path, number: int, shares: Shares, findings: Findings) -> None:
    """Add the runs of a log to the shares, and see that they are in order."""
    breaks = allowed = end = 0
    complete = False
    for first, count in run_log.read(path):
        if not count:
            complete |= first == run_log.COMPLETE
            allowed += first == run_log.STEPPED_BACK
            continue
        breaks += first < end
        end = first + count
        findings.counts["UIDs"] += count
        findings.counts["runs"] += 1
        shares.add(first, count, number)
    findings.counts["logs"] += 1
    # A process may have been killed before it could write the mark.
    allowed += not complete
    if breaks > allowed:
        message = f"{breaks} times in {path}, {allowed} expected"
        findings.found("out of order", breaks - allowed, message)


def find_repeated(runs: list[Run], paths: list[Path], findings: Findings) -> None:
    """Count the UIDs that were handed out more than once."""
    end, holder = 0, 0
    for first, count, log in runs:
        if first < end:
            repeated = min(end, first + count) - first
            message = f"{repeated} from {first} in {paths[holder]} and {paths[log]}"
            findings.found("duplicates", repeated, message)
        if first + count > end:
            end, holder = first + count, log


def read_leases(path: Path, findings: Findings) -> Leases | None:
    """Return the leases by worker id, if they were given, and see that none overlap."""
    if not path.exists():
        return None
    leases: Leases = defaultdict(list)
    for line in path.read_text().splitlines():
        worker_id, begin, end = map(int, line.split())
        if begin < end:
            leases[worker_id].append((begin, end))
    for worker_id, mine in leases.items():
        mine.sort()
        for (_, end), (begin, _) in pairwise(mine):
            if begin < end:
                message = f"worker id {worker_id}, tick {begin}"
                findings.found("leases that overlap", 1, message)
    return leases


def find_unleased(
    runs: list[Run], leases: Leases, paths: list[Path], findings: Findings
) -> None:
    """Count the UIDs that lie in no lease of their worker id."""
    for first, count, log in runs:
        worker_id = first >> SEQUENCE_BITS & WORKER_IDS - 1
        tick, last_tick = first >> TICK_SHIFT, first + count - 1 >> TICK_SHIFT
        mine = leases.get(worker_id, [])
        at = bisect_right(mine, (tick, sys.maxsize)) - 1
        if at < 0 or last_tick >= mine[at][1]:
            message = f"{count} from {first} in {paths[log]}"
            findings.found("not leased", count, message)


def main(arguments: list[str]) -> int:
    """Check a folder, print what was found, and say whether it is good."""
    [folder] = arguments
    findings = check(Path(folder))
    for example in findings.examples:
        print(example, file=sys.stderr)
    print(json.dumps({"duplicates": 0, **findings.counts}))
    return 0 if findings.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
