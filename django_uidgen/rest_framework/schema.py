"""OpenAPI by drf-spectacular, which must be installed.

``"DEFAULT_SCHEMA_CLASS": "django_uidgen.rest_framework.schema.UidAutoSchema"``

Importing this module, as that setting does, also registers the extensions for the
serializer fields and for the endpoints of the package.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction

# Imported to register its extensions.
import django_uidgen.rest_framework.endpoint.schema  # noqa: F401
from django_uidgen.rest_framework.fields import holds_uids, uid_schema


class UidAutoSchema(AutoSchema):
    """``AutoSchema`` in which UIDs in paths and filters are strings.

    The serializers determine the types in bodies.
    """

    def _map_model_field(self, model_field: Any, direction: Any) -> Any:
        # Only bodies have a direction. A plain ModelSerializer writes numbers there,
        # so numbers belong into the schema.
        if direction is None and holds_uids(model_field):
            return uid_schema()
        return super()._map_model_field(model_field, direction)


class UidFieldExtension(OpenApiSerializerFieldExtension):
    """The schema of ``UidField``."""

    target_class = "django_uidgen.rest_framework.fields.UidField"
    match_subclasses = True

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Direction
    ) -> dict[str, Any]:
        """Return the schema of a UID. It omits ints, which the field also accepts."""
        return uid_schema()


class UidSlugRelatedFieldExtension(UidFieldExtension):
    """The schema of ``UidSlugRelatedField``."""

    target_class = "django_uidgen.rest_framework.fields.UidSlugRelatedField"
