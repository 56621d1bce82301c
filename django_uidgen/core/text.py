"""UIDs as text: decimal digits, Crockford's base 32, base 62, each with a prefix.

Both short forms have a fixed width and digits in the order of their ASCII codes. So
texts of one form, compared byte by byte, sort like their UIDs. A case-insensitive
collation breaks this order for base 62, and treats some different texts as equal.

Source of base 32: https://www.crockford.com/base32.html, without its check symbol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django_uidgen.core.exceptions import InvalidUid, UidTooLarge
from django_uidgen.core.layout import MAX_BITS

#: A regular expression, without groups, for UIDs in decimal: no leading zeros, at most
#: 19 digits. It also matches some numbers above 2**63 - 1; ``to_uid`` rejects them.
DECIMAL_PATTERN = "[1-9][0-9]{0,18}"

#: Two alternatives, which need a group around them: 0, and ``DECIMAL_PATTERN``.
DECIMAL_OR_ZERO_PATTERN = f"0|{DECIMAL_PATTERN}"

_DECIMAL = re.compile(DECIMAL_PATTERN)
_DECIMAL_OR_ZERO = re.compile(DECIMAL_OR_ZERO_PATTERN)

#: Characters that a URL never quotes: a prefix is the same text everywhere.
_PREFIX = re.compile(r"[A-Za-z0-9._~-]*", re.ASCII)


class _ShortForm(NamedTuple):
    """The digits of a base, and their number in a UID.

    ``values`` maps every accepted character to its value: the digits, and in base 32
    look-alikes. ``pattern`` matches texts with valid width and characters, including
    some numbers of more than 63 bits.
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


def to_uid(value: object, *, allow_zero: bool = False) -> int:
    """Return ``value``, an int or its decimal digits, as a UID.

    Raise ``UidTooLarge`` for more than 63 bits, and ``InvalidUid`` for anything else:
    other text, signs, leading zeros, floats, bools and 0. Huge numbers are rejected
    without conversion. ``allow_zero`` accepts 0 too: no generator mints it, but a row
    from before the move to UIDs may contain it.
    """
    if isinstance(value, str):
        pattern = _DECIMAL_OR_ZERO if allow_zero else _DECIMAL
        if pattern.fullmatch(value) is None:
            raise InvalidUid(
                f"{shown(value)} is not a UID: UIDs are 1 to 19 digits, without a sign "
                f"or leading zeros."
            )
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise InvalidUid(f"{shown(value)} is not a UID: it is not a whole number.")
    if not (allow_zero and number == 0):
        _check_range(number, value)
    return number


def to_base32(uid: int | str) -> str:
    """Return ``uid``, an int or its decimal digits, as 13 characters, upper case.

    Crockford's alphabet: digits and letters without I, L, O and U. Raise
    ``InvalidUid`` for values that ``to_uid`` rejects.
    """
    return _encode(to_uid(uid), _BASE_32)


def from_base32(text: str) -> int:
    """Return the UID that ``to_base32`` wrote as ``text``.

    Lower case is read as upper case, I and L as 1, O as 0. Raise ``InvalidUid`` for
    anything else, including hyphens, which Crockford allows: a UID has 13 characters.
    """
    return _decode(text, _BASE_32)


def to_base62(uid: int | str) -> str:
    """Return ``uid``, an int or its decimal digits, as 11 characters.

    Digits, upper case and lower case letters, in this order. Raise ``InvalidUid`` for
    values that ``to_uid`` rejects.
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
    # First, because it takes no time for a long text.
    if len(text) != form.width:
        raise InvalidUid(
            f"{shown(text)} is not a UID: in base {form.base} UIDs have {form.width} "
            f"characters, not {len(text)}."
        )
    number = 0
    for character in text:
        if character not in form.values:
            raise InvalidUid(
                f"{shown(text)} is not a UID: {character!r} is not a digit of base "
                f"{form.base}."
            )
        number = number * form.base + form.values[character]
    _check_range(number, text)
    return number


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise InvalidUid(f"{shown(text)} is not a UID: it is not text.")


def _check_range(number: int, value: object) -> None:
    if number > 0 and number.bit_length() <= MAX_BITS:
        return
    error = UidTooLarge if number > 0 else InvalidUid
    raise error(
        f"{shown(value)} is not a UID: UIDs lie between 1 and 2**{MAX_BITS} - 1."
    )


@dataclass(frozen=True)
class UidText:
    """A text form of UIDs: a base, and a prefix such as "ord_" for orders.

    ``base`` is 10, 32 or 62. ``prefix`` is text of letters, digits and ``._~-``; it is
    case-sensitive. Raise ``ValueError`` for others.
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

        It matches every text that ``parse`` accepts, and some that ``parse`` rejects.
        """
        form = _SHORT_FORMS.get(self.base)
        return re.escape(self.prefix) + (form.pattern if form else DECIMAL_PATTERN)

    def format(self, uid: int | str) -> str:
        """Return the text of ``uid``, an int or its decimal digits.

        Raise ``InvalidUid`` for values that ``to_uid`` rejects.
        """
        number = to_uid(uid)
        form = _SHORT_FORMS.get(self.base)
        return self.prefix + (_encode(number, form) if form else str(number))

    def parse(self, text: str) -> int:
        """Return the UID that ``text`` represents.

        Raise ``InvalidUid`` for another prefix, or an invalid UID in this base.
        """
        _check_text(text)
        if not text.startswith(self.prefix):
            raise InvalidUid(
                f"{shown(text)} is not a UID: it must begin with {self.prefix!r}."
            )
        rest = text.removeprefix(self.prefix)
        form = _SHORT_FORMS.get(self.base)
        return _decode(rest, form) if form else to_uid(rest)


def shown(value: object) -> str:
    """Return ``value`` as short text for a message. Do not convert a huge int."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"{value[:40]!r}…"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"<{type(value).__name__}>"
