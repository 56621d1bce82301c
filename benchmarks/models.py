"""One table in five versions, which differ in their key alone, with children."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import uuid_utils.compat
from django.db import models

from django_uidgen.fields import UidAutoField, UidField


def uuid7() -> uuid.UUID:
    """Return a UUIDv7, by Rust: a choice that is kind to the rival."""
    value: uuid.UUID = uuid_utils.compat.uuid7()
    return value


class Base(models.Model):
    """Seven columns beside the key."""

    number = models.IntegerField()
    title = models.CharField(max_length=100)
    email = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    quantity = models.IntegerField()
    is_paid = models.BooleanField()
    created_at = models.DateTimeField()

    class Meta:
        """No table of its own."""

        abstract = True


class AutoRow(Base):
    """The key is an identity column."""

    id = models.BigAutoField(primary_key=True)


class UidAutoRow(Base):
    """The key is minted when the row is saved."""

    id = UidAutoField(primary_key=True)


class UidRow(Base):
    """The key is minted when the object is made."""

    id = UidField(primary_key=True)


class Uuid4Row(Base):
    """The key is random."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Uuid7Row(Base):
    """The key has the time in front."""

    id = models.UUIDField(primary_key=True, default=uuid7)


class Child(models.Model):
    """What refers to a row. Subclasses say to which."""

    text = models.CharField(max_length=50)

    class Meta:
        """No table of its own."""

        abstract = True


def _child(row: type[Base], key: models.Field[Any, Any]) -> type[Child]:
    """Return the model of the children of ``row``, with keys of the same kind."""
    attributes = {
        "__module__": __name__,
        "id": key,
        "parent": models.ForeignKey(row, models.CASCADE, db_constraint=False),
    }
    return type(f"{row.__name__}Child", (Child,), attributes)


class Kind:
    """A kind of key: how it is called, and its two models."""

    #: All kinds, by name.
    every: ClassVar[dict[str, Kind]] = {}

    def __init__(self, name: str, row: type[Base], key: models.Field[Any, Any]) -> None:
        self.name = name
        self.row = row
        self.child = _child(row, key)
        self.every[name] = self


Kind("BigAutoField", AutoRow, models.BigAutoField(primary_key=True))
Kind("UidAutoField", UidAutoRow, UidAutoField(primary_key=True))
Kind("UidField", UidRow, UidField(primary_key=True))
Kind(
    "UUIDField(uuid4)",
    Uuid4Row,
    models.UUIDField(primary_key=True, default=uuid.uuid4),
)
Kind("UUIDField(uuid7)", Uuid7Row, models.UUIDField(primary_key=True, default=uuid7))
