"""``uid_floor``, ``uid_ceil`` and ``uid_bounds``: moments as UIDs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_uidgen import parse, uid, uid_bounds, uid_ceil, uid_floor
from django_uidgen.conf import InvalidSetting
from django_uidgen.core.layout import DEFAULT_EPOCH, BitLayout
from django_uidgen.moments import span_of

MILLISECOND = timedelta(milliseconds=1)
NAIVE = datetime.fromisoformat("2026-01-01T09:00:01")
LAYOUTS = [
    BitLayout(41, 10, 12),
    BitLayout(31, 10, 12, tick_ms=1000),
    BitLayout(3, 1, 1, tick_ms=7, epoch=datetime(1960, 1, 1, 0, 0, 0, 1000, UTC)),
    # The last one reaches past the year 9999, where datetime ends.
    BitLayout(61, 1, 1, tick_ms=1000),
]
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9))]))
NEAR = st.builds(
    lambda layout, microseconds: layout.epoch + timedelta(microseconds=microseconds),
    st.sampled_from(LAYOUTS),
    st.integers(-100_000, 100_000),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(moment=MOMENTS | NEAR, data=st.data())
def test_span_divides_the_uids(layout, moment, data):
    """Those before, those at, and those after a moment."""
    first, end = span_of(moment, layout)
    known = min(layout.max_tick, layout.tick_at(datetime.max.replace(tzinfo=UTC)))
    near = st.integers(-3, 3).map(lambda step: layout.tick_at(moment) + step)
    ticks = st.integers(0, known) | near.map(lambda tick: min(max(tick, 0), known))
    value = data.draw(ticks) << layout.time_shift | data.draw(
        st.integers(0, (1 << layout.time_shift) - 1)
    )
    minted_at = layout.moment(layout.decompose(value).tick)
    assert (value < first) == (minted_at < moment)
    assert (first <= value < end) == (minted_at == moment)
    assert (value >= end) == (minted_at > moment)


def test_bounds_of_now():
    """A UID that was just minted lies between its own moment and the next tick's."""
    value = uid()
    minted_at = parse(value).minted_at
    assert uid_floor(minted_at) <= value <= uid_ceil(minted_at)
    low, high = uid_bounds(minted_at, minted_at + MILLISECOND)
    assert (low, high) == (uid_floor(minted_at), uid_ceil(minted_at) + 1)
    assert low <= value < high
    assert (
        uid_ceil(minted_at - MILLISECOND) < value < uid_floor(minted_at + MILLISECOND)
    )


def test_between_two_ticks():
    """No UID has that time: the bounds are those of the ticks beside it."""
    between = DEFAULT_EPOCH + 5 * MILLISECOND + timedelta(microseconds=1)
    assert uid_floor(between) == 6 << 22
    assert uid_ceil(between) == (6 << 22) - 1


def test_outside_of_the_layouts_time():
    """Bounds of nothing, or of all there is."""
    assert uid_floor(DEFAULT_EPOCH - MILLISECOND) == 0
    assert uid_ceil(DEFAULT_EPOCH - MILLISECOND) == -1
    assert uid_floor(datetime(2200, 1, 1, tzinfo=UTC)) == 2**63
    assert uid_ceil(datetime(2200, 1, 1, tzinfo=UTC)) == 2**63 - 1


@pytest.mark.parametrize("hours", [-12, 12])
def test_moments_that_utc_cannot_hold(hours):
    """The first and the last of datetime, some hours off: no OverflowError."""
    zone = timezone(timedelta(hours=hours))
    assert uid_floor(datetime.min.replace(tzinfo=zone)) == 0
    assert uid_floor(datetime.max.replace(tzinfo=zone)) == 2**63


def test_generator(settings):
    """By the layout of the generator that is named."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "javascript"}}
    moment = DEFAULT_EPOCH + timedelta(seconds=3)
    assert uid_floor(moment, "orders") == uid_floor(moment) // 1000 == 3 << 22
    with pytest.raises(InvalidSetting):
        uid_floor(moment, "nobody")


def test_naive_moment_without_zones(settings):
    """It is in the project's zone."""
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    assert uid_floor(NAIVE) == 1000 << 22


def test_naive_moment_with_zones(settings):
    """As Django does it: in the project's zone, with a warning."""
    settings.TIME_ZONE = "Asia/Tokyo"
    with pytest.warns(RuntimeWarning, match="naive datetime"):
        assert uid_floor(NAIVE) == 1000 << 22


@pytest.mark.parametrize("value", [None, "2026-01-01", 0, date(2026, 1, 1)])
def test_no_moment(value):
    """A date has no zone, so it is none."""
    with pytest.raises(TypeError, match="give a datetime"):
        uid_floor(value)
