"""Store a checked callback, so that repeats and order do not matter."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from django.db import transaction

from live.callbacks import PUBLISHER_ACTIONS, Action, Callback
from live.models import (
    Connection,
    HlsSegment,
    PlaySession,
    PublishSession,
    Recording,
    Session,
    Stream,
    earliest,
)

SessionT = TypeVar("SessionT", bound=Session)


def record(callback: Callback, *, received_at: datetime) -> None:
    """Store what the callback tells.

    The rows that several events share are made first, each on its own, so that no
    transaction waits for another while it holds a lock. The connection's row is then
    locked: events of one connection follow each other, also in several processes.
    """
    stream = _stream(callback) if callback.stream else None
    pk = _connection(callback).pk
    with transaction.atomic():
        connection = Connection.objects.select_for_update().get(pk=pk)
        if stream is not None:
            _stream_event(connection, stream, callback, received_at)
        elif callback.action is Action.CLOSE:
            _closed(connection, callback, received_at)
        else:
            _connected(connection, received_at)


def _stream(callback: Callback) -> Stream:
    return Stream.objects.get_or_create(
        vhost=callback.vhost, app=callback.app, name=callback.stream
    )[0]


def _connection(callback: Callback) -> Connection:
    return Connection.objects.get_or_create(
        server_id=callback.server_id,
        service_id=callback.service_id,
        client_id=callback.client_id,
        defaults={"ip": callback.ip},
    )[0]


def _connected(connection: Connection, at: datetime) -> None:
    connection.connected_at = earliest(connection.connected_at, at)
    connection.save()


def _closed(connection: Connection, callback: Callback, at: datetime) -> None:
    closed_at = min(connection.closed_at or at, at)
    connection.closed_at = closed_at
    if connection.sent_bytes is None:
        connection.sent_bytes = callback.sent_bytes
    if connection.received_bytes is None:
        connection.received_bytes = callback.received_bytes
    connection.save()
    sessions: list[Session] = [
        *connection.publish_sessions.all(),
        *connection.play_sessions.all(),
    ]
    for session in sessions:
        session.end(closed_at)
        session.save()


def _stream_event(
    connection: Connection, stream: Stream, callback: Callback, at: datetime
) -> None:
    if callback.action not in PUBLISHER_ACTIONS:
        _session(PlaySession, connection, stream, callback, at)
        return
    session = _session(PublishSession, connection, stream, callback, at)
    if callback.segment is not None:
        segment = callback.segment
        HlsSegment.objects.get_or_create(
            publish_session=session,
            seq_no=segment.seq_no,
            defaults={
                "duration": segment.duration,
                "file": segment.file,
                "url": segment.url,
                "m3u8_url": segment.m3u8_url,
            },
        )
    if callback.action is Action.DVR:
        Recording.objects.get_or_create(
            publish_session=session, file=callback.recording_file
        )


def _session(
    model: type[SessionT],
    connection: Connection,
    stream: Stream,
    callback: Callback,
    at: datetime,
) -> SessionT:
    """Return the session of the event, made or brought up to date."""
    sessions = model._default_manager.filter(connection=connection, stream=stream)
    session = sessions.first() or model(
        connection=connection, stream=stream, started_at=at
    )
    session.hear(at)
    if callback.action in (Action.UNPUBLISH, Action.STOP):
        session.end(at)
    if connection.closed_at is not None:
        session.end(connection.closed_at)
    session.srs_stream_id = session.srs_stream_id or callback.srs_stream_id
    session.save()
    return session
