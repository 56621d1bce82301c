"""The REST endpoints of the example project."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime
from urllib.parse import urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live.models import HlsSegment, PlaySession, PublishSession, Recording, Stream

from django_uidgen import parse

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]

ENDPOINTS = {
    "streams": Stream,
    "publish-sessions": PublishSession,
    "play-sessions": PlaySession,
    "segments": HlsSegment,
    "recordings": Recording,
}
PARENTS = {
    "publish-sessions": ["stream", "connection"],
    "play-sessions": ["stream", "connection"],
    "segments": ["publish_session"],
    "recordings": ["publish_session"],
}
every_endpoint = pytest.mark.parametrize("name", ENDPOINTS)


@pytest.fixture
def visitor(django_user_model) -> Client:
    """Someone who has logged in."""
    client = Client()
    client.force_login(django_user_model.objects.create_user("ada"))
    return client


@every_endpoint
def test_rows_come_newest_first(recorded, visitor, name):
    """The order is that of the keys, the last minted on top."""
    answer = visitor.get(f"/live/{name}/").json()
    keys = [int(row["id"]) for row in answer["results"]]
    assert keys == sorted(ENDPOINTS[name].objects.values_list("pk", flat=True))[::-1]
    moments = [datetime.fromisoformat(row["minted_at"]) for row in answer["results"]]
    assert moments == sorted(moments, reverse=True)


@every_endpoint
def test_keys_are_strings_and_tell_their_time(recorded, visitor, name):
    """A UID is too long for a number of JavaScript."""
    for row in visitor.get(f"/live/{name}/").json()["results"]:
        for field in ["id", *PARENTS.get(name, [])]:
            assert isinstance(row[field], str)
            assert row[field].isdecimal()
        assert datetime.fromisoformat(row["minted_at"]) == parse(row["id"]).minted_at


@every_endpoint
def test_a_row_by_its_key(recorded, visitor, name):
    """The same row as in the list; nothing in the answer is a UID as a number."""
    row = visitor.get(f"/live/{name}/").json()["results"][0]
    response = visitor.get(f"/live/{name}/{row['id']}/")
    assert response.json() == row
    numbers = [value for value in row.values() if isinstance(value, int)]
    assert all(number < 2**31 for number in numbers)


@pytest.mark.parametrize(("name", "parents"), PARENTS.items())
def test_keys_of_other_rows(recorded, visitor, name, parents):
    """They are those of the database."""
    row = visitor.get(f"/live/{name}/").json()["results"][0]
    stored = ENDPOINTS[name].objects.get(pk=row["id"])
    for parent in parents:
        assert row[parent] == str(getattr(stored, f"{parent}_id"))


def test_a_session_shows_who_and_where(recorded, visitor):
    """With the ids of the media server, its address and its times."""
    rows = visitor.get("/live/publish-sessions/").json()["results"]
    row = next(row for row in rows if row["client_id"] == "ur4073z4")
    session = PublishSession.objects.get(pk=row["id"])
    assert row["stream_name"] == "live/camera2"
    assert row["server_id"] == "vid-352ux0e"
    assert row["srs_stream_id"] == "vid-j304542"
    assert row["ip"] == "127.0.0.1"
    assert datetime.fromisoformat(row["started_at"]) == session.started_at
    assert datetime.fromisoformat(row["ended_at"]) == session.ended_at


@every_endpoint
def test_pages(recorded, visitor, name):
    """Following "next" meets every row once, in order."""
    keys, url = [], f"/live/{name}/?page_size=1"
    while url:
        answer = visitor.get(url).json()
        assert len(answer["results"]) == 1
        keys += [int(row["id"]) for row in answer["results"]]
        url = answer["next"]
    assert keys == sorted(ENDPOINTS[name].objects.values_list("pk", flat=True))[::-1]


@pytest.mark.parametrize("size", ["0", "-1", "x", "1000000", ""])
def test_a_page_has_a_largest_size(visitor, size):
    """Any other size is passed over or cut."""
    Stream.objects.bulk_create(
        Stream(vhost="v", app="a", name=str(number)) for number in range(501)
    )
    answer = visitor.get("/live/streams/", {"page_size": size}).json()
    assert len(answer["results"]) == (500 if size == "1000000" else 50)
    assert answer["next"]


@pytest.mark.parametrize("name", ["publish-sessions", "play-sessions"])
def test_a_page_costs_the_same_with_more_rows(
    recorded, visitor, name, django_assert_num_queries
):
    """Session and user of the visitor, and one query for the rows."""
    with django_assert_num_queries(3):
        assert len(visitor.get(f"/live/{name}/").json()["results"]) > 1


@every_endpoint
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_changed(recorded, visitor, name, method):
    """The endpoints are for reading."""
    key = ENDPOINTS[name].objects.values_list("pk", flat=True)[0]
    for url in (f"/live/{name}/", f"/live/{name}/{key}/"):
        response = getattr(visitor, method)(url, {}, content_type="application/json")
        assert response.status_code == 405


@every_endpoint
def test_a_stranger_sees_nothing(recorded, name):
    """Addresses of players are personal data."""
    key = ENDPOINTS[name].objects.values_list("pk", flat=True)[0]
    for url in (f"/live/{name}/", f"/live/{name}/{key}/"):
        response = Client().get(url)
        assert response.status_code in (401, 403)
        assert "results" not in response.json()


@every_endpoint
@pytest.mark.parametrize(
    "key", ["0", "1", "abc", "-1", "1.5", "9" * 19, "9" * 20, "9" * 10_000, "%00"]
)
def test_a_key_that_is_not_there(visitor, name, key):
    """404, whatever its form and length."""
    assert visitor.get(f"/live/{name}/{key}/").status_code == 404


@pytest.mark.parametrize(
    "position", ["abc", "-1", "1.5", "9" * 20, "9" * 10_000, "\0", "²", "٣"]
)
def test_a_cursor_with_a_position_that_is_no_uid(visitor, position):
    """404, and no error of the server."""
    token = b64encode(urlencode({"p": position}).encode()).decode()
    response = visitor.get("/live/streams/", {"cursor": token})
    assert response.status_code == 404


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(cursor=st.text(max_size=40) | st.binary(max_size=40).map(b64encode))
def test_no_cursor_is_an_error_of_the_server(visitor, cursor):
    """Whatever is given, the answer is a page or 404."""
    response = visitor.get("/live/streams/", {"cursor": cursor})
    assert response.status_code in (200, 404)


def test_the_root_lists_the_endpoints(visitor):
    """A visitor finds the way from /live/."""
    assert set(visitor.get("/live/").json()) == set(ENDPOINTS)


def test_the_endpoints_of_the_package_are_there(recorded, visitor):
    """A visitor mints a UID at /api/uids/ and reads it back."""
    made = visitor.post("/api/uids/", {"count": 2}, content_type="application/json")
    assert made.status_code == 201
    key = str(Stream.objects.values_list("pk", flat=True)[0])
    assert visitor.get(f"/api/uids/{key}/").status_code == 200
    assert visitor.get("/api/workers/").status_code == 403


def test_answers_are_json_for_programs(recorded, visitor):
    """And a page for people."""
    page = visitor.get("/live/streams/", headers={"accept": "text/html"})
    assert page["Content-Type"].startswith("text/html")
    assert json.loads(visitor.get("/live/streams/").content)["results"]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/live/streams/abc/", "application/json"),
        ("/api/nothing/", "application/json"),
        ("/nothing/", "text/html"),
    ],
)
def test_an_address_that_there_is_not(visitor, address, kind):
    """Is JSON for programs, and a page for people."""
    response = visitor.get(address)
    assert response.status_code == 404
    assert response["Content-Type"].startswith(kind)
