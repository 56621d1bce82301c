"""``UidModelSerializer``, a ``ModelSerializer`` in which every UID is a string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from rest_framework import serializers
from rest_framework.utils.model_meta import RelationInfo

from django_uidgen.rest_framework.fields import (
    UidField,
    UidSlugRelatedField,
    holds_uids,
)

if TYPE_CHECKING:
    _Base = serializers.ModelSerializer[Any]
else:
    _Base = object

_Built = tuple[type[Any], dict[str, Any]]


class UidModelSerializerMixin(_Base):
    """Mixin for a ``ModelSerializer``, before it among the base classes.

    It makes strings of UIDs in all fields that the serializer derives from the model:
    keys, relations in both directions, columns of UIDs, ``order_id`` and ``pk``, and
    nested serializers of ``Meta.depth``. Other integers stay numbers. Declared fields
    are unchanged.
    """

    def build_standard_field(
        self, field_name: str, model_field: models.Field[Any, Any]
    ) -> _Built:
        """Build a ``UidField`` for a column of UIDs, whether it is a key or not."""
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        if not holds_uids(model_field) or "choices" in kwargs:
            return field_class, kwargs
        if issubclass(field_class, serializers.RelatedField):  # of OneToOneField
            other: Any = model_field.related_model
            return _by_uid(field_class, kwargs, other)
        # The bounds of a bigint: UidField has its own.
        for bound in ("min_value", "max_value"):
            kwargs.pop(bound, None)
        return UidField, kwargs

    def build_relational_field(
        self, field_name: str, relation_info: RelationInfo
    ) -> _Built:
        """Build a field that represents a relation by a UID as a string."""
        field_class, kwargs = super().build_relational_field(field_name, relation_info)
        return _by_uid(field_class, kwargs, relation_info.related_model)

    def build_nested_field(
        self, field_name: str, relation_info: RelationInfo, nested_depth: int
    ) -> _Built:
        """Build a nested serializer that has this mixin as well."""
        field_class, kwargs = super().build_nested_field(
            field_name, relation_info, nested_depth
        )
        # An OpenAPI schema needs a distinct name for each model.
        name = f"Nested{relation_info.related_model.__name__}Serializer"
        return type(name, (UidModelSerializerMixin, field_class), {}), kwargs

    def build_property_field(
        self, field_name: str, model_class: type[models.Model]
    ) -> _Built:
        """Build a field for ``order_id``, to REST framework a property of the model."""
        if holds_uids(_column(model_class, field_name)):
            return UidField, {"read_only": True}
        return super().build_property_field(field_name, model_class)


class UidModelSerializer(UidModelSerializerMixin, serializers.ModelSerializer[Any]):
    """A ``ModelSerializer`` that reads and writes UIDs as strings."""


def _by_uid(
    field_class: type[Any], kwargs: dict[str, Any], model: type[models.Model]
) -> _Built:
    """Return the relation to ``model``, with UIDs as strings if it represents UIDs."""
    by_key = issubclass(field_class, serializers.PrimaryKeyRelatedField)
    if by_key and holds_uids(model._meta.pk):
        return field_class, {**kwargs, "pk_field": UidField()}
    by_column = field_class is serializers.SlugRelatedField
    if by_column and holds_uids(_column(model, kwargs["slug_field"])):
        return UidSlugRelatedField, kwargs
    return field_class, kwargs


def _column(model: type[models.Model], name: str) -> Any:
    """Return the field whose values the attribute ``name`` holds, or None."""
    by_attribute = {field.attname: field for field in model._meta.concrete_fields}
    return by_attribute.get(name)
