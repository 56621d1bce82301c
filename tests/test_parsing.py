"""Reading UIDs, and refusing what is none, cheaply."""

from __future__ import annotations

import builtins
import enum
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.test import override_settings
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_uidgen import parse, registry, uid
from django_uidgen.conf import InvalidSetting
from django_uidgen.core import text as text_module
from django_uidgen.core.exceptions import InvalidUid, UidTooLarge
from django_uidgen.core.layout import MAX_BITS, BitLayout
from django_uidgen.parsing import to_uid
from tests.support.leases import add_lease, uid_of

LARGEST = 2**63 - 1

#: Far more digits than Python turns to a number or back.
HUGE = 10**9999


class IntOfHttp(enum.IntEnum):
    """An int with a name."""

    OK = 200


# What is a UID.


@pytest.mark.parametrize("value", [1, 7, 2**53, LARGEST])
def test_uid_or_its_digits(value):
    """Both are the same UID."""
    assert to_uid(value) == value
    assert to_uid(str(value)) == value
    assert to_uid(mark_safe(str(value))) == value


def test_int_with_a_name_is_an_int():
    """As everywhere in Python."""
    assert to_uid(IntOfHttp.OK) == 200


@pytest.mark.parametrize(
    "value",
    [
        *["", " ", "abc", "NaN", "None", "True", "0x10", "0b1", "1e5", "1.0", "1,000"],
        *["0", "00", "01", "-1", "+1", "-0", "1_0", " 1", "1 ", "1\n", "\t1", "1\x00"],
        *["\uff11\uff12", "1\uff12", "\u0663", "1\u0663", "\u00b2"],  # other scripts
        *["10000000000000000000", "9" * 20, "0" * 18 + "1", "0" * 30 + "1"],
    ],
)
def test_text_that_is_no_uid(value):
    """Only the digits that Python prints: one UID has one text."""
    with pytest.raises(InvalidUid) as caught:
        to_uid(value)
    assert str(caught.value) == (
        f"{value!r} is not a UID: UIDs are 1 to 19 digits, without a sign or leading "
        "zeros."
    )


@pytest.mark.parametrize("value", [0, -1, -LARGEST, 2**63, 2**64, -(2**63)])
@pytest.mark.parametrize("kind", [int, str])
def test_number_that_is_no_uid(kind, value):
    """Between 1 and 63 bits."""
    with pytest.raises(InvalidUid):
        to_uid(kind(value))


@pytest.mark.parametrize("value", [0, -1, 2**63, 9999999999999999999])
def test_message_of_a_number_out_of_range(value):
    """It gives the number and the range."""
    with pytest.raises(InvalidUid) as caught:
        to_uid(value)
    message = f"{value!r} is not a UID: UIDs lie between 1 and 2**63 - 1."
    assert str(caught.value) == message


def test_text_of_19_digits_out_of_range():
    """Digits alone do not tell."""
    message = r"^'9223372036854775808' is not a UID: UIDs lie"
    with pytest.raises(InvalidUid, match=message):
        to_uid(str(2**63))


@pytest.mark.parametrize(
    ("value", "error"),
    [(2**63, UidTooLarge), ("9" * 19, UidTooLarge), (HUGE, UidTooLarge)]
    + [(value, InvalidUid) for value in (0, -1, -HUGE, "9" * 20, "0", None)],
    ids=lambda value: type(value).__name__,
)
def test_error_of_a_uid_that_is_too_large(value, error):
    """It has a class of its own; anything else that is invalid has not."""
    with pytest.raises(InvalidUid) as caught:
        to_uid(value)
    assert type(caught.value) is error


@pytest.mark.parametrize("value", [0, "0"])
def test_zero_is_accepted_on_request(value):
    """Together with every UID; other forms of 0 are invalid all the same."""
    assert to_uid(value, allow_zero=True) == 0
    assert to_uid("5", allow_zero=True) == 5
    for other in (False, 0.0, "00", "-0", -1, 2**63):
        with pytest.raises(InvalidUid):
            to_uid(other, allow_zero=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (False, "False"),
        (1.0, "1.0"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
        (b"1", "<bytes>"),
        (bytearray(b"1"), "<bytearray>"),
        (Decimal(1), "<Decimal>"),
        (Fraction(10**5000), "<Fraction>"),
        ([1], "<list>"),
        ([HUGE], "<list>"),
        ({"uid": 1}, "<dict>"),
        (1j, "<complex>"),
        (object(), "<object>"),
        (datetime(2026, 1, 1, tzinfo=UTC), "<datetime>"),
    ],
)
def test_what_is_no_whole_number(value, shown):
    """Nothing is converted: 1.0 and True are not UIDs, nor is a list with one."""
    with pytest.raises(InvalidUid) as caught:
        to_uid(value)
    message = f"{shown} is not a UID: it is not a whole number."
    assert str(caught.value) == message


# Huge numbers.


class _IntMeta(type):
    def __instancecheck__(cls, value):
        return isinstance(value, builtins.int)


class NoInt(metaclass=_IntMeta):
    """Stands for int where an instance is asked for, and refuses to make one."""

    def __new__(cls, *args):
        raise AssertionError("int() was called")


@pytest.mark.parametrize(
    "text",
    ["9" * 10_000, "9" * 20, "1" + "0" * 4000, "x" * 10**6],
    ids=["10,000 nines", "20 nines", "4,000 zeros", "million letters"],
)
def test_long_text_is_not_turned_to_a_number(monkeypatch, text):
    """Its length tells, so that no time is spent; the message shows its start."""
    monkeypatch.setattr(text_module, "int", NoInt, raising=False)
    with pytest.raises(AssertionError):
        to_uid("5")
    with pytest.raises(InvalidUid) as caught:
        to_uid(text)
    shown = repr(text) if len(text) <= 40 else f"{text[:40]!r}…"
    assert str(caught.value).startswith(f"{shown} is not a UID")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("sign", [1, -1])
def test_huge_int_is_not_turned_to_text(sign):
    """Python would refuse, or take long."""
    with pytest.raises(InvalidUid) as caught:
        to_uid(sign * HUGE)
    assert str(caught.value) == (
        f"an int of {HUGE.bit_length()} bits is not a UID: UIDs lie between 1 and "
        "2**63 - 1."
    )


@pytest.mark.parametrize("value", [HUGE, -HUGE, "9" * 10_000], ids=["+", "-", "text"])
def test_parse_refuses_what_is_huge(value):
    """The same refusal by the public function."""
    with pytest.raises(InvalidUid, match="is not a UID"):
        parse(value)


# parse


def test_parts_of_a_uid():
    """Each part, by a UID made by hand."""
    number = 1_000 << 22 | 5 << 12 | 7
    parsed = parse(number)
    assert parsed.uid == number
    assert parsed.generator == "default"
    assert parsed.layout == BitLayout.preset("snowflake")
    assert (parsed.tick, parsed.worker_id, parsed.sequence) == (1_000, 5, 7)
    assert parsed.minted_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert parsed.minted_at.tzinfo is UTC
    assert parse(str(number)) == parsed


def test_parts_of_a_uid_just_minted():
    """Its time is about now."""
    earliest = datetime.now(UTC) - timedelta(seconds=2)
    parsed = parse(uid())
    assert earliest < parsed.minted_at < datetime.now(UTC) + timedelta(seconds=2)
    assert parsed.worker_id == 0


def test_parsed_uid_cannot_be_changed():
    """It is a value."""
    parsed = parse(5)
    with pytest.raises(AttributeError):
        parsed.tick = 1
    assert len({parsed, parse(5)}) == 1


def test_other_generator(settings):
    """The same number is read by the layout of the generator that is named."""
    settings.UIDGEN = {
        "default": {},
        "orders": {"LAYOUT": "baidu", "EPOCH": "2016-05-20"},
    }
    number = 60 << 35 | 9 << 13 | 3
    parsed = parse(number, "orders")
    assert parsed == parse(number, generator="orders")
    assert parsed.generator == "orders"
    assert (parsed.tick, parsed.worker_id, parsed.sequence) == (60, 9, 3)
    assert parsed.minted_at == datetime(2016, 5, 20, 0, 1, tzinfo=UTC)
    assert parse(number).tick != 60


def test_unknown_generator():
    """Named, with those that there are."""
    with pytest.raises(InvalidSetting, match="'nope'"):
        parse(5, "nope")


def test_parsing_builds_no_generator(settings):
    """A process that only reads needs no worker id, nor the settings for one."""
    settings.UIDGEN = {"default": {"TEST": False}}
    assert parse(1 << 22).tick == 1
    assert registry.generators.built() == []


def test_uid_of_more_bits_than_the_layout(settings):
    """It was minted by another generator."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}}
    assert parse(2**53 - 1).sequence == 4095
    with pytest.raises(InvalidUid, match=r"is not between 0 and 2\*\*53 - 1"):
        parse(2**53)


def test_uid_of_a_time_that_cannot_be(settings):
    """Ticks of a minute, past the year 9999."""
    layout = {"time_bits": 53, "worker_bits": 5, "sequence_bits": 5, "tick_ms": 60_000}
    options = {"LEASE": 600, "MAX_WAIT": 60}
    settings.UIDGEN = {"default": {"LAYOUT": layout, "OPTIONS": options}}
    with pytest.raises(InvalidUid, match="past the year 9999"):
        parse(LARGEST)


@st.composite
def layouts(draw):
    """Widths of at most 63 bits in sum, a tick of up to 5 s, an epoch in the past."""
    time_bits = draw(st.integers(1, MAX_BITS - 2))
    worker_bits = draw(st.integers(1, MAX_BITS - 1 - time_bits))
    return {
        "time_bits": time_bits,
        "worker_bits": worker_bits,
        "sequence_bits": draw(st.integers(1, MAX_BITS - time_bits - worker_bits)),
        "tick_ms": draw(st.integers(1, 5000)),
    }


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    widths=layouts(),
    epoch=st.datetimes(datetime(1970, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001
    draws=st.randoms(use_true_random=False),
)
def test_round_trip(widths, epoch, draws: random.Random):
    """What any layout puts together is taken apart again, as int and as text."""
    epoch = epoch.replace(microsecond=0, tzinfo=UTC)
    layout = BitLayout(**widths, epoch=epoch)
    end = datetime(9999, 1, 1, tzinfo=UTC)
    tick = draws.randint(1, min(layout.max_tick, layout.tick_at(end)))
    worker_id = draws.randrange(layout.worker_count)
    sequence = draws.randrange(layout.sequence_size)
    number = layout.compose(tick, worker_id, sequence)
    with override_settings(UIDGEN={"x": {"LAYOUT": widths, "EPOCH": epoch}}):
        parsed = parse(number, "x")
        assert parse(str(number), "x") == parsed
    assert parsed.layout == layout
    assert (parsed.tick, parsed.worker_id, parsed.sequence) == (
        tick,
        worker_id,
        sequence,
    )
    assert parsed.minted_at == epoch + timedelta(milliseconds=tick * layout.tick_ms)


@given(st.integers())
def test_every_int_is_a_uid_or_refused(number):
    """63 bits decide, and text is as its number."""
    for value in (number, str(number)):
        if 1 <= number <= LARGEST:
            assert to_uid(value) == number
        else:
            with pytest.raises(InvalidUid):
                to_uid(value)


@given(st.text())
def test_every_text_is_refused_or_prints_as_it_was(text):
    """No two texts are one UID."""
    try:
        number = to_uid(text)
    except InvalidUid:
        return
    assert str(number) == text


# The lease.


@pytest.mark.django_db
def test_worker_node(django_assert_num_queries):
    """The lease that a UID was minted under, by one query."""
    node = add_lease(7)
    add_lease(8)
    parsed = parse(uid_of(node, 5))
    with django_assert_num_queries(1):
        assert parsed.worker_node == node
    assert parsed.worker_node.host_name == "web-1.example.org"


@pytest.mark.django_db
def test_worker_node_among_the_leases_of_one_worker_id():
    """The tick tells which: a lease ends where the next begins."""
    first = add_lease(7, since=-100, until=-50, sealed=True)
    second = add_lease(7, since=-50, until=600, term=2)
    layout = parse(1).layout
    assert first.reserved_until == second.reserved_from
    last_of_first = layout.compose(first.reserved_until - 1, 7, 4095)
    first_of_second = layout.compose(second.reserved_from, 7, 0)
    assert parse(last_of_first).worker_node == first
    assert parse(first_of_second).worker_node == second


@pytest.mark.django_db
def test_no_worker_node():
    """None for what was never minted, or not under that alias, or whose row is gone."""
    node = add_lease(7)
    compose = parse(1).layout.compose
    for number in (
        compose(node.reserved_from - 1, 7, 0),
        compose(node.reserved_until, 7, 0),
        compose(node.reserved_from, 6, 0),
        1,
        LARGEST,
    ):
        assert parse(number).worker_node is None
    assert parse(uid_of(node), "orders").worker_node is None
    number = uid_of(node)
    node.delete()
    assert parse(number).worker_node is None


@pytest.mark.django_db(databases=["default", "other"])
def test_worker_node_on_the_database_of_its_generator(settings):
    """Each generator has its table."""
    settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
    here, there = add_lease(7), add_lease(7, alias="orders")
    assert parse(uid_of(here)).worker_node == here
    found = parse(uid_of(there), "orders").worker_node
    assert found == there
    assert found._state.db == "other"
