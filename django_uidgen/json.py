"""JSON of plain Django in which the UIDs of models are strings.

``JsonResponse({"orders": Order.objects.all()}, encoder=UidJSONEncoder)``

A number in JavaScript holds 53 bits, a UID has up to 63.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, Model, QuerySet
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    ValuesIterable,
)

from django_uidgen.lookups import generator_of

#: ``Number.MAX_SAFE_INTEGER``: above it JavaScript loses digits.
MAX_SAFE_INTEGER = (1 << 53) - 1

_Write = Callable[[Any], Any]


class UidJSONEncoder(DjangoJSONEncoder):
    """Write model instances and querysets, with their UIDs as strings.

    An instance becomes an object of its columns, ``{"id": "…", "customer_id": "…"}``,
    without deferred ones. A queryset becomes a list of these objects, or of the rows of
    ``values()`` or ``values_list()``. The fields of the model identify keys, foreign
    keys and other columns of UIDs, which become strings, however small.

    A plain int, outside a model, cannot be recognized as a UID. As a safety net, each
    int beyond 2**53 - 1 either way, which JavaScript would change, becomes a string
    too. Within that range, which includes UIDs of the layout "javascript" and those of
    the first 24 days of "snowflake", a plain int stays a number. So pass the instance
    or the queryset, or ``str(uid)``.
    """

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:  # noqa: FBT001, FBT002
        """Yield the JSON in pieces."""
        return super().iterencode(_safe(o), _one_shot)

    def default(self, o: Any) -> Any:
        """Return a serializable value for an instance, a queryset or another object."""
        if isinstance(o, Model):
            return _safe(_columns(o))
        if isinstance(o, QuerySet):
            return _safe(_rows(o))
        return super().default(o)


def _safe(value: Any) -> Any:
    """Return ``value`` with each int that JavaScript would change as a string."""
    if isinstance(value, int) and not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return int.__repr__(value)
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(item) for item in value]
    return value


def _columns(instance: Model) -> dict[str, Any]:
    """Return the columns of an instance, without deferred ones."""
    deferred = instance.get_deferred_fields()
    return {
        field.attname: _writer(field)(field.value_from_object(instance))
        for field in instance._meta.concrete_fields
        if field.attname not in deferred
    }


def _rows(queryset: QuerySet[Any, Any]) -> list[Any]:
    """Return the rows of a queryset in the form of its ``values()`` call, if any."""
    iterable: Any = queryset._iterable_class
    if issubclass(iterable, ModelIterable):
        return list(queryset)
    names = _names(queryset)
    if issubclass(iterable, ValuesIterable):
        writers = {name: _writer(_source(queryset, name)) for name in names}
        return [_written(row, writers) for row in queryset]
    writes = [_writer(_source(queryset, name)) for name in names]
    if issubclass(iterable, FlatValuesListIterable):
        return [writes[0](value) for value in queryset]
    return [
        [write(value) for write, value in zip(writes, row, strict=True)]
        for row in queryset
    ]


def _names(queryset: QuerySet[Any, Any]) -> tuple[str, ...]:
    """Return the names that ``values()`` or ``values_list()`` selects, in order."""
    query: Any = queryset.query
    # Like Django's NamedValuesListIterable.
    chosen: tuple[str, ...] = getattr(queryset, "_fields", None) or ()
    return chosen or (
        *query.extra_select,
        *query.values_select,
        *query.annotation_select,
    )


def _written(row: Mapping[str, Any], writers: Mapping[str, _Write]) -> dict[str, Any]:
    return {name: writers[name](value) for name, value in row.items()}


def _source(queryset: QuerySet[Any, Any], name: str) -> Any:
    """Return the field of a selected value, or None."""
    annotation = queryset.query.annotations.get(name)
    if annotation is not None:
        return getattr(annotation, "_output_field_or_none", None)
    field: Any = None
    model: Any = queryset.model
    for part in name.split("__"):
        field = _field(model, part)
        if field is None:  # a lookup, for example the year of a date
            return None
        model = field.related_model
    return _target(field)


def _field(model: Any, part: str) -> Any:
    """Return the field or relation that a part of a path names, or None."""
    if model is None:
        return None
    if part == "pk":
        return model._meta.pk
    try:
        return model._meta.get_field(part)
    except FieldDoesNotExist:
        return None


def _target(field: Any) -> Any:
    """Return ``field``, or the key of the other model for a reverse relation."""
    return field if isinstance(field, Field) else field.related_model._meta.pk


def _writer(field: Any) -> _Write:
    """Return the function that converts the values of ``field`` for JSON."""
    if isinstance(field, Field) and generator_of(field) is not None:
        return _digits
    return _unchanged


def _digits(uid: int | None) -> str | None:
    return None if uid is None else str(uid)


def _unchanged(value: Any) -> Any:
    return value
