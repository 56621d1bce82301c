"""Read-only REST endpoints, newest first by primary key."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.viewsets import ReadOnlyModelViewSet

from django_uidgen.rest_framework.lookup import UidLookupMixin
from django_uidgen.rest_framework.pagination import UidCursorPagination
from live.models import HlsSegment, PlaySession, PublishSession, Recording, Stream
from live.serializers import (
    HlsSegmentSerializer,
    PlaySessionSerializer,
    PublishSessionSerializer,
    RecordingSerializer,
    StreamSerializer,
)


class NewestFirst(UidCursorPagination):
    """Page through rows by their key: UIDs grow with time.

    No column and no index for the time is needed, a deep page costs as much as the
    first, and new rows do not shift the pages.
    """

    page_size = 50
    max_page_size = 500


class NewestFirstViewSet(UidLookupMixin, ReadOnlyModelViewSet[Any]):
    """What the endpoints have in common.

    Players' addresses are personal data, so a visitor has to log in.
    """

    pagination_class = NewestFirst
    permission_classes = [IsAuthenticated]


class StreamViewSet(NewestFirstViewSet):
    """Streams."""

    queryset = Stream.objects.all()
    serializer_class = StreamSerializer


class PublishSessionViewSet(NewestFirstViewSet):
    """Who published, where and when."""

    queryset = PublishSession.objects.select_related("connection", "stream")
    serializer_class = PublishSessionSerializer


class PlaySessionViewSet(NewestFirstViewSet):
    """Who played, where and when."""

    queryset = PlaySession.objects.select_related("connection", "stream")
    serializer_class = PlaySessionSerializer


class HlsSegmentViewSet(NewestFirstViewSet):
    """Pieces of publish sessions for HLS players."""

    queryset = HlsSegment.objects.all()
    serializer_class = HlsSegmentSerializer


class RecordingViewSet(NewestFirstViewSet):
    """Files in which publish sessions were recorded."""

    queryset = Recording.objects.all()
    serializer_class = RecordingSerializer
