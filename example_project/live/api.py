"""Read-only REST endpoints, newest first by primary key."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.viewsets import ReadOnlyModelViewSet

from live.models import HlsSegment, PlaySession, PublishSession, Recording, Stream
from live.serializers import (
    HlsSegmentSerializer,
    PlaySessionSerializer,
    PublishSessionSerializer,
    RecordingSerializer,
    StreamSerializer,
)


class NewestFirst(CursorPagination):
    """Page through rows by their key: UIDs grow with time.

    No column and no index for the time is needed, a deep page costs as much as the
    first, and new rows do not shift the pages.
    """

    ordering = "-pk"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor, or answer 404 when its position is no UID."""
        cursor = super().decode_cursor(request)
        position = None if cursor is None else cursor.position
        if position is not None and not re.fullmatch(r"[0-9]{1,19}", str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class NewestFirstViewSet(ReadOnlyModelViewSet[Any]):
    """What the endpoints have in common.

    Players' addresses are personal data, so a visitor has to log in.
    """

    pagination_class = NewestFirst
    permission_classes = [IsAuthenticated]
    lookup_value_regex = "[0-9]{1,19}"


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
