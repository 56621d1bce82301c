"""What the REST endpoints show. Every UID is a decimal string.

JavaScript's numbers hold 53 bits, a UID has 63.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Model
from rest_framework import serializers

from django_uidgen import parse
from django_uidgen.rest_framework.serializers import UidModelSerializer
from live.models import HlsSegment, PlaySession, PublishSession, Recording, Stream


class UidSerializer(UidModelSerializer):
    """The key as a string, and the time that is read from it."""

    minted_at = serializers.SerializerMethodField()

    def get_minted_at(self, row: Model) -> datetime:
        """Return when the key was minted; no column is needed for it."""
        return parse(row.pk).minted_at


class StreamSerializer(UidSerializer):
    """A stream."""

    class Meta:
        model = Stream
        fields = ["id", "minted_at", "vhost", "app", "name"]


class SessionSerializer(UidSerializer):
    """What publish and play sessions have in common."""

    stream_name = serializers.CharField(source="stream", read_only=True)
    server_id = serializers.CharField(source="connection.server_id", read_only=True)
    client_id = serializers.CharField(source="connection.client_id", read_only=True)
    ip = serializers.CharField(source="connection.ip", read_only=True)

    class Meta:
        fields = [
            "id",
            "minted_at",
            "stream",
            "stream_name",
            "connection",
            "server_id",
            "client_id",
            "ip",
            "srs_stream_id",
            "started_at",
            "ended_at",
        ]


class PublishSessionSerializer(SessionSerializer):
    """A publisher at a stream."""

    class Meta(SessionSerializer.Meta):
        model = PublishSession


class PlaySessionSerializer(SessionSerializer):
    """A player at a stream."""

    class Meta(SessionSerializer.Meta):
        model = PlaySession


class HlsSegmentSerializer(UidSerializer):
    """A piece of a publish session; ``duration`` in seconds."""

    class Meta:
        model = HlsSegment
        fields = [
            "id",
            "minted_at",
            "publish_session",
            "seq_no",
            "duration",
            "file",
            "url",
            "m3u8_url",
        ]


class RecordingSerializer(UidSerializer):
    """A file in which a publish session was recorded."""

    class Meta:
        model = Recording
        fields = ["id", "minted_at", "publish_session", "file"]
