"""The address that the media server calls."""

from __future__ import annotations

import io
import json
import logging

import pytest
from django.core.exceptions import RequestDataTooBig
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from django.utils import timezone
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
from live.views import BODY_LIMIT, hooks

from tests.example.samples import RECORDED, body_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]

URL = "/live/hooks/"
MODELS = [Stream, Connection, PublishSession, PlaySession, HlsSegment, Recording]


def post(body: object):
    """Send a body as SRS does; bytes go as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    # Django's client would leave out the type of an empty body.
    head = {"content_type": "application/json", "CONTENT_TYPE": "application/json"}
    return Client(enforce_csrf_checks=True).post(URL, data, **head)


def nothing_is_stored() -> bool:
    return not any(model.objects.exists() for model in MODELS)


def assert_refused(response, status: int, reason: str) -> None:
    """The answer is one that SRS takes for no, with a reason, and nothing is stored."""
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    answer = response.json()
    assert answer["code"] == status
    assert reason in answer["reason"]
    assert nothing_is_stored()


def test_every_recorded_callback_is_answered_with_code_0():
    """The first time and the second, to the letter."""
    for delivery in [*RECORDED, *RECORDED]:
        response = post(delivery.body)
        assert (response.status_code, response.json()) == (200, {"code": 0})
    assert [model.objects.count() for model in MODELS] == [2, 6, 2, 4, 12, 2]


def test_the_time_is_the_one_of_the_server():
    """SRS sends none."""
    before = timezone.now()
    post(body_of("on_publish"))
    assert before <= PublishSession.objects.get().started_at <= timezone.now()


def test_a_type_with_a_charset_is_json_too():
    """Parameters of the content type are allowed."""
    response = Client().post(
        URL, body_of("on_play"), content_type="application/json; charset=utf-8"
    )
    assert response.json() == {"code": 0}


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_other_methods(method):
    """405 says which method is allowed."""
    response = getattr(Client(), method)(URL)
    assert response["Allow"] == "POST"
    if method == "head":
        assert response.status_code == 405
    else:
        assert_refused(response, 405, "POST")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""],
)
def test_other_content_types(content_type):
    """What a page elsewhere could make a browser send is refused."""
    body = json.dumps(body_of("on_play"))
    response = Client().generic("POST", URL, body, content_type=content_type)
    assert_refused(response, 415, "application/json")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSON"),
        (b"not json", "JSON"),
        (b"[1, 2]", "object"),
        (b"\xff\xfe", "UTF-8"),
        ({}, "'action'"),
        ({"action": "on_forward"}, "'action'"),
        (body_of("on_publish", stream=None), "'stream' is missing"),
        (body_of("on_publish", stream=7), "'stream' must be a string"),
        (body_of("on_publish", stream="a\0b"), "'stream'"),
        (body_of("on_publish", stream="x" * 256), "'stream' is longer than 255"),
        (body_of("on_hls", duration="2"), "'duration'"),
        (body_of("on_hls", seq_no=2**63), "'seq_no'"),
        (body_of("on_dvr", file="x" * 501), "'file' is longer than 500"),
    ],
    ids=repr,
)
def test_bad_bodies(body, reason):
    """400 with a reason; the next callback is taken as ever."""
    assert_refused(post(body), 400, reason)
    assert post(body_of("on_publish")).json() == {"code": 0}


def test_the_longest_names_fit_the_database():
    """Also in characters of four bytes, on every database and in every index."""
    long = {
        "server_id": 64,
        "service_id": 64,
        "client_id": 64,
        "stream_id": 64,
        "vhost": 128,
        "app": 128,
        "stream": 255,
        "file": 500,
        "url": 500,
        "m3u8_url": 500,
    }
    # Different characters, since an index may compress what repeats.
    values = {
        name: "".join(chr(0x10000 + (i * 7919) % 0xF0000) for i in range(limit))
        for name, limit in long.items()
    }
    numbers = {"seq_no": 2**63 - 1, "duration": 86_400}
    assert post(body_of("on_hls", **values, **numbers)).json() == {"code": 0}
    assert post(body_of("on_dvr", **values)).json() == {"code": 0}
    values = {name: values[name] for name in ("server_id", "service_id", "client_id")}
    numbers = {"send_bytes": 2**63 - 1, "recv_bytes": 2**63 - 1}
    assert post(body_of("on_close", **values, **numbers)).json() == {"code": 0}
    assert HlsSegment.objects.get().seq_no == 2**63 - 1
    assert Recording.objects.get().file == "".join(
        chr(0x10000 + (i * 7919) % 0xF0000) for i in range(500)
    )


def test_an_address_of_version_6_fits_the_database():
    """With the longest form there is."""
    assert post(body_of("on_play", ip="2001:db8:1111:2222:3333:4444:5555:6666"))
    assert Connection.objects.get().ip == "2001:db8:1111:2222:3333:4444:5555:6666"


def padded(size: int) -> bytes:
    """Return a good callback of this many bytes."""
    body = json.dumps(body_of("on_publish", padding="")).encode()
    padding = b"x" * (size - len(body))
    return body.replace(b'"padding": ""', b'"padding": "%b"' % padding)


def test_the_largest_body():
    """Up to the limit it is read."""
    assert len(padded(BODY_LIMIT)) == BODY_LIMIT
    assert post(padded(BODY_LIMIT)).json() == {"code": 0}


@pytest.mark.parametrize("size", [BODY_LIMIT + 1, 3_000_000])
def test_an_oversized_body(size):
    """413, also over Django's own limit."""
    assert_refused(post(padded(size)), 413, "larger than 65536 bytes")


def request_with(body: io.BytesIO, length: str):
    """Return a request whose head and body differ."""
    request = RequestFactory().post(URL, b"{}", content_type="application/json")
    request.META["CONTENT_LENGTH"] = length
    request._stream = body
    return request


class Untouchable(io.BytesIO):
    def read(self, *args):
        raise AssertionError("The body was read.")


@pytest.mark.parametrize("length", ["65537", "9" * 20, "9" * 10_000])
def test_an_oversized_body_is_not_read(length):
    """The head is enough to refuse it."""
    assert hooks(request_with(Untouchable(), length)).status_code == 413


@pytest.mark.parametrize("length", ["-1", "abc", "²", "1.5", "٣"])
def test_a_length_that_is_no_number(length):
    """The body is not read."""
    assert hooks(request_with(Untouchable(), length)).status_code == 400


@pytest.mark.parametrize("length", ["", "0", "100"])
def test_a_body_larger_than_its_head_says(length):
    """What was read counts."""
    response = hooks(request_with(io.BytesIO(padded(BODY_LIMIT + 1)), length))
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("error", "status"),
    [(RequestDataTooBig("too big"), 413), (UnreadablePostError("gone"), 400)],
)
def test_a_body_that_cannot_be_read(error, status):
    """A lower limit of Django's, and a sender that went away."""

    class Broken(io.BytesIO):
        def read(self, *args):
            raise error

    assert hooks(request_with(Broken(), "100")).status_code == status


@pytest.fixture
def tokens_on(settings):
    """camera1 has a token, and nobody else may publish."""
    settings.LIVE_PUBLISH_TOKENS = {"live/camera1": "abc"}


@pytest.mark.parametrize("action", ["on_publish", "on_unpublish", "on_hls", "on_dvr"])
@pytest.mark.parametrize("param", ["?token=wrong", "", None])
def test_a_publisher_with_a_wrong_token(tokens_on, action, param, caplog):
    """403 and nothing stored; the log names the stream and not the token."""
    caplog.set_level(logging.WARNING, "live")
    assert_refused(post(body_of(action, stream="camera1", param=param)), 403, "token")
    assert "'camera1'" in caplog.text
    assert "wrong" not in caplog.text
    assert "abc" not in caplog.text


def test_a_refused_name_cannot_forge_a_line_of_the_log(tokens_on, caplog):
    """It is written with its line breaks escaped."""
    assert_refused(post(body_of("on_publish", stream="a\nb: c")), 403, "token")
    assert "a\nb" not in caplog.text


def test_a_publisher_with_the_right_token(tokens_on):
    """It is let in, and its token is stored nowhere."""
    camera1 = [d.body for d in RECORDED if d.body.get("stream") == "camera1"]
    for body in camera1:
        assert post(body).json() == {"code": 0}
    assert PublishSession.objects.count() == 1
    for model in MODELS:
        for values in model.objects.values():
            assert "abc" not in str(values)
            assert "token" not in str(values)


def test_players_pass_while_publishers_are_refused(tokens_on):
    """The recorded camera2 shows no token, so its publisher leaves no session."""
    answers = [post(d.body).json()["code"] for d in RECORDED]
    camera2 = [d.body["action"] for d, a in zip(RECORDED, answers, strict=True) if a]
    assert set(answers) == {0, 403}
    assert set(camera2) == {"on_publish", "on_hls", "on_dvr", "on_unpublish"}
    assert list(Stream.objects.values_list("name", flat=True)) == ["camera1"]
    assert PlaySession.objects.count() == 4


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.sampled_from(["on_hls", "\0", "\ud800", 2**63, 10**400, "x" * 501]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(
    body=st.sampled_from([d.body for d in RECORDED]),
    changes=st.data(),
)
def test_no_body_is_an_error_of_the_server(body, changes):
    """A real callback with any fields changed is taken or refused."""
    names = changes.draw(st.lists(st.sampled_from(sorted(body)), max_size=3))
    changed = body | {name: changes.draw(VALUES) for name in names}
    response = post(changed)
    assert response.status_code in (200, 400)
    assert (response.json()["code"] == 0) is (response.status_code == 200)
    Stream.objects.all().delete()
    Connection.objects.all().delete()


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_are_an_error_of_the_server(body):
    """Bytes that are no callback are refused."""
    assert_refused(post(body), 400, "")
