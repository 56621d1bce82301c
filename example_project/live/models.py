"""What is kept of the media server's events. Every key is a UID.

SRS may send an event again, and events may arrive in any order. Two things make the
result the same: each row has a natural key with a unique constraint, and every
moment kept is the earliest one heard of, which no order and no repeat changes.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from live.callbacks import FILE_LIMIT, PLACE_LIMIT, SERVER_LIMIT, STREAM_LIMIT
from live.fields import ExactCharField


def earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    """Return the earlier of two moments; None stands for not known."""
    if first is None or second is None:
        return first or second
    return min(first, second)


class Stream(models.Model):
    """A place to publish to: what players ask for by name."""

    vhost = ExactCharField(max_length=PLACE_LIMIT)
    app = ExactCharField(max_length=PLACE_LIMIT)
    name = ExactCharField(max_length=STREAM_LIMIT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["vhost", "app", "name"], name="live_stream_unique"
            )
        ]

    def __str__(self) -> str:
        """Return the name as in an address."""
        return f"{self.app}/{self.name}"


class Connection(models.Model):
    """One client of one run of the media server: a publisher or a player.

    ``service_id`` changes when SRS restarts, so ``client_id`` is unique within it.
    The row also remembers ``on_close``, which names no stream and may come before
    the events of the sessions that it ends. The bytes are seen from the server.
    """

    server_id = ExactCharField(max_length=SERVER_LIMIT)
    service_id = ExactCharField(max_length=SERVER_LIMIT)
    client_id = ExactCharField(max_length=SERVER_LIMIT)
    ip = models.GenericIPAddressField("IP address")
    connected_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    sent_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    received_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["server_id", "service_id", "client_id"],
                name="live_connection_unique",
            )
        ]

    def __str__(self) -> str:
        """Return the client's id in SRS."""
        return self.client_id


class Session(models.Model):
    """One connection at one stream.

    ``started_at`` is when the first event of the session was received, ``ended_at``
    when the first event that ends it was. SRS sends no times of its own.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE)
    srs_stream_id = models.CharField(
        "SRS stream id", max_length=SERVER_LIMIT, blank=True
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "stream"], name="live_%(class)s_unique"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="live_%(class)s_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        """Return who is at which stream."""
        return f"{self.connection} at {self.stream}"

    def hear(self, at: datetime) -> None:
        """Take in that an event of the session was received at this moment."""
        self.started_at = min(self.started_at, at)

    def end(self, at: datetime) -> None:
        """Take in that an event that ends the session was received at this moment."""
        self.hear(at)
        self.ended_at = earliest(self.ended_at, at)


class PublishSession(Session):
    """A publisher at a stream.

    The publisher's token is checked when the event comes in and kept nowhere: it is a
    password, and nothing here needs it again.
    """

    class Meta(Session.Meta):
        default_related_name = "publish_sessions"


class PlaySession(Session):
    """A player at a stream."""

    class Meta(Session.Meta):
        default_related_name = "play_sessions"


class HlsSegment(models.Model):
    """A piece of a publish session, cut for HLS players. ``duration`` in seconds."""

    publish_session = models.ForeignKey(
        PublishSession, on_delete=models.CASCADE, related_name="segments"
    )
    seq_no = models.PositiveBigIntegerField("sequence number")
    duration = models.FloatField()
    file = models.CharField(max_length=FILE_LIMIT)
    url = models.CharField("URL", max_length=FILE_LIMIT)
    m3u8_url = models.CharField("M3U8 URL", max_length=FILE_LIMIT, blank=True)

    class Meta:
        verbose_name = "HLS segment"
        constraints = [
            models.UniqueConstraint(
                fields=["publish_session", "seq_no"], name="live_hlssegment_unique"
            )
        ]

    def __str__(self) -> str:
        """Return the segment's address on the media server."""
        return self.url


class Recording(models.Model):
    """A file in which a publish session was recorded."""

    publish_session = models.ForeignKey(
        PublishSession, on_delete=models.CASCADE, related_name="recordings"
    )
    file = ExactCharField(max_length=FILE_LIMIT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["publish_session", "file"], name="live_recording_unique"
            )
        ]

    def __str__(self) -> str:
        """Return the path on the media server."""
        return self.file
