"""The site's back office."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from django_uidgen.uid_admin import (
    MintedAtDrillDown,
    MintedAtListFilter,
    UidAdminMixin,
)
from live.models import (
    Connection,
    HlsSegment,
    PlaySession,
    PublishSession,
    Recording,
    Stream,
)


class UidAdmin(UidAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Newest first by key; the key is searched for as a whole."""

    ordering = ["-pk"]
    list_per_page = 50
    show_full_result_count = False


@admin.register(Stream)
class StreamAdmin(UidAdmin):
    """Streams."""

    list_display = ["id", "minted_at", "vhost", "app", "name"]
    list_filter = [("id", MintedAtDrillDown), "vhost", "app"]
    search_fields = ["app", "name"]


@admin.register(Connection)
class ConnectionAdmin(UidAdmin):
    """Clients of the media server."""

    list_display = [
        "id",
        "client_id",
        "ip",
        "connected_at",
        "closed_at",
        "sent_bytes",
        "received_bytes",
    ]
    list_filter = ["server_id"]
    search_fields = ["=client_id", "=ip"]


class SegmentInline(admin.TabularInline):  # type: ignore[type-arg]
    """The segments of a publish session."""

    model = HlsSegment
    extra = 0
    ordering = ["seq_no"]


class RecordingInline(admin.TabularInline):  # type: ignore[type-arg]
    """The recordings of a publish session."""

    model = Recording
    extra = 0


class SessionAdmin(UidAdmin):
    """What publish and play sessions have in common."""

    list_display = ["id", "stream", "connection", "ip", "started_at", "ended_at"]
    list_filter = [("ended_at", admin.EmptyFieldListFilter), "stream"]
    list_select_related = ["connection", "stream"]
    search_fields = [
        "stream__name",
        "=connection__client_id",
        "=connection__ip",
    ]
    raw_id_fields = ["connection", "stream"]

    @admin.display(description="IP address", ordering="connection__ip")
    def ip(self, row: Any) -> str:
        """Return the client's address."""
        return str(row.connection.ip)


@admin.register(PublishSession)
class PublishSessionAdmin(SessionAdmin):
    """Publishers, with what came of them."""

    inlines = [RecordingInline, SegmentInline]


@admin.register(PlaySession)
class PlaySessionAdmin(SessionAdmin):
    """Players."""


@admin.register(HlsSegment)
class HlsSegmentAdmin(UidAdmin):
    """Pieces of publish sessions."""

    list_display = ["id", "minted_at", "publish_session", "seq_no", "duration", "url"]
    list_filter = [("id", MintedAtListFilter)]
    list_select_related = [
        "publish_session__connection",
        "publish_session__stream",
    ]
    search_fields = ["url"]
    uid_search_fields = ["pk", "publish_session"]
    raw_id_fields = ["publish_session"]


@admin.register(Recording)
class RecordingAdmin(UidAdmin):
    """Files in which publish sessions were recorded."""

    list_display = ["id", "minted_at", "publish_session", "file"]
    list_select_related = [
        "publish_session__connection",
        "publish_session__stream",
    ]
    search_fields = ["file"]
    uid_search_fields = ["pk", "publish_session"]
    raw_id_fields = ["publish_session"]
