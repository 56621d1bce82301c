"""A small API to read and write, with filters by the time in the key.

It needs django-filter, and shows its schema by drf-spectacular.
"""

from __future__ import annotations

from typing import Any

from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.permissions import IsAuthenticated
from rest_framework.viewsets import ModelViewSet

from django_uidgen.rest_framework.filters import UidFilterSet
from django_uidgen.rest_framework.lookup import UidLookupMixin
from django_uidgen.rest_framework.pagination import UidCursorPagination
from django_uidgen.rest_framework.serializers import UidModelSerializer
from live.models import Connection, PublishSession, Recording, Stream


class StreamRowSerializer(UidModelSerializer):
    """A stream, and the sessions in which it was published."""

    class Meta:
        model = Stream
        fields = ["id", "vhost", "app", "name", "publish_sessions"]
        read_only_fields = ["publish_sessions"]


class ConnectionRowSerializer(UidModelSerializer):
    """A client of the media server."""

    class Meta:
        model = Connection
        fields = ["id", "server_id", "service_id", "client_id", "ip", "connected_at"]


class PublishSessionRowSerializer(UidModelSerializer):
    """A publisher at a stream. Both are named by their keys."""

    class Meta:
        model = PublishSession
        fields = ["id", "connection", "stream", "srs_stream_id", "started_at"]


class RecordingRowSerializer(UidModelSerializer):
    """A file, with all of the session in which it was recorded."""

    class Meta:
        model = Recording
        fields = ["id", "publish_session", "file"]
        depth = 2


class PublishSessionFilterSet(UidFilterSet):
    """``?minted_after=``, ``?minted_before=``, ``?id=``, ``?stream=``."""

    class Meta:
        model = PublishSession
        fields = ["id", "stream"]


class _RestViewSet(UidLookupMixin, ModelViewSet[Any]):
    """Rows by key, newest first, for those who are logged in."""

    permission_classes = [IsAuthenticated]
    pagination_class = UidCursorPagination
    filter_backends = [DjangoFilterBackend]
    filterset_class = UidFilterSet


class StreamViewSet(_RestViewSet):
    """Places to publish to."""

    queryset = Stream.objects.prefetch_related("publish_sessions")
    serializer_class = StreamRowSerializer


class ConnectionViewSet(_RestViewSet):
    """Clients of the media server."""

    queryset = Connection.objects.all()
    serializer_class = ConnectionRowSerializer


class PublishSessionViewSet(_RestViewSet):
    """Who published what."""

    queryset = PublishSession.objects.all()
    serializer_class = PublishSessionRowSerializer
    filterset_class = PublishSessionFilterSet


class RecordingViewSet(_RestViewSet):
    """Files, to read and to delete: the media server alone makes them."""

    queryset = Recording.objects.select_related(
        "publish_session__connection", "publish_session__stream"
    )
    serializer_class = RecordingRowSerializer
    http_method_names = ["get", "delete", "head", "options"]
