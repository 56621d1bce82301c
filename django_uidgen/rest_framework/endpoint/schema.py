"""OpenAPI of the endpoints, by drf-spectacular, which must be installed.

Importing this module registers the extensions. ``rest_framework.schema`` does so.
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
from django_uidgen.rest_framework.endpoint.serializers import (
    MintSerializer,
    ParsedUidSerializer,
    ParseQuerySerializer,
    WorkerNodeSerializer,
    WorkerQuerySerializer,
)
from django_uidgen.rest_framework.fields import UidField, uid_schema


class GeneratorFieldExtension(OpenApiSerializerFieldExtension):
    """The schema of ``GeneratorField``: the aliases of the generators."""

    target_class = "django_uidgen.rest_framework.endpoint.serializers.GeneratorField"

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Direction
    ) -> dict[str, Any]:
        """Return an enumeration of the aliases in the present settings."""
        return {"type": "string", "enum": list(conf.aliases())}


class _MintedSerializer(serializers.Serializer[Any]):
    """The response to a request for UIDs."""

    generator = serializers.CharField()
    count = serializers.IntegerField()
    uids = serializers.ListField(child=UidField())

    class Meta:
        ref_name = "MintedUids"


class _UidSerializer(ParsedUidSerializer):
    """The parts of a UID and, for those who may view it, its lease or null."""

    worker_node = WorkerNodeSerializer(required=False, allow_null=True)

    class Meta:
        ref_name = "ParsedUid"


def _error(description: str) -> OpenApiResponse:
    return OpenApiResponse(OpenApiTypes.OBJECT, description=description)


_ERRORS = {
    400: _error("Invalid input: the errors, by name of field or parameter."),
    401: _error("The caller is not authenticated."),
    403: _error("The caller has no permission."),
    429: _error("Too many requests. Retry-After is the number of seconds to wait."),
}


class UidListViewExtension(OpenApiViewExtension):
    """``POST uids/``."""

    target_class = "django_uidgen.rest_framework.endpoint.views.UidListView"

    def view_replacement(self) -> Any:
        """Return the view with the schema of its requests and responses."""
        return extend_schema_view(
            post=extend_schema(
                operation_id="uids_mint",
                request=MintSerializer,
                responses={
                    201: _MintedSerializer,
                    **_ERRORS,
                    503: _error("No UID can be minted now. See Retry-After."),
                },
            )
        )(_subclass(self.target))


class UidViewExtension(OpenApiViewExtension):
    """``GET uids/<uid>/``."""

    target_class = "django_uidgen.rest_framework.endpoint.views.UidView"

    def view_replacement(self) -> Any:
        """Return the view with the schema of its requests and responses."""
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

    target_class = "django_uidgen.rest_framework.endpoint.views.WorkerListView"

    def view_replacement(self) -> Any:
        """Return the view with the schema of its requests and responses."""
        return extend_schema_view(
            get=extend_schema(
                operation_id="workers_list",
                parameters=[WorkerQuerySerializer],
                responses={
                    200: WorkerNodeSerializer(many=True),
                    **_ERRORS,
                    404: _error("The page does not exist."),
                },
            )
        )(_subclass(self.target))


def _subclass(view: Any) -> Any:
    """Return a subclass, so that ``extend_schema`` leaves the view itself unchanged."""
    return type(view.__name__, (view,), {"__doc__": view.__doc__})
