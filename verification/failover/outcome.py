"""What came of it: duplicates, and how long minting stood still."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from verification.soak import checker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Outcome(NamedTuple):
    """The figures of one run. Times are in seconds."""

    promotions: int
    #: Rows of the worker table that the promoted standbys lacked.
    lost_rows: int
    claims: int
    uids: int
    duplicates: int
    #: UIDs that were lower than an earlier one of their process.
    out_of_order: int
    #: The longest time in which no process was handed a UID.
    standstill: float
    #: The longest time that one process waited between two UIDs.
    longest_wait: float
    refusals: dict[str, int]
    #: What processes ended with that they should not have.
    failures: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing was found, and there was something to be found."""
        broken = self.duplicates or self.out_of_order or self.failures
        return not broken and min(self.promotions, self.lost_rows, self.uids) > 0

    def lines(self) -> dict[str, str]:
        """Return the figures as text, by what they are."""
        refused = (f"{count} {name}" for name, count in sorted(self.refusals.items()))
        return {
            "promotions": str(self.promotions),
            "rows of the worker table lost": str(self.lost_rows),
            "claims": str(self.claims),
            "UIDs": f"{self.uids:,}",
            "duplicates": f"{self.duplicates:,}",
            "out of order": str(self.out_of_order),
            "longest standstill of all": f"{self.standstill:.2f} s",
            "longest wait of one process": f"{self.longest_wait:.2f} s",
            "refusals": ", ".join(refused) or "0",
            "unexpected ends": ", ".join(self.failures) or "0",
        }


def gather(folder: Path, *, promotions: int, lost_rows: int) -> Outcome:
    """Read what the processes wrote into ``folder``, and have it checked."""
    counts = checker.check(folder).counts
    told: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    waits = [0]
    failures = []
    for line in (folder / "events").read_text().splitlines():
        _, what, *words = line.split()
        told[what] += 1
        if what == "refused":
            refusals[words[0]] += 1
        elif what == "waited":
            waits.append(int(words[0]))
        elif what == "failed":
            failures.append(" ".join(words))
    return Outcome(
        promotions=promotions,
        lost_rows=lost_rows,
        claims=told["claimed"],
        uids=counts["UIDs"],
        duplicates=counts["duplicates"],
        out_of_order=counts["out of order"],
        standstill=longest_gap(read_spans(folder / "spans")) / 1e9,
        longest_wait=max(waits) / 1e9,
        refusals=dict(refusals),
        failures=failures,
    )


def read_spans(path: Path) -> list[tuple[int, int]]:
    """Return when processes were served, in ns."""
    numbers = iter(array("Q", path.read_bytes()))
    return list(zip(numbers, numbers, strict=True))


def longest_gap(spans: Iterable[tuple[int, int]]) -> int:
    """Return the longest time between two spans that no other one covers."""
    longest, reached = 0, None
    for begin, end in sorted(spans):
        if reached is not None:
            longest = max(longest, begin - reached)
        reached = max(end, reached or end)
    return longest
