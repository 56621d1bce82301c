"""What is let in. No database is needed to say so."""

from __future__ import annotations

import json

import pytest
from live.callbacks import (
    FILE_LIMIT,
    NUMBER_LIMIT,
    PLACE_LIMIT,
    SERVER_LIMIT,
    STREAM_ACTIONS,
    STREAM_LIMIT,
    Action,
    BadCallback,
    parse_callback,
)

from tests.example.samples import RECORDED, body_of

ALWAYS = ["action", "server_id", "service_id", "client_id", "ip", "vhost", "app"]
ABOUT_STREAMS = sorted(STREAM_ACTIONS)
NAMES = ["server_id", "service_id", "client_id", "vhost", "app", "stream"]
NEEDED = (
    [(action, name) for action in Action for name in ALWAYS]
    + [(action, "stream") for action in ABOUT_STREAMS]
    + [("on_hls", name) for name in ("seq_no", "duration", "file", "url")]
    + [("on_dvr", "file")]
)


def parse(body: object):
    return parse_callback(json.dumps(body).encode())


@pytest.mark.parametrize("delivery", RECORDED, ids=lambda d: d.body["action"])
def test_every_recorded_callback_is_let_in(delivery):
    """The action and the client are read as they are."""
    callback = parse(delivery.body)
    assert callback.action == delivery.body["action"]
    assert callback.client_id == delivery.body["client_id"]


def test_a_segment_is_read():
    """on_hls carries number, seconds and files."""
    segment = parse(body_of("on_hls")).segment
    assert (segment.seq_no, segment.duration) == (0, 2.0)
    assert segment.file == "./html/live/camera2-0.ts"
    assert segment.url == "live/camera2-0.ts"
    assert segment.m3u8_url == "live/camera2.m3u8"


def test_fields_that_are_not_known_are_passed_over():
    """A newer SRS may send more."""
    assert parse(body_of("on_play", something={"new": ["\0"]})).stream == "camera1"


@pytest.mark.parametrize(
    "name", ["param", "stream_id", "m3u8_url", "tcUrl", "stream_url", "m3u8", "cwd"]
)
def test_fields_that_may_be_missing(name):
    """What is not stored, or may be unknown to SRS, is not asked for."""
    assert parse(body_of("on_hls", **{name: None})).segment


@pytest.mark.parametrize(("action", "name"), NEEDED)
def test_a_missing_field_is_named(action, name):
    """Each action needs its fields, and the message says which is missing."""
    with pytest.raises(BadCallback, match=f"'{name}'"):
        parse(body_of(action, **{name: None}))


@pytest.mark.parametrize("value", [None, 7, ["x"], ""])
@pytest.mark.parametrize(("action", "name"), NEEDED)
def test_a_value_of_the_wrong_type_is_named(action, name, value):
    """Also null, which is not the same as missing."""
    if name in ("seq_no", "duration") and type(value) in (int, float):
        value = "7"
    with pytest.raises(BadCallback, match=f"'{name}'"):
        parse(body_of(action) | {name: value})


@pytest.mark.parametrize("value", [None, 7, True, [], {}])
@pytest.mark.parametrize("name", ["param", "stream_id", "m3u8_url"])
def test_an_optional_field_has_a_type_too(name, value):
    """A string, if it is there."""
    with pytest.raises(BadCallback, match=f"'{name}' must be a string"):
        parse(body_of("on_hls") | {name: value})


@pytest.mark.parametrize(
    "name",
    [*NAMES, "file", "url", "ip", "param", "stream_id", "m3u8_url"],
)
@pytest.mark.parametrize(
    "value", ["a\0b", "a\ud800b", "x" * 5_000], ids=["NUL", "surrogate", "long"]
)
def test_a_string_that_no_column_holds(name, value):
    """NUL, lone surrogates and long strings would be errors of the database."""
    with pytest.raises(BadCallback, match=f"'{name}'"):
        parse(body_of("on_hls", **{name: value}))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("server_id", SERVER_LIMIT),
        ("service_id", SERVER_LIMIT),
        ("client_id", SERVER_LIMIT),
        ("stream_id", SERVER_LIMIT),
        ("vhost", PLACE_LIMIT),
        ("app", PLACE_LIMIT),
        ("stream", STREAM_LIMIT),
        ("file", FILE_LIMIT),
        ("url", FILE_LIMIT),
        ("m3u8_url", FILE_LIMIT),
    ],
)
def test_the_limit_of_each_string(name, limit):
    """As many characters as the column has pass, one more does not."""
    parse(body_of("on_hls", **{name: "x" * limit}))
    with pytest.raises(BadCallback, match=f"'{name}' is longer than {limit}"):
        parse(body_of("on_hls", **{name: "x" * (limit + 1)}))


@pytest.mark.parametrize("value", [" camera", "camera ", "camera\n", " ", "\u3000a"])
def test_space_at_the_ends_of_a_name(value):
    """Some databases would take it for the name without the space."""
    with pytest.raises(BadCallback, match="'stream'"):
        parse(body_of("on_play", stream=value))


@pytest.mark.parametrize("value", [-1, NUMBER_LIMIT + 1, 1.0, True, "1", [1], None])
@pytest.mark.parametrize("name", ["send_bytes", "recv_bytes"])
def test_bytes_out_of_range(name, value):
    """What a bigint cannot hold, or is no whole number."""
    with pytest.raises(BadCallback, match=f"'{name}' must be a whole number from 0"):
        parse(body_of("on_close") | {name: value})


@pytest.mark.parametrize("value", [-1, NUMBER_LIMIT + 1, 1.0])
def test_sequence_numbers_out_of_range(value):
    """The same holds for the number of a segment."""
    with pytest.raises(BadCallback, match="'seq_no' must be a whole number from 0"):
        parse(body_of("on_hls", seq_no=value))


@pytest.mark.parametrize("value", [-0.1, 86_400.1, 10**400], ids=["<", ">", ">>"])
def test_seconds_out_of_range(value):
    """A segment is no longer than a day."""
    with pytest.raises(BadCallback, match="'duration' must be a number of seconds"):
        parse(body_of("on_hls", duration=value))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_seconds_that_are_no_number(value):
    """Python reads some of these from JSON; a database may not take them."""
    text = json.dumps(body_of("on_hls", duration=2.5)).replace("2.5", value)
    with pytest.raises(BadCallback):
        parse_callback(text.encode())


@pytest.mark.parametrize("value", ["::1", "2001:db8::1", "10.0.0.1"])
def test_addresses(value):
    """Both families are let in."""
    assert parse(body_of("on_play", ip=value)).ip == value


def test_the_zone_of_an_address_is_dropped():
    """It means something on the media server only."""
    assert parse(body_of("on_play", ip="fe80::1%eth0")).ip == "fe80::1"


@pytest.mark.parametrize("value", ["localhost", "1.2.3", "1.2.3.4:5", "", "%eth0", "1"])
def test_bad_addresses(value):
    """What is no IP address is refused."""
    with pytest.raises(BadCallback, match="'ip'"):
        parse(body_of("on_play", ip=value))


@pytest.mark.parametrize(
    "value", ["on_forward", "ON_PLAY", "", 1, None, ["on_play"], {"on_play": 1}]
)
def test_an_unknown_action(value):
    """The message lists the known ones."""
    with pytest.raises(BadCallback, match=r"'action' is .*on_connect.*on_dvr"):
        parse(body_of("on_play") | {"action": value})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"{", "not JSON"),
        (b'{"action": "on_play"} {}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b'{"a":' * 10_000, "not JSON"),
        (b"9" * 60_000, "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"null", "one JSON object"),
        (b"[]", "one JSON object"),
        (b'"on_play"', "one JSON object"),
        (b"7", "one JSON object"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b'{"stream": "\xe9"}', "not UTF-8"),
        (b"\x80\x81\x82", "not UTF-8"),
    ],
    ids=repr,
)
def test_a_body_that_is_no_json_object(body, reason):
    """Whatever the bytes are, the reason is plain."""
    with pytest.raises(BadCallback, match=reason):
        parse_callback(body)


@pytest.mark.parametrize(
    ("param", "token"),
    [
        ("?token=abc", "abc"),
        ("token=abc", "abc"),
        ("?a=b&token=abc&c=d", "abc"),
        ("?token=a%20b%3D", "a b="),
        ("", None),
        ("?", None),
        ("?token=", None),
        ("?tokens=abc", None),
        ("?Token=abc", None),
        ("?token=abc&token=abd", None),
    ],
)
def test_the_token_is_read_from_the_address(param, token):
    """One token counts; two might mean one thing here and another elsewhere."""
    assert parse(body_of("on_publish", param=param)).token == token


def test_a_token_does_not_show():
    """A callback may end up in a log or a traceback."""
    assert "abc" not in repr(parse(body_of("on_publish")))
    assert parse(body_of("on_publish")).token == "abc"
