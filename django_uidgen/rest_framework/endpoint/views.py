"""The views: mint UIDs, parse them, list the leases of worker ids."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from django.db.models import QuerySet
from rest_framework.exceptions import (
    APIException,
    ParseError,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.status import HTTP_201_CREATED, HTTP_503_SERVICE_UNAVAILABLE
from rest_framework.views import APIView

from django_uidgen import conf
from django_uidgen.core.exceptions import InvalidUid, UidError
from django_uidgen.models import WorkerNode
from django_uidgen.parsing import parse
from django_uidgen.registry import generators
from django_uidgen.rest_framework.endpoint.pagination import bounded
from django_uidgen.rest_framework.endpoint.permissions import MayViewLeases
from django_uidgen.rest_framework.endpoint.serializers import (
    COUNT_RULE,
    MintSerializer,
    ParsedUidSerializer,
    ParsedUidWithLeaseSerializer,
    ParseQuerySerializer,
    WorkerNodeSerializer,
    WorkerQuerySerializer,
)
from django_uidgen.rest_framework.endpoint.throttling import UidgenRateThrottle

logger = logging.getLogger("django_uidgen")


class CannotMint(APIException):
    """Status 503: no UID can be minted now.

    The reason may name hosts, so it is in the server's log only.
    """

    status_code = HTTP_503_SERVICE_UNAVAILABLE
    default_code = "cannot_mint"

    #: Seconds until the next try, for the header Retry-After.
    wait = 5

    def __init__(self, alias: str, error: UidError) -> None:
        super().__init__(
            f"Generator {alias!r} cannot mint now ({type(error).__name__}). "
            f"The reason is in the server's log."
        )


class _Endpoint(APIView):
    """For authenticated users, limited by the project's throttles and ``uidgen``."""

    permission_classes = [IsAuthenticated]
    throttle_classes = [*APIView.throttle_classes, UidgenRateThrottle]


class UidListView(_Endpoint, GenericAPIView[Any]):
    """Mint UIDs: ``{"count": 1 to 1000, "generator": "default"}``."""

    serializer_class = MintSerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return new UIDs as strings, in ascending order."""
        body = _body(request)
        count, alias = MintSerializer.read(body) or self._validated(body)
        try:
            uids = generators[alias].uids(count)
        except UidError as error:
            logger.warning("Generator %r cannot mint: %s", alias, error)
            raise CannotMint(alias, error) from error
        return Response(
            {"generator": alias, "count": count, "uids": list(map(str, uids))},
            status=HTTP_201_CREATED,
        )

    def _validated(self, body: Mapping[str, Any]) -> tuple[int, str]:
        serializer = self.get_serializer(data=body)
        serializer.is_valid(raise_exception=True)
        valid = serializer.validated_data
        return valid["count"], valid["generator"]


def _body(request: Request) -> Mapping[str, Any]:
    """Return the body, an object. Raise ``ValidationError`` for any other.

    REST framework answers 415 to a content type that it cannot parse. Here every
    invalid request has the same answer: 400, with the range of ``count``.
    """
    allowed = ", ".join(parser.media_type for parser in request.parsers or ())
    try:
        data = request.data
    except (ParseError, UnsupportedMediaType, RecursionError) as error:
        problem = f"The body could not be read as one of {allowed}: {error}"
        raise ValidationError({"count": [f"{COUNT_RULE} {problem}"]}) from error
    if not isinstance(data, Mapping):
        problem = 'The body must be an object such as {"count": 1}.'
        raise ValidationError({"count": [f"{COUNT_RULE} {problem}"]})
    return data


class UidView(_Endpoint, GenericAPIView[Any]):
    """Parse a UID of the generator ``?generator=``, by default "default".

    The lease under which it was minted is for those who may view leases.
    """

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return the serializer for those who may view leases, or the other one."""
        may_view = MayViewLeases().has_permission(self.request, self)
        return ParsedUidWithLeaseSerializer if may_view else ParsedUidSerializer

    def get(self, request: Request, uid: str, *args: Any, **kwargs: Any) -> Response:
        """Return the parts of the UID in the path: any text, 400 if it is invalid."""
        query = ParseQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        try:
            parsed = parse(uid, query.validated_data["generator"])
        except InvalidUid as error:
            raise ValidationError({"uid": [str(error)]}) from error
        return Response(self.get_serializer(parsed).data)


class WorkerListView(_Endpoint, ListAPIView[WorkerNode]):
    """The leases of worker ids, newest first, for those who may view them.

    ``?generator=`` and ``?state=`` (live, free or sealed) filter them. Without a
    generator the list has all leases in the database of the generator "default".
    """

    permission_classes = [MayViewLeases]
    serializer_class = WorkerNodeSerializer
    # REST framework has already imported the class that the setting names.
    pagination_class = bounded(cast(Any, api_settings.DEFAULT_PAGINATION_CLASS))
    # The project's default filters may not fit this model.
    filter_backends = []

    def get_queryset(self) -> QuerySet[WorkerNode]:
        """Return the leases that match the query parameters."""
        query = WorkerQuerySerializer(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        alias = query.validated_data.get("generator")
        state = query.validated_data.get("state")
        database = conf.get_config(alias or conf.DEFAULT_ALIAS).database
        nodes = WorkerNode.objects.using(database).order_by("-pk")
        if alias:
            nodes = nodes.for_generator(alias)
        return nodes.in_state(state) if state else nodes
