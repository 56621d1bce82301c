"""What the recorded callbacks come to, in any order and with repeats."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from live.models import (
    Connection,
    HlsSegment,
    PlaySession,
    PublishSession,
    Recording,
    Stream,
)

from tests.example.samples import RECORDED, Delivery, body_of, deliver, stored

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
COUNTS = {
    Stream: 2,
    Connection: 6,
    PublishSession: 2,
    PlaySession: 4,
    HlsSegment: 12,
    Recording: 2,
}


def counts() -> dict[type, int]:
    return {model: model.objects.count() for model in COUNTS}


def at(seconds: float, action: str, **changes) -> Delivery:
    return Delivery(body_of(action, **changes), NOON + timedelta(seconds=seconds))


def moments(session: PublishSession | PlaySession) -> tuple[float, float | None]:
    """Return start and end in seconds after noon."""
    ended = session.ended_at and (session.ended_at - NOON).total_seconds()
    return (session.started_at - NOON).total_seconds(), ended


@pytest.fixture(scope="module")
def in_order(django_db_setup, django_db_blocker):
    """What is stored after the recorded callbacks in their order."""
    with django_db_blocker.unblock(), transaction.atomic():
        deliver(RECORDED)
        result = stored()
        transaction.set_rollback(True)
    return result


@st.composite
def deliveries(draw) -> list[Delivery]:
    """Return the 36 callbacks with repeats, in any order."""
    repeats = draw(st.lists(st.sampled_from(RECORDED), max_size=12))
    delay = draw(st.floats(0, 60))
    return draw(st.permutations([*RECORDED, *(d.later(delay) for d in repeats)]))


@pytest.mark.django_db
def test_the_recorded_callbacks_become_rows():
    """Two publishers, four players, 12 segments, two files, six connections."""
    deliver(RECORDED)
    assert counts() == COUNTS


@pytest.mark.django_db
def test_a_session_has_the_times_at_which_its_events_were_received():
    """camera1 was published from .1 to 14.152 seconds after the first event."""
    deliver(RECORDED)
    session = PublishSession.objects.get(stream__name="camera1")
    assert session.started_at == datetime.fromtimestamp(1795416346.1, UTC)
    assert session.ended_at == datetime.fromtimestamp(1795416360.152, UTC)
    assert session.srs_stream_id == "vid-05c3856"
    assert session.connection.client_id == "rj67214d"
    assert session.connection.server_id == "vid-352ux0e"
    assert session.connection.ip == "127.0.0.1"


@pytest.mark.django_db
def test_segments_and_recordings_belong_to_their_publisher():
    """Seven segments and a file of camera1, five and one of camera2."""
    deliver(RECORDED)
    for name, numbers in [("camera1", range(7)), ("camera2", range(5))]:
        session = PublishSession.objects.get(stream__name=name)
        found = session.segments.order_by("seq_no").values_list("seq_no", flat=True)
        assert list(found) == list(numbers)
        assert name in session.recordings.get().file


@pytest.mark.django_db
def test_a_close_keeps_the_bytes():
    """on_close tells what the connection sent and received."""
    deliver(RECORDED)
    row = Connection.objects.get(client_id="ur4073z4")
    assert (row.sent_bytes, row.received_bytes) == (4501, 649224)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None)
@given(sent=deliveries())
def test_order_and_repeats_change_nothing(in_order, sent):
    """Every permutation, with events sent again, stores the same to the microsecond."""
    with transaction.atomic():
        deliver(sent)
        result = stored()
        transaction.set_rollback(True)
    assert result == in_order


@pytest.mark.django_db
@settings(max_examples=15, deadline=None)
@given(sent=deliveries())
def test_a_wild_order_of_arrival_changes_only_times(in_order, sent):
    """With the clock of arrival, the rows are the same and no session ends early."""
    arrived = [
        Delivery(d.body, NOON + timedelta(seconds=i)) for i, d in enumerate(sent)
    ]
    with transaction.atomic():
        deliver(arrived)
        result = stored(times=False)
        sessions = [*PublishSession.objects.all(), *PlaySession.objects.all()]
        transaction.set_rollback(True)
    expected = {
        # The times are the last two columns of these.
        name: [row[:-2] for row in rows] if name in TIMED else rows
        for name, rows in in_order.items()
    }
    assert result == {name: sorted(rows, key=repr) for name, rows in expected.items()}
    assert all(s.ended_at and s.ended_at >= s.started_at for s in sessions)


TIMED = {"Connection", "PublishSession", "PlaySession"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("on_publish", (0, None)),
        ("on_publish on_unpublish", (0, 1)),
        ("on_unpublish on_publish", (0, 0)),
        ("on_close on_publish", (0, 0)),
        ("on_publish on_close", (0, 1)),
        ("on_publish on_unpublish on_close", (0, 1)),
        ("on_publish on_close on_unpublish", (0, 1)),
        ("on_hls on_publish on_unpublish", (0, 2)),
        ("on_dvr on_close on_hls", (0, 1)),
        ("on_publish on_unpublish on_publish", (0, 1)),
    ],
)
def test_a_publish_session_in_each_order(order, expected):
    """It starts with its first event and ends with the first that ends it."""
    client = body_of("on_publish")["client_id"]
    deliver(
        [
            at(second, action, client_id=client, stream=stream_of(action))
            for second, action in enumerate(order.split())
        ]
    )
    assert moments(PublishSession.objects.get()) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("on_play", (0, None)),
        ("on_play on_stop", (0, 1)),
        ("on_stop on_play", (0, 0)),
        ("on_close on_play on_stop", (0, 0)),
        ("on_play on_close on_stop", (0, 1)),
    ],
)
def test_a_play_session_in_each_order(order, expected):
    """It starts with its first event and ends with the first that ends it."""
    deliver(
        [
            at(second, action, client_id="p", stream=stream_of(action))
            for second, action in enumerate(order.split())
        ]
    )
    assert moments(PlaySession.objects.get()) == expected


def stream_of(action: str) -> str | None:
    return None if action == "on_close" else "camera1"


@pytest.mark.django_db
def test_a_close_leaves_other_connections_alone():
    """The same client id in another run of the server is another client."""
    deliver(
        [
            at(0, "on_play", client_id="p"),
            at(0, "on_play", client_id="p", service_id="other"),
            at(0, "on_play", client_id="p", server_id="other"),
            at(0, "on_play", client_id="other"),
            at(1, "on_close", client_id="p"),
        ]
    )
    ended = PlaySession.objects.exclude(ended_at=None).get()
    assert PlaySession.objects.count() == 4
    assert ended.connection.client_id == "p"
    assert "other" not in (ended.connection.service_id, ended.connection.server_id)


@pytest.mark.django_db
def test_a_close_ends_all_streams_of_a_connection():
    """A connection may be at several streams, as publisher and as player."""
    deliver(
        [
            at(0, "on_play", client_id="p", stream="a"),
            at(0, "on_play", client_id="p", stream="b"),
            at(0, "on_publish", client_id="p", stream="c"),
            at(5, "on_close", client_id="p"),
        ]
    )
    sessions = [*PlaySession.objects.all(), *PublishSession.objects.all()]
    assert [moments(session) for session in sessions] == [(0, 5)] * 3


@pytest.mark.django_db
def test_names_that_differ_in_case_are_two_streams():
    """Also on a database that compares text without regard to case."""
    deliver([at(0, "on_play", stream="Camera"), at(0, "on_play", stream="camera")])
    assert Stream.objects.count() == 2
    assert Stream.objects.filter(name="camera").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("model", COUNTS, ids=lambda model: model.__name__)
def test_the_database_itself_refuses_a_row_twice(model):
    """A copy under another key breaks the unique constraint of each model."""
    deliver(RECORDED)
    row = model.objects.first()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db
def test_the_database_itself_refuses_an_end_before_the_start():
    """The check constraint holds for publish and play sessions."""
    deliver(RECORDED)
    for model in (PublishSession, PlaySession):
        row = model.objects.first()
        row.ended_at = row.started_at - timedelta(microseconds=1)
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save()


@pytest.mark.django_db
def test_a_repeat_makes_no_rows_and_no_new_keys():
    """Keys stay as they are when everything is sent again."""
    deliver(RECORDED)
    keys = {model: set(model.objects.values_list("pk", flat=True)) for model in COUNTS}
    deliver([delivery.later(3) for delivery in RECORDED])
    assert keys == {
        model: set(model.objects.values_list("pk", flat=True)) for model in COUNTS
    }


@pytest.mark.django_db(transaction=True)
def test_the_same_callbacks_at_once_from_many_threads():
    """Four receivers of the same events store them once, with no error."""
    if connection.vendor == "sqlite" and not connection.transaction_mode:
        pytest.skip("Several writers to SQLite need its transaction_mode IMMEDIATE.")
    threads = 4
    errors = []
    barrier = threading.Barrier(threads)

    def receive() -> None:
        try:
            for delivery in RECORDED:
                barrier.wait(timeout=60)
                deliver([delivery])
        except Exception as error:  # noqa: BLE001
            errors.append(error)
            barrier.abort()
        finally:
            connections.close_all()

    workers = [threading.Thread(target=receive) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert counts() == COUNTS
