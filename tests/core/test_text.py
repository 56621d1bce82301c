"""UIDs as text: round trips, order, and what is refused."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.text import (
    UidText,
    from_base32,
    from_base62,
    to_base32,
    to_base62,
)

LARGEST = 2**63 - 1
UID = 118_268_539_986_373_293

uids = st.integers(1, LARGEST)

FORMS = {32: (to_base32, from_base32, 13), 62: (to_base62, from_base62, 11)}
both_forms = pytest.mark.parametrize(
    ("write", "read", "width"), FORMS.values(), ids=["base32", "base62"]
)
every_text = pytest.mark.parametrize(
    "form",
    [UidText(base, prefix) for base in (10, 32, 62) for prefix in ("", "ord_", "7")],
    ids=lambda form: f"{form.prefix}{form.base}",
)


@pytest.mark.parametrize(
    ("uid", "base32", "base62"),
    [
        (1, "0000000000001", "00000000001"),
        (31, "000000000000Z", "0000000000V"),
        (32, "0000000000010", "0000000000W"),
        (61, "000000000001X", "0000000000z"),
        (62, "000000000001Y", "00000000010"),
        (UID, "0391CKH4ZVTND", "08jfby637vx"),
        (LARGEST, "7ZZZZZZZZZZZZ", "AzL8n0Y58m7"),
    ],
)
def test_known_texts(uid, base32, base62):
    """These are stored and sent: they can never change."""
    assert (to_base32(uid), to_base62(uid)) == (base32, base62)
    assert (from_base32(base32), from_base62(base62)) == (uid, uid)


@both_forms
def test_digits_are_a_uid_too(write, read, width):
    """As for ``parse``: JSON sends UIDs as strings."""
    assert write(str(UID)) == write(UID)


@both_forms
@given(uid=uids)
@example(1)
@example(LARGEST)
def test_round_trip(write, read, width, uid):
    """Every UID has a text of the one width, and comes back."""
    text = write(uid)
    assert len(text) == width
    assert read(text) == uid


@both_forms
@given(one=uids, other=uids)
def test_order_of_texts_is_that_of_uids(write, read, width, one, other):
    """Compared byte by byte."""
    assert (write(one).encode() < write(other).encode()) is (one < other)


@both_forms
@given(text=st.text("0Aa1Oz-", min_size=10, max_size=14) | st.text())
def test_text_is_refused_or_is_canonical(write, read, width, text):
    """Base 62 has one text for a UID, base 32 one but for case and look-alikes."""
    try:
        uid = read(text)
    except InvalidUid:
        return
    if write is to_base32:
        text = text.upper().translate(str.maketrans("OIL", "011"))
    assert write(uid) == text


def test_base32_is_read_as_people_write_it():
    """Lower case, and letters that look like digits."""
    assert from_base32("0391ckh4zvtnd") == UID
    assert from_base32("o39iCKH4ZVTND") == UID
    assert from_base32("O39lckh4ZvTnD") == UID
    assert from_base32("039ICKH4ZVTND") == from_base32("039LCKH4ZVTND") == UID


def test_base62_tells_cases_apart():
    """So a collation that does not would mix up rows."""
    assert from_base62("0000000000A") != from_base62("0000000000a")


@both_forms
@pytest.mark.parametrize(
    "value",
    [0, -1, -LARGEST, 2**63, 2**64, 10**9999, True, None, 1.0, Decimal(1), b"1", "x"],
    ids=lambda value: repr(value)[:9] if value != 10**9999 else "huge",
)
def test_what_is_no_uid_is_not_written(write, read, width, value):
    """Bools, floats, text, 0, and more than 63 bits."""
    with pytest.raises(InvalidUid):
        write(value)


@both_forms
@pytest.mark.parametrize("change", [-1, 1])
def test_wrong_width(write, read, width, change):
    """The message tells both widths."""
    text = "1" * (width + change)
    with pytest.raises(InvalidUid, match=f"have {width} characters, not {len(text)}"):
        read(text)


@both_forms
@pytest.mark.parametrize("text", ["", "1" * 10**6])
def test_text_of_any_length(write, read, width, text):
    """It is refused by its length, and shown in short."""
    with pytest.raises(InvalidUid) as caught:
        read(text)
    assert len(str(caught.value)) < 200


@both_forms
@pytest.mark.parametrize(
    "character", [*"-_ +\n\x00", "\u0661", "\uff11", "\u0131", "\u017f", "\u212a"]
)
def test_wrong_character(write, read, width, character):
    """Hyphens, blanks, digits of other scripts, letters that fold into ASCII."""
    text = "0" * (width - 2) + character + "1"
    with pytest.raises(InvalidUid) as caught:
        read(text)
    base = {to_base32: 32, to_base62: 62}[write]
    assert str(caught.value) == (
        f"{text!r} is not a UID: {character!r} is not a digit of base {base}."
    )


@pytest.mark.parametrize("character", "uU")
def test_letter_u_is_no_digit_of_base_32(character):
    """Crockford leaves it out, and it looks like no digit."""
    with pytest.raises(InvalidUid, match="is not a digit of base 32"):
        from_base32("000000000000" + character)


@both_forms
def test_text_of_no_uid(write, read, width):
    """0, and the first text past 63 bits."""
    past = {13: "8000000000000", 11: "AzL8n0Y58m8"}[width]
    for text in ("0" * width, past, "z" * width):
        with pytest.raises(InvalidUid, match=r"UIDs lie between 1 and 2\*\*63 - 1"):
            read(text)


@both_forms
@pytest.mark.parametrize("value", [None, 5, b"0000000000001", 1.5, ["0000000000001"]])
def test_what_is_no_text_is_not_read(write, read, width, value):
    """An int as well: it may be meant as decimal digits."""
    with pytest.raises(InvalidUid, match="is not a UID: it is not text"):
        read(value)


# UidText.


def test_prefix():
    """It stands before the text, in any base."""
    assert UidText(32, "ord_").format(UID) == "ord_0391CKH4ZVTND"
    assert UidText(62, "ord_").format(UID) == "ord_08jfby637vx"
    assert UidText(10, "ord_").format(UID) == f"ord_{UID}"
    assert UidText().format(str(UID)) == str(UID)


@every_text
@given(uid=uids)
@example(1)
@example(LARGEST)
def test_round_trip_with_prefix(form, uid):
    """And the pattern matches it."""
    text = form.format(uid)
    assert form.parse(text) == uid
    assert re.fullmatch(form.pattern, text)


@every_text
@given(
    text=st.text("0AaLu17-", max_size=20)
    | st.from_regex(r"(ord_|7)?[0-9A-Za-z]{10,19}\Z")
    | st.text()
)
def test_pattern_leaves_out_what_is_refused(form, text):
    """So that a URL is no match at once."""
    if re.fullmatch(form.pattern, text) is None:
        with pytest.raises(InvalidUid):
            form.parse(text)


@pytest.mark.parametrize("base", [32, 62])
def test_pattern_knows_the_width_and_the_first_digit(base):
    """It may match a little more than 63 bits, no more."""
    pattern = UidText(base).pattern
    width = FORMS[base][2]
    matched = [
        first
        for first in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        if re.fullmatch(pattern, first + "0" * (width - 1))
    ]
    assert "".join(matched) == {32: "01234567ILOilo", 62: "0123456789A"}[base]
    assert not re.fullmatch(pattern, "1" * (width - 1))
    assert not re.fullmatch(pattern, "1" * (width + 1))


def test_prefix_is_no_pattern():
    """A full stop stands for itself."""
    pattern = UidText(10, "t.").pattern
    assert re.fullmatch(pattern, "t.5")
    assert not re.fullmatch(pattern, "tx5")


@pytest.mark.parametrize("base", [10, 32, 62])
@pytest.mark.parametrize("found", ["", "inv_", "ORD_", "ord", "xord_"])
def test_another_prefix(base, found):
    """The message names the one that is expected."""
    text = UidText(base, found).format(UID)
    with pytest.raises(InvalidUid) as caught:
        UidText(base, "ord_").parse(text)
    message = f"{text!r} is not a UID: it must begin with 'ord_'."
    assert str(caught.value) == message


@pytest.mark.parametrize("base", [10, 32, 62])
def test_prefix_where_none_is_expected(base):
    """It is no part of a UID."""
    with pytest.raises(InvalidUid, match="'ord_"):
        UidText(base).parse(UidText(base, "ord_").format(UID))


@every_text
@pytest.mark.parametrize("value", [None, UID, b"1"])
def test_text_is_asked_for(form, value):
    """By every base."""
    with pytest.raises(InvalidUid, match="it is not text"):
        form.parse(value)


@pytest.mark.parametrize("base", [0, 16, 64, "32", None])
def test_unknown_base(base):
    """Named, with those that there are."""
    with pytest.raises(ValueError, match=r"it must be 10, 32 or 62"):
        UidText(base)


@pytest.mark.parametrize("prefix", ["a/b", "a b", "é", "a\n", "<b>", "%", 5, None])
def test_prefix_that_cannot_be(prefix):
    """A URL would quote it, or a page would."""
    with pytest.raises(ValueError, match="prefix is"):
        UidText(32, prefix)
