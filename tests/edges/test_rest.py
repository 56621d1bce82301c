"""The API of the example project to read and write."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from live.models import Stream

from django_uidgen import parse
from tests.example.samples import RECORDED, deliver

pytestmark = pytest.mark.django_db


@pytest.fixture
def visitor(client, django_user_model):
    """Someone who has logged in."""
    client.force_login(django_user_model.objects.create_user("ada"))
    return client


@pytest.fixture
def recorded(db):
    """The recorded callbacks, stored."""
    deliver(RECORDED)


def test_rows_are_made_and_changed(visitor):
    """What an answer gives as a key is taken as one."""
    place = {"vhost": "v", "app": "live", "name": "camera1"}
    made = visitor.post("/api/streams/", place, content_type="application/json")
    assert made.status_code == 201
    stream = made.json()
    assert stream == {**place, "id": stream["id"], "publish_sessions": []}
    client = {"server_id": "a", "service_id": "b", "client_id": "c", "ip": "127.0.0.1"}
    made = visitor.post("/api/connections/", client, content_type="application/json")
    session = {
        "connection": made.json()["id"],
        "stream": stream["id"],
        "started_at": "2026-05-01T12:00:00Z",
    }
    made = visitor.post(
        "/api/publish-sessions/", session, content_type="application/json"
    )
    assert made.status_code == 201, made.content
    assert made.json() == {**session, "id": made.json()["id"], "srs_stream_id": ""}
    address = f"/api/streams/{stream['id']}/"
    assert visitor.get(address).json()["publish_sessions"] == [made.json()["id"]]
    assert visitor.delete(address).status_code == 204
    assert not Stream.objects.exists()


def test_filters(recorded, visitor):
    """By the time in the key, and by keys."""
    address = "/api/publish-sessions/"
    rows = visitor.get(address).json()["results"]
    day = timedelta(days=1)
    last = parse(rows[0]["id"]).minted_at
    for query, found in (
        ({"minted_after": (last - day).isoformat()}, rows),
        ({"minted_before": (last - day).isoformat()}, []),
        ({"minted_after": (last + day).isoformat()}, []),
        ({"minted_before": (last + day).isoformat()}, rows),
        ({"stream": rows[1]["stream"]}, [rows[1]]),
        ({"id": rows[1]["id"]}, [rows[1]]),
    ):
        assert visitor.get(address, query).json()["results"] == found
    for query in ({"minted_after": "x"}, {"id": "007"}, {"stream": str(2**63)}):
        answer = visitor.get(address, query)
        assert answer.status_code == 400
        assert list(answer.json()) == list(query)


@pytest.mark.parametrize(
    "name", ["rest-stream", "rest-connection", "rest-publish", "rest-recording"]
)
def test_pages_for_people(recorded, visitor, name):
    """REST framework's pages can be shown, with forms and filters."""
    for address in (reverse(f"{name}-list"), _first(visitor, name)):
        page = visitor.get(address, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert page["Content-Type"].startswith("text/html")


def _first(visitor, name):
    row = visitor.get(reverse(f"{name}-list")).json()["results"][0]
    return reverse(f"{name}-detail", args=[row["id"]])
