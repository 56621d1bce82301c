"""Drop-in ``ModelSerializer``: every key that is a UID is a string, both ways."""

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
    """Mixin for a ``ModelSerializer``, to be named before it.

    All fields that the serializer makes from the model are meant: keys, relations both
    ways, columns of UIDs, ``order_id`` and ``pk``, and nested serializers of
    ``Meta.depth``. Other integers stay numbers. A field that is declared by hand is as
    it was declared.
    """

    def build_standard_field(
        self, field_name: str, model_field: models.Field[Any, Any]
    ) -> _Built:
        """Make a ``UidField`` for a column of UIDs, be it a key or not."""
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        if not holds_uids(model_field) or "choices" in kwargs:
            return field_class, kwargs
        if issubclass(field_class, serializers.RelatedField):  # of OneToOneField
            other: Any = model_field.related_model
            return _by_uid(field_class, kwargs, other)
        # Those of a bigint: the field has bounds of its own.
        for bound in ("min_value", "max_value"):
            kwargs.pop(bound, None)
        return UidField, kwargs

    def build_relational_field(
        self, field_name: str, relation_info: RelationInfo
    ) -> _Built:
        """Show a relation to a model whose key is a UID by a string."""
        field_class, kwargs = super().build_relational_field(field_name, relation_info)
        return _by_uid(field_class, kwargs, relation_info.related_model)

    def build_nested_field(
        self, field_name: str, relation_info: RelationInfo, nested_depth: int
    ) -> _Built:
        """Make the nested serializer one of this kind, too."""
        field_class, kwargs = super().build_nested_field(
            field_name, relation_info, nested_depth
        )
        # Named after the model, so that a schema can tell them apart.
        name = f"Nested{relation_info.related_model.__name__}Serializer"
        return type(name, (UidModelSerializerMixin, field_class), {}), kwargs

    def build_property_field(
        self, field_name: str, model_class: type[models.Model]
    ) -> _Built:
        """Show ``order_id``, which is no field to REST framework."""
        if holds_uids(_column(model_class, field_name)):
            return UidField, {"read_only": True}
        return super().build_property_field(field_name, model_class)


class UidModelSerializer(UidModelSerializerMixin, serializers.ModelSerializer[Any]):
    """``ModelSerializer`` whose UIDs are strings. Use it in its place."""


def _by_uid(
    field_class: type[Any], kwargs: dict[str, Any], model: type[models.Model]
) -> _Built:
    """Return a relation to ``model`` that shows UIDs as strings, if it shows UIDs."""
    by_key = issubclass(field_class, serializers.PrimaryKeyRelatedField)
    if by_key and holds_uids(model._meta.pk):
        return field_class, {**kwargs, "pk_field": UidField()}
    by_column = field_class is serializers.SlugRelatedField
    if by_column and holds_uids(_column(model, kwargs["slug_field"])):
        return UidSlugRelatedField, kwargs
    return field_class, kwargs


def _column(model: type[models.Model], name: str) -> Any:
    """Return the field whose values are at the attribute ``name``, or None."""
    by_attribute = {field.attname: field for field in model._meta.concrete_fields}
    return by_attribute.get(name)
