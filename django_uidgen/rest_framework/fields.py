"""Serializer fields of UIDs: decimal strings in JSON, ints in Python.

A number in JavaScript holds 53 bits, a UID has up to 63.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from rest_framework import serializers

from django_uidgen.core.exceptions import InvalidUid, UidTooLarge
from django_uidgen.core.text import DECIMAL_OR_ZERO_PATTERN, to_uid
from django_uidgen.lookups import generator_of

UID_RULE = (
    "Give a UID: 1 to 19 digits without a sign, spaces or leading zeros, as a string."
)


def uid_schema() -> dict[str, Any]:
    """Return the JSON schema of a UID: a string of digits that stand for 64 bits."""
    return {
        "type": "string",
        "format": "int64",
        "pattern": f"^({DECIMAL_OR_ZERO_PATTERN})$",
        "maxLength": 19,
    }


def holds_uids(field: models.Field[Any, Any] | None) -> bool:
    """Return whether a model field is a column of UIDs, or a relation to one.

    Relations are followed to the end: a key of a key of a key.
    """
    return field is not None and generator_of(field) is not None


class UidField(serializers.Field[int, Any, str, Any]):
    """A UID: a string in the response; a string of digits or an int in the request.

    It rejects floats, bools, signs, spaces, leading zeros and digits that are not ASCII
    with the code "invalid", and more than 63 bits with "max_value". It accepts 0, which
    no generator mints: a row from before the move to UIDs may contain it. It does not
    look for a row with the UID.
    """

    default_error_messages = {
        "invalid": UID_RULE,
        "max_value": "This is not a UID: it has more than 63 bits.",
    }

    def to_internal_value(self, data: Any) -> int:
        """Return ``data``, an int or its decimal digits, as an int."""
        try:
            return to_uid(data, allow_zero=True)
        except UidTooLarge:
            self.fail("max_value")
        except InvalidUid:
            self.fail("invalid")

    def to_representation(self, value: int) -> str:
        """Return the decimal digits."""
        return str(value)


class UidPrimaryKeyRelatedField(serializers.PrimaryKeyRelatedField[Any]):
    """A relation to a model whose key is a UID, represented by that key as a string."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("pk_field", UidField())
        super().__init__(**kwargs)


class UidSlugRelatedField(serializers.SlugRelatedField[Any]):
    """A relation, represented by a column of UIDs of the other model as a string."""

    _uid = UidField()

    def to_internal_value(self, data: Any) -> Any:
        """Return the row whose column holds the UID ``data``."""
        return super().to_internal_value(self._uid.to_internal_value(data))

    def to_representation(self, obj: Any) -> Any:
        """Return the decimal digits, or None if the column of the row is NULL."""
        uid = super().to_representation(obj)
        return None if uid is None else str(uid)
