"""Serializer fields of UIDs: decimal strings in JSON, ints in Python.

A number of JavaScript holds 53 bits, a UID has 63.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from rest_framework import serializers

from django_uidgen.core.layout import MAX_BITS
from django_uidgen.lookups import generator_of

#: A UID in its one form. It lets 19 digits be somewhat more than 63 bits.
UID_REGEX = "(?:0|[1-9][0-9]{0,18})"

_UID = re.compile(UID_REGEX)

UID_RULE = (
    "Give a UID: 1 to 19 digits without a sign, spaces or leading zeros, as a string."
)


def uid_from_text(text: str) -> int | None:
    """Return the number that ``text`` writes, or None for what is no UID."""
    if _UID.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number.bit_length() <= MAX_BITS else None


def holds_uids(field: models.Field[Any, Any] | None) -> bool:
    """Say whether a model field is a column of UIDs, or leads to one.

    Relations are followed to the end: a key of a key of a key.
    """
    return field is not None and generator_of(field) is not None


class UidField(serializers.Field[int, Any, str, Any]):
    """A UID: a string in the answer; a string of digits or an int in the request.

    Refuses everything else with one message: floats, bools, signs, spaces, leading
    zeros, digits that are not ASCII, and more than 63 bits. 0, which no generator
    mints, is taken: a row from before may have it. Whether there is a row is not asked.
    """

    default_error_messages = {
        "invalid": UID_RULE,
        "max_value": "This is no UID: it has more than 63 bits.",
    }

    def to_internal_value(self, data: Any) -> int:
        """Return ``data``, an int or its decimal digits, as an int."""
        if isinstance(data, str) and _UID.fullmatch(data):
            number = int(data)
        elif isinstance(data, int) and not isinstance(data, bool) and data >= 0:
            number = data
        else:
            self.fail("invalid")
        if number.bit_length() > MAX_BITS:
            self.fail("max_value")
        return number

    def to_representation(self, value: int) -> str:
        """Return the decimal digits."""
        return str(value)


class UidPrimaryKeyRelatedField(serializers.PrimaryKeyRelatedField[Any]):
    """A relation to a model whose key is a UID, shown by that key as a string."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("pk_field", UidField())
        super().__init__(**kwargs)


class UidSlugRelatedField(serializers.SlugRelatedField[Any]):
    """A relation that is shown by a column of UIDs of the other model, as a string."""

    _uid = UidField()

    def to_internal_value(self, data: Any) -> Any:
        """Return the row with this UID."""
        return super().to_internal_value(self._uid.to_internal_value(data))

    def to_representation(self, obj: Any) -> Any:
        """Return the decimal digits; None where the other row has no UID there."""
        uid = super().to_representation(obj)
        return None if uid is None else str(uid)
