"""OpenAPI by drf-spectacular, which must be installed.

``"DEFAULT_SCHEMA_CLASS": "django_uidgen.rest_framework.schema.UidAutoSchema"``

Importing this module, as that setting does, tells drf-spectacular of our fields and
endpoints, too.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    Direction,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers

from django_uidgen import conf
from django_uidgen.rest_framework.fields import UidField, holds_uids
from django_uidgen.rest_framework.serializers import (
    MintSerializer,
    ParsedUidSerializer,
    ParseQuerySerializer,
    WorkerNodeSerializer,
    WorkerQuerySerializer,
)


def uid_schema() -> dict[str, Any]:
    """Return the schema of a UID: a string of digits that stand for 64 bits."""
    return {
        "type": "string",
        "format": "int64",
        "pattern": "^(0|[1-9][0-9]{0,18})$",
        "maxLength": 19,
    }


class UidAutoSchema(AutoSchema):
    """``AutoSchema`` in which UIDs in addresses and filters are strings.

    Those in bodies are what the serializers make of them.
    """

    def _map_model_field(self, model_field: Any, direction: Any) -> Any:
        # There is a direction in bodies only. A plain ModelSerializer gives numbers
        # there, and the schema says so.
        if direction is None and holds_uids(model_field):
            return uid_schema()
        return super()._map_model_field(model_field, direction)


class UidFieldExtension(OpenApiSerializerFieldExtension):
    """What ``UidField`` takes and gives."""

    target_class = "django_uidgen.rest_framework.fields.UidField"
    match_subclasses = True

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Direction
    ) -> dict[str, Any]:
        """Return the schema of a UID. That ints are taken as well is not promised."""
        return uid_schema()


class UidSlugRelatedFieldExtension(UidFieldExtension):
    """What ``UidSlugRelatedField`` takes and gives."""

    target_class = "django_uidgen.rest_framework.fields.UidSlugRelatedField"


class GeneratorFieldExtension(OpenApiSerializerFieldExtension):
    """The aliases of generators."""

    target_class = "django_uidgen.rest_framework.serializers.GeneratorField"

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Direction
    ) -> dict[str, Any]:
        """Return the aliases that there are now."""
        return {"type": "string", "enum": list(conf.aliases())}


class _MintedSerializer(serializers.Serializer[Any]):
    """The answer to a request for UIDs."""

    generator = serializers.CharField()
    count = serializers.IntegerField()
    uids = serializers.ListField(child=UidField())

    class Meta:
        ref_name = "MintedUids"


class _UidSerializer(ParsedUidSerializer):
    """The parts of a UID, and for staff the lease that it was minted under."""

    worker_node = WorkerNodeSerializer(required=False, allow_null=True)

    class Meta:
        ref_name = "ParsedUid"


def _error(description: str) -> OpenApiResponse:
    return OpenApiResponse(OpenApiTypes.OBJECT, description=description)


_ERRORS = {
    400: _error("What is wrong, by the name of the field or parameter."),
    401: _error("Who is asking is not known."),
    403: _error("Who is asking may not."),
    429: _error("Too many requests; Retry-After says how many seconds to wait."),
}


class UidListViewExtension(OpenApiViewExtension):
    """``POST uids/``."""

    target_class = "django_uidgen.rest_framework.views.UidListView"

    def view_replacement(self) -> Any:
        """Return the view with what it takes and answers."""
        return extend_schema_view(
            post=extend_schema(
                operation_id="uids_mint",
                request=MintSerializer,
                responses={
                    201: _MintedSerializer,
                    **_ERRORS,
                    503: _error("No UID can be minted now; see Retry-After."),
                },
            )
        )(_subclass(self.target))


class UidViewExtension(OpenApiViewExtension):
    """``GET uids/<uid>/``."""

    target_class = "django_uidgen.rest_framework.views.UidView"

    def view_replacement(self) -> Any:
        """Return the view with what it takes and answers."""
        return extend_schema_view(
            get=extend_schema(
                operation_id="uids_parse",
                parameters=[
                    OpenApiParameter("uid", uid_schema(), OpenApiParameter.PATH),
                    ParseQuerySerializer,
                ],
                responses={200: _UidSerializer, **_ERRORS},
            )
        )(_subclass(self.target))


class WorkerListViewExtension(OpenApiViewExtension):
    """``GET workers/``."""

    target_class = "django_uidgen.rest_framework.views.WorkerListView"

    def view_replacement(self) -> Any:
        """Return the view with what it takes and answers."""
        return extend_schema_view(
            get=extend_schema(
                operation_id="workers_list",
                parameters=[WorkerQuerySerializer],
                responses={
                    200: WorkerNodeSerializer(many=True),
                    **_ERRORS,
                    404: _error("There is no such page."),
                },
            )
        )(_subclass(self.target))


def _subclass(view: Any) -> Any:
    """Return a subclass: what is said of it here is not to reach the view itself."""
    return type(view.__name__, (view,), {"__doc__": view.__doc__})
