"""Ticks from the system clock, and a clock for tests that moves on command."""

from __future__ import annotations

import time
from datetime import datetime

from django_uidgen.core.layout import BitLayout

_NS_PER_MS = 1_000_000


class SystemClock:
    """Read the wall clock of this machine as milliseconds and ticks of a layout."""

    def __init__(self, layout: BitLayout) -> None:
        self._tick_ns = layout.tick_ms * _NS_PER_MS
        self._epoch_ns = int(layout.epoch.timestamp() * 1000) * _NS_PER_MS

    def time_ns(self) -> int:
        """Return nanoseconds since 1970, as ``time.time_ns``."""
        return time.time_ns()

    def tick(self, offset: float = 0.0) -> int:
        """Return the tick of ``offset`` seconds from now; negative before the epoch."""
        now_ns = self.time_ns() + int(offset * 1e9)
        return (now_ns - self._epoch_ns) // self._tick_ns

    def seconds_until(self, tick: int) -> float:
        """Return the seconds until ``tick`` begins; negative when it has."""
        return (tick * self._tick_ns + self._epoch_ns - self.time_ns()) / 1e9

    def sleep(self, seconds: float) -> None:
        """Wait. Looked up at each call, so that gevent's replacement is used."""
        time.sleep(seconds)


class FakeClock(SystemClock):
    """A clock that stands still until told to move. Sleeping moves it."""

    def __init__(self, layout: BitLayout, start: datetime) -> None:
        super().__init__(layout)
        self._now_ns = int(start.timestamp() * 1000) * _NS_PER_MS

    def time_ns(self) -> int:
        """Return the time that was set."""
        return self._now_ns

    def step(self, seconds: float) -> None:
        """Move the clock, back when ``seconds`` is negative."""
        self._now_ns += round(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """Move the clock on by ``seconds``, at once."""
        self.step(seconds)
