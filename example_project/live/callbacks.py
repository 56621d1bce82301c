"""Read the body of one SRS callback: what is let in, and in which form.

Nothing here touches the database. What passes fits its column on every database:
no NUL, no lone surrogate, no string, number or address out of range.
"""

from __future__ import annotations

import ipaddress
import json
import reprlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn
from urllib.parse import parse_qs

SERVER_LIMIT = 64  # characters; server, service, connection and stream ids of SRS
PLACE_LIMIT = 128  # characters; vhost and app
STREAM_LIMIT = 255  # characters
FILE_LIMIT = 500  # characters; file paths and addresses
PARAM_LIMIT = 2_000  # characters
SECONDS_LIMIT = 86_400  # seconds of one HLS segment
NUMBER_LIMIT = 2**63 - 1  # what a bigint holds


class Action(StrEnum):
    """The events of SRS."""

    CONNECT = "on_connect"
    CLOSE = "on_close"
    PUBLISH = "on_publish"
    UNPUBLISH = "on_unpublish"
    PLAY = "on_play"
    STOP = "on_stop"
    HLS = "on_hls"
    DVR = "on_dvr"


PUBLISHER_ACTIONS = frozenset(
    {Action.PUBLISH, Action.UNPUBLISH, Action.HLS, Action.DVR}
)
STREAM_ACTIONS = PUBLISHER_ACTIONS | {Action.PLAY, Action.STOP}


class BadCallback(ValueError):
    """The body is no callback that can be stored; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One HLS segment: ``duration`` in seconds, files as SRS names them."""

    seq_no: int
    duration: float
    file: str
    url: str
    m3u8_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One checked event of SRS.

    ``stream`` is empty for the events of a bare connection. ``token`` is the secret
    a publisher showed, or None; it is checked and never stored. ``sent_bytes`` and
    ``received_bytes`` come with ``on_close``, seen from the server.
    """

    action: Action
    server_id: str
    service_id: str
    client_id: str
    ip: str
    vhost: str
    app: str
    stream: str = ""
    srs_stream_id: str = ""
    token: str | None = field(default=None, repr=False)
    segment: Segment | None = None
    recording_file: str = ""
    sent_bytes: int | None = None
    received_bytes: int | None = None


def parse_callback(body: bytes) -> Callback:
    """Return the callback in a request's body.

    Raise ``BadCallback`` for anything that is not one JSON object in UTF-8 with a
    known action and the fields of that action.
    """
    values = _Values(_json_object(body))
    action = values.action()
    about_stream = action in STREAM_ACTIONS
    return Callback(
        action=action,
        server_id=values.name("server_id", SERVER_LIMIT),
        service_id=values.name("service_id", SERVER_LIMIT),
        client_id=values.name("client_id", SERVER_LIMIT),
        ip=values.address("ip"),
        vhost=values.name("vhost", PLACE_LIMIT),
        app=values.name("app", PLACE_LIMIT),
        stream=values.name("stream", STREAM_LIMIT) if about_stream else "",
        srs_stream_id=values.text("stream_id", SERVER_LIMIT, default=""),
        token=values.token() if about_stream else None,
        segment=_segment(values) if action is Action.HLS else None,
        recording_file=(
            values.name("file", FILE_LIMIT) if action is Action.DVR else ""
        ),
        sent_bytes=values.count("send_bytes") if action is Action.CLOSE else None,
        received_bytes=values.count("recv_bytes") if action is Action.CLOSE else None,
    )


def _segment(values: _Values) -> Segment:
    return Segment(
        seq_no=values.required_count("seq_no"),
        duration=values.seconds("duration"),
        file=values.name("file", FILE_LIMIT),
        url=values.name("url", FILE_LIMIT),
        m3u8_url=values.text("m3u8_url", FILE_LIMIT, default=""),
    )


def _json_object(body: bytes) -> dict[str, object]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadCallback("The body is not UTF-8.") from error
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadCallback("The body is not JSON.") from error
    if not isinstance(value, dict):
        raise BadCallback("The body must be one JSON object.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    # json.loads would let NaN and Infinity in, which JSON does not have.
    raise ValueError(name)


class _Values:
    """The fields of a body, each read with its check."""

    def __init__(self, body: dict[str, object]) -> None:
        self._body = body

    def action(self) -> Action:
        value = self._body.get("action")
        if value not in list(Action):
            raise BadCallback(
                f"'action' is {reprlib.repr(value)}; it must be one of: "
                f"{', '.join(Action)}."
            )
        return Action(str(value))

    def text(self, name: str, limit: int, *, default: str | None = None) -> str:
        """Return a string of at most ``limit`` characters that a column can hold."""
        value = self._body.get(name, default)
        if value is None and name not in self._body:
            raise BadCallback(f"{name!r} is missing.")
        if not isinstance(value, str):
            raise BadCallback(f"{name!r} must be a string.")
        if len(value) > limit:
            raise BadCallback(f"{name!r} is longer than {limit} characters.")
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise BadCallback(f"{name!r} holds a character that cannot be stored.")
        return value

    def name(self, name: str, limit: int) -> str:
        """Return a string that tells one thing from another.

        Space at its ends is refused: some databases ignore it when they compare.
        """
        value = self.text(name, limit)
        if not value or value != value.strip():
            raise BadCallback(f"{name!r} must not be empty or begin or end with space.")
        return value

    def address(self, name: str) -> str:
        """Return an IP address without its zone, which no database column takes."""
        value = self.text(name, SERVER_LIMIT)
        try:
            return str(ipaddress.ip_address(value.partition("%")[0]))
        except ValueError as error:
            raise BadCallback(f"{name!r} must be an IP address.") from error

    def count(self, name: str) -> int | None:
        return self.required_count(name) if name in self._body else None

    def required_count(self, name: str) -> int:
        value = self._required(name)
        # bool is an int to Python, not to SRS.
        if type(value) is not int or not 0 <= value <= NUMBER_LIMIT:
            raise BadCallback(
                f"{name!r} must be a whole number from 0 to {NUMBER_LIMIT}."
            )
        return value

    def seconds(self, name: str) -> float:
        value = self._required(name)
        # The comparison refuses NaN and infinity as well.
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value <= SECONDS_LIMIT
        ):
            raise BadCallback(
                f"{name!r} must be a number of seconds from 0 to {SECONDS_LIMIT}."
            )
        return float(value)

    def token(self) -> str | None:
        """Return the one ``token`` of the publisher's address, or None."""
        param = self.text("param", PARAM_LIMIT, default="")
        found = parse_qs(param.removeprefix("?")).get("token", [])
        return found[0] if len(found) == 1 else None

    def _required(self, name: str) -> object:
        if name not in self._body:
            raise BadCallback(f"{name!r} is missing.")
        return self._body[name]
