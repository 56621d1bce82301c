"""The clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from django_uidgen.core.clock import FakeClock, SystemClock
from django_uidgen.core.layout import BitLayout

BAIDU = BitLayout.preset("baidu")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_system_clock_shows_the_present_tick():
    """The tick is that of the system's time."""
    layout = BitLayout.preset("snowflake")
    clock = SystemClock(layout)
    before = layout.tick_at(datetime.now(UTC))
    tick = clock.tick()
    assert before <= tick <= layout.tick_at(datetime.now(UTC))


def test_system_clock_sleeps():
    """Sleeping until a tick ends in that tick."""
    clock = SystemClock(BitLayout.preset("snowflake"))
    tick = clock.tick() + 5
    while (seconds := clock.seconds_until(tick)) > 0:
        clock.sleep(seconds)
    assert clock.tick() >= tick


def test_time_ns_is_looked_up_at_each_call(monkeypatch):
    """A library that replaces time.time_ns is heard."""
    clock = SystemClock(BAIDU)
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_416_346 * 10**9)
    assert BAIDU.moment(clock.tick()) == datetime.fromtimestamp(1_795_416_346, UTC)


@pytest.mark.parametrize("seconds", [0.0, 0.25, 3.5, -2.0])
def test_fake_clock_moves_on_command(seconds):
    """It stands still, moves when stepped, and sleeping moves it."""
    clock = FakeClock(BAIDU, NOW)
    start = clock.time_ns()
    assert clock.time_ns() == start
    clock.step(seconds)
    assert clock.time_ns() - start == seconds * 1e9


def test_fake_clock_sleep_moves_it():
    """Waiting takes no time of the test."""
    clock = FakeClock(BAIDU, NOW)
    clock.sleep(clock.seconds_until(clock.tick() + 7))
    assert clock.tick() == BAIDU.tick_at(NOW) + 7


def test_ticks_before_the_epoch_are_negative():
    """A clock before the epoch does not wrap."""
    clock = FakeClock(BAIDU, BAIDU.epoch - timedelta(milliseconds=1))
    assert clock.tick() == -1


def test_tick_with_an_offset():
    """The tick of some seconds from now, or ago."""
    clock = FakeClock(BAIDU, NOW)
    assert clock.tick_in(1.5) - clock.tick() == 1
    assert clock.tick_in(-0.5) - clock.tick() == -1
