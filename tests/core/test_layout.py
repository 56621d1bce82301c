"""BitLayout: the division of a UID."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_uidgen.core.exceptions import InvalidUid, LayoutError
from django_uidgen.core.layout import DEFAULT_EPOCH, PRESETS, BitLayout

layouts = (
    st.tuples(st.integers(1, 61), st.integers(1, 61), st.integers(1, 61))
    .filter(lambda widths: sum(widths) <= 63)
    .map(lambda widths: BitLayout(*widths))
)


@given(layouts, st.data())
def test_decompose_undoes_compose(layout, data):
    """Every combination of fields that fit comes back, and fits 63 bits."""
    tick = data.draw(st.integers(0, layout.max_tick))
    worker_id = data.draw(st.integers(0, layout.worker_count - 1))
    sequence = data.draw(st.integers(0, layout.sequence_size - 1))
    uid = layout.compose(tick, worker_id, sequence)
    assert 0 <= uid < 1 << 63
    assert layout.decompose(uid) == (tick, worker_id, sequence)


@given(layouts, st.data())
def test_uids_sort_by_tick_then_worker_then_sequence(layout, data):
    """The order of UIDs is the order of their fields."""
    fields = st.tuples(
        st.integers(0, layout.max_tick),
        st.integers(0, layout.worker_count - 1),
        st.integers(0, layout.sequence_size - 1),
    )
    one, other = data.draw(fields), data.draw(fields)
    assert (layout.compose(*one) < layout.compose(*other)) == (one < other)


@pytest.mark.parametrize(
    ("name", "bits", "ends", "per_second", "workers"),
    [
        ("snowflake", 63, 2095, 4_096_000, 1024),
        ("baidu", 63, 2034, 8192, 4_194_304),
        ("javascript", 53, 2094, 4096, 1024),
    ],
)
def test_preset(name, bits, ends, per_second, workers):
    """The presets hold what the documentation says."""
    layout = BitLayout.preset(name)
    assert layout.total_bits == bits
    assert layout.epoch == DEFAULT_EPOCH
    assert layout.ends_at.year == ends
    assert layout.uids_per_second == per_second
    assert layout.worker_count == workers


def test_presets_are_the_documented_ones():
    """No preset without a test."""
    assert list(PRESETS) == ["snowflake", "baidu", "javascript"]


def test_javascript_uids_are_safe_integers():
    """The highest UID is exact in an IEEE 754 double."""
    layout = BitLayout.preset("javascript")
    highest = layout.compose(
        layout.max_tick, layout.worker_count - 1, layout.sequence_size - 1
    )
    assert highest == 2**53 - 1


@pytest.mark.parametrize("name", ["Snowflake", "", None, 41, ["snowflake"]])
def test_unknown_preset(name):
    """The message names the value and the presets."""
    with pytest.raises(
        LayoutError, match=r"choose one of snowflake, baidu, javascript"
    ):
        BitLayout.preset(name)


@pytest.mark.parametrize(
    ("widths", "options", "message"),
    [
        ((41, 11, 12), {}, r"41 \+ 11 \+ 12 are 64 bits in sum; at most 63"),
        ((0, 10, 12), {}, r"time_bits is 0; it must be an int of 1 or more"),
        ((41, -1, 12), {}, r"worker_bits is -1"),
        ((41, 10, 12.0), {}, r"sequence_bits is 12\.0"),
        ((41, 10, True), {}, r"sequence_bits is True"),
        ((41, 10, 12), {"tick_ms": 0}, r"tick_ms is 0"),
        ((41, 10, 12), {"tick_ms": 0.5}, r"tick_ms is 0\.5"),
        ((41, 10, 12), {"epoch": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001
        ((41, 10, 12), {"epoch": "2026-01-01"}, "epoch is '2026-01-01'"),
        (
            (41, 10, 12),
            {"epoch": datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)},
            "whole milliseconds",
        ),
    ],
)
def test_impossible_layout(widths, options, message):
    """A layout that cannot be is refused, with the value and the rule."""
    with pytest.raises(LayoutError, match=message):
        BitLayout(*widths, **options)


def test_epoch_is_kept_in_utc():
    """The same moment in another zone gives the same fingerprint."""
    zone = timezone(timedelta(hours=8))
    epoch = datetime(2026, 1, 1, 8, tzinfo=zone)
    assert BitLayout(41, 10, 12, epoch=epoch) == BitLayout(41, 10, 12)
    assert BitLayout(41, 10, 12, epoch=epoch).epoch.tzinfo is UTC


@pytest.mark.parametrize(
    "other",
    [
        BitLayout(40, 11, 12),
        BitLayout(41, 9, 12),
        BitLayout(41, 10, 11),
        BitLayout(41, 10, 12, tick_ms=2),
        BitLayout(41, 10, 12, epoch=DEFAULT_EPOCH - timedelta(milliseconds=1)),
    ],
)
def test_fingerprint_tells_layouts_apart(other):
    """Whatever gives UIDs another meaning gives another fingerprint."""
    assert other.fingerprint != BitLayout.preset("snowflake").fingerprint


def test_fingerprint_fits_its_column():
    """The worker table has 80 characters for it."""
    assert len(BitLayout(21, 21, 21, tick_ms=10**9).fingerprint) <= 80


def test_bounds_of_a_moment():
    """The lowest and the highest UID of a tick enclose all of that tick."""
    layout = BitLayout.preset("snowflake")
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    tick = layout.tick_at(moment)
    assert layout.moment(tick) == moment
    assert layout.lowest(moment) == layout.compose(tick, 0, 0)
    assert layout.highest(moment) + 1 == layout.compose(tick + 1, 0, 0)


@pytest.mark.parametrize("bound", ["lowest", "highest"])
def test_bounds_outside_the_layouts_time(bound):
    """Before the epoch and after the end there is no UID."""
    layout = BitLayout.preset("snowflake")
    for moment in (DEFAULT_EPOCH - timedelta(milliseconds=1), layout.ends_at):
        with pytest.raises(InvalidUid, match="does not fit into 41 bits"):
            getattr(layout, bound)(moment)


def test_moment_of_a_tick_rounds_down():
    """A tick lasts until the next one begins."""
    layout = BitLayout.preset("baidu")
    assert layout.tick_at(DEFAULT_EPOCH + timedelta(milliseconds=999)) == 0
    assert layout.tick_at(DEFAULT_EPOCH + timedelta(seconds=1)) == 1
    assert layout.tick_at(DEFAULT_EPOCH - timedelta(milliseconds=1)) == -1


@pytest.mark.parametrize(("seconds", "ticks"), [(0, 0), (0.9, 0), (1.0, 1), (2.5, 2)])
def test_ticks_in_seconds(seconds, ticks):
    """Only whole ticks count."""
    assert BitLayout.preset("baidu").ticks(seconds) == ticks


@pytest.mark.parametrize("uid", [-1, 1 << 53])
def test_decompose_refuses_what_does_not_fit(uid):
    """Bits outside the layout are not thrown away silently."""
    with pytest.raises(InvalidUid, match=r"not between 0 and 2\*\*53 - 1"):
        BitLayout.preset("javascript").decompose(uid)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ((1 << 41, 0, 0), "tick"),
        ((0, 1024, 0), "worker id"),
        ((0, 0, 4096), "sequence"),
    ],
)
def test_compose_refuses_what_does_not_fit(fields, name):
    """No field overflows into its neighbour."""
    with pytest.raises(InvalidUid, match=f"The {name} "):
        BitLayout.preset("snowflake").compose(*fields)


def test_time_past_the_year_9999():
    """A very wide time field ends where datetime does, with a clear error beyond."""
    layout = BitLayout(61, 1, 1)
    assert layout.ends_at == datetime.max.replace(tzinfo=UTC)
    with pytest.raises(InvalidUid, match="past the year 9999"):
        layout.moment(layout.max_tick)
