"""Ticks from the system clock, and a clock for tests that moves only on command.

When the clock was stepped back, ``Generation.stepped_back()`` notices, and
``LeaseKeeper.leave_the_future()`` claims a lease at the new time.
"""

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

    def tick(self) -> int:
        """Return the present tick; negative before the epoch."""
        return (self.time_ns() - self._epoch_ns) // self._tick_ns

    def tick_in(self, seconds: float) -> int:
        """Return the tick ``seconds`` from now; negative before the epoch."""
        return (self.time_ns() + int(seconds * 1e9) - self._epoch_ns) // self._tick_ns

    def bounds_ns(self, tick: int) -> tuple[int, int]:
        """Return the beginning and the end of ``tick``, in nanoseconds since 1970."""
        begin = tick * self._tick_ns + self._epoch_ns
        return begin, begin + self._tick_ns

    def seconds_until(self, tick: int) -> float:
        """Return the seconds until ``tick`` begins; negative after its beginning."""
        begin, _ = self.bounds_ns(tick)
        return (begin - self.time_ns()) / 1e9

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        # Looked up at each call: gevent may replace it.
        time.sleep(seconds)


class FakeClock(SystemClock):
    """A clock that stands still until ``step()`` or ``sleep()`` moves it."""

    def __init__(self, layout: BitLayout, start: datetime) -> None:
        super().__init__(layout)
        self._now_ns = int(start.timestamp() * 1000) * _NS_PER_MS

    def time_ns(self) -> int:
        """Return nanoseconds since 1970, as set."""
        return self._now_ns

    def step(self, seconds: float) -> None:
        """Move the clock by ``seconds``, back if negative."""
        self._now_ns += round(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by ``seconds``, without waiting."""
        self.step(seconds)
