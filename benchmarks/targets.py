"""What is aimed at. Each figure is a ratio taken in one run, unless its name says."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A bound that a figure is to keep."""

    bound: float
    at_most: bool = True
    #: Whether it is a promise, of which no machine is too slow to keep it.
    exact: bool = False

    def is_met(self, value: float) -> bool:
        """Tell whether ``value`` keeps it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def is_met_roughly(self, value: float, factor: float) -> bool:
        """Tell whether ``value`` is no worse than ``factor`` times the bound."""
        if self.exact:
            return self.is_met(value)
        bound = self.bound * factor if self.at_most else self.bound / factor
        return value <= bound if self.at_most else value >= bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


def at_least(bound: float) -> Target:
    """Return a target for a figure that is the better the higher it is."""
    return Target(bound, at_most=False)


HOT_PATH = {
    "uid() / deque.popleft": Target(3.3),
    "uid() / ulid-transform": Target(0.95),
    "uid() / sonyflake-turbo, 200 machine ids": Target(0.55),
    "uid() / snowflake-id": Target(0.15),
    "uids(1000) / list(range(1000))": Target(1.6),
    "DefaultUidGenerator.uid() / snowflake-id": Target(0.8),
    "sustained 10 s, default layout: share of 4.096 M/s": at_least(0.99),
    "sustained 10 s, default layout: greatest lead in s": Target(1.0, exact=True),
    "sustained 10 s, layout and settings like Baidu's: M/s": at_least(10),
    "8 threads together / 1 thread": at_least(0.9),
    "2 processes together / 1 process": at_least(1.8),
    "uid() p99.9 in µs": Target(20),
    "uid() p99.99 in µs": Target(500),
}

TRUTH = {
    "greatest lead in s": Target(1.0, exact=True),
    "greatest lag in s": Target(1.0, exact=True),
}

ROWS = {
    "create() / BigAutoField": Target(1.0),
    "bulk_create(100,000) / BigAutoField": Target(1.15),
    "bulk_create(100,000) / UUIDField(uuid4)": Target(1.0),
    "bulk_create(100,000) / UUIDField(uuid7)": Target(1.0),
    "index / UUIDField(uuid4)": Target(0.55),
    "index / UUIDField(uuid7)": Target(0.75),
}

CLAIMS = {
    "claim with 1,000,000 rows of history / with 100": Target(1.5),
}

WEIGHT = {
    "django.setup() with the app, ms more": Target(10),
    "queries of django.setup()": Target(0),
    "resident memory after 1,000,000 UIDs, MiB more": Target(3),
    "wake-ups of an idle process in 5 s": Target(0),
}

ENDPOINT = {
    "POST uids/ / bare DRF view, requests a second": at_least(0.85),
}
