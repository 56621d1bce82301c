"""UIDs as text: decimal digits, Crockford's base 32, base 62, each with a prefix.

Both short forms have a fixed width and digits in the order of their ASCII codes. So
texts of one form, compared byte by byte, are in the order of their UIDs. A collation
that ignores case breaks that for base 62, and takes some of its texts for equal.

Source of base 32: https://www.crockford.com/base32.html, without its check symbol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.layout import MAX_BITS

#: As many digits as 2**63 - 1 has, without leading zeros.
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

#: Characters that a URL never quotes, so that a prefix is the same text everywhere.
_PREFIX = re.compile(r"[A-Za-z0-9._~-]*", re.ASCII)


class _ShortForm(NamedTuple):
    """The digits of a base, and how many of them a UID has.

    ``values`` maps what is read, which may be more than what is written. ``pattern``
    matches texts that may be UIDs: right in width and digits, up to a little more than
    63 bits.
    """

    digits: str
    width: int
    values: Mapping[str, int]
    pattern: str

    @property
    def base(self) -> int:
        return len(self.digits)


def _values(digits: str) -> dict[str, int]:
    return {digit: value for value, digit in enumerate(digits)}


_DIGITS_32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS_62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_BASE_32 = _ShortForm(
    _DIGITS_32,
    width=13,
    values={
        **_values(_DIGITS_32),
        **_values(_DIGITS_32.lower()),
        **dict.fromkeys("Oo", 0),
        **dict.fromkeys("IiLl", 1),
    },
    pattern="[0-7OoIiLl][0-9A-TV-Za-tv-z]{12}",
)
_BASE_62 = _ShortForm(
    _DIGITS_62,
    width=11,
    values=_values(_DIGITS_62),
    pattern="[0-9A][0-9A-Za-z]{10}",
)
_SHORT_FORMS = {32: _BASE_32, 62: _BASE_62}


def to_uid(value: object) -> int:
    """Return ``value``, an int or its decimal digits, as a UID.

    Raise ``InvalidUid`` for anything else: text, signs, leading zeros, floats, bools,
    0, and more than 63 bits. Takes no time for huge numbers.
    """
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value) is None:
            raise InvalidUid(
                f"{shown(value)} is no UID: UIDs are 1 to 19 digits, without a sign "
                f"or leading zeros."
            )
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise InvalidUid(f"{shown(value)} is no UID: it is not a whole number.")
    _check_range(number, value)
    return number


def to_base32(uid: int | str) -> str:
    """Return ``uid``, an int or its decimal digits, as 13 characters, upper case.

    Crockford's alphabet: digits and letters without I, L, O and U. Raise
    ``InvalidUid`` for what ``to_uid`` refuses.
    """
    return _encode(to_uid(uid), _BASE_32)


def from_base32(text: str) -> int:
    """Return the UID that ``to_base32`` wrote as ``text``.

    Lower case is read as upper case, I and L as 1, O as 0. Raise ``InvalidUid`` for
    anything else, hyphens among it, which Crockford allows: a UID has 13 characters.
    """
    return _decode(text, _BASE_32)


def to_base62(uid: int | str) -> str:
    """Return ``uid``, an int or its decimal digits, as 11 characters.

    Digits, upper case and lower case letters, in this order. Raise ``InvalidUid`` for
    what ``to_uid`` refuses.
    """
    return _encode(to_uid(uid), _BASE_62)


def from_base62(text: str) -> int:
    """Return the UID that ``to_base62`` wrote as ``text``.

    Case matters, and one UID has one text. Raise ``InvalidUid`` for anything else.
    """
    return _decode(text, _BASE_62)


def _encode(number: int, form: _ShortForm) -> str:
    digits = []
    for _ in range(form.width):
        number, value = divmod(number, form.base)
        digits.append(form.digits[value])
    return "".join(reversed(digits))


def _decode(text: str, form: _ShortForm) -> int:
    _check_text(text)
    # First, for it takes no time for a text of any length.
    if len(text) != form.width:
        raise InvalidUid(
            f"{shown(text)} is no UID: in base {form.base} UIDs have {form.width} "
            f"characters, not {len(text)}."
        )
    number = 0
    for character in text:
        if character not in form.values:
            raise InvalidUid(
                f"{shown(text)} is no UID: {character!r} is no digit of base "
                f"{form.base}."
            )
        number = number * form.base + form.values[character]
    _check_range(number, text)
    return number


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise InvalidUid(f"{shown(text)} is no UID: it is not text.")


def _check_range(number: int, value: object) -> None:
    if number <= 0 or number.bit_length() > MAX_BITS:
        raise InvalidUid(
            f"{shown(value)} is no UID: UIDs lie between 1 and 2**{MAX_BITS} - 1."
        )


@dataclass(frozen=True)
class UidText:
    """One way to write UIDs: a base, and a prefix that tells what they are UIDs of.

    ``base`` is 10, 32 or 62. ``prefix`` is text of letters, digits and ``._~-``, read
    as it is written, upper and lower case apart. Raise ``ValueError`` for others.
    """

    base: int = 10
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.base != 10 and self.base not in _SHORT_FORMS:
            raise ValueError(f"base is {self.base!r}; it must be 10, 32 or 62.")
        if not isinstance(self.prefix, str) or not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"prefix is {shown(self.prefix)}; it must be letters, digits and "
                f"any of '._~-'."
            )

    @property
    def pattern(self) -> str:
        """A regular expression, without groups, for texts that may be UIDs.

        What it does not match, ``parse`` refuses; it may refuse more.
        """
        form = _SHORT_FORMS.get(self.base)
        return re.escape(self.prefix) + (form.pattern if form else _DECIMAL.pattern)

    def format(self, uid: int | str) -> str:
        """Return the one text for ``uid``, an int or its decimal digits.

        Raise ``InvalidUid`` for what ``to_uid`` refuses.
        """
        number = to_uid(uid)
        form = _SHORT_FORMS.get(self.base)
        return self.prefix + (_encode(number, form) if form else str(number))

    def parse(self, text: str) -> int:
        """Return the UID that ``text`` is of.

        Raise ``InvalidUid`` for another prefix, and for what is no UID in this base.
        """
        _check_text(text)
        if not text.startswith(self.prefix):
            raise InvalidUid(
                f"{shown(text)} is no UID: it must begin with {self.prefix!r}."
            )
        rest = text.removeprefix(self.prefix)
        form = _SHORT_FORMS.get(self.base)
        return _decode(rest, form) if form else to_uid(rest)


def shown(value: object) -> str:
    """Return ``value`` for a message, short, and without turning a huge int to text."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"{value[:40]!r}…"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"<{type(value).__name__}>"
