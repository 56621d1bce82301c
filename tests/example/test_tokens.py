"""Who may publish."""

from __future__ import annotations

import hmac
import json

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from live import tokens
from live.callbacks import PUBLISHER_ACTIONS, Action, parse_callback
from live.tokens import check_publish_tokens, may_publish, publish_tokens

from tests.example.samples import body_of

ON = {"live/camera1": "abc", "live/camera2": None}


def allowed(action: str, stream: str = "camera1", **changes) -> bool:
    body = body_of(action, stream=stream, **changes)
    return may_publish(parse_callback(json.dumps(body).encode()))


def test_tokens_are_off_without_the_setting(settings):
    """Then everyone may publish."""
    del settings.LIVE_PUBLISH_TOKENS
    assert publish_tokens() is None
    assert allowed("on_publish", param="")


def test_tokens_are_off_with_none(settings):
    """None says the same."""
    settings.LIVE_PUBLISH_TOKENS = None
    assert allowed("on_publish", param="?token=wrong")


@pytest.mark.parametrize("action", sorted(PUBLISHER_ACTIONS))
@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("?token=abc", True),
        ("?token=abd", False),
        ("?token=ABC", False),
        ("?token=abcd", False),
        ("?token=%61bc", True),
        ("?token=ä", False),
        ("?token=", False),
        ("", False),
        ("?token=abc&token=abc", False),
    ],
)
def test_the_token_of_a_stream(settings, action, param, expected):
    """Every event of a publisher is checked, since any may come first."""
    settings.LIVE_PUBLISH_TOKENS = ON
    assert allowed(action, param=param) is expected


def test_a_stream_without_a_token_is_open(settings):
    """None for one stream switches the check off for it."""
    settings.LIVE_PUBLISH_TOKENS = ON
    assert allowed("on_publish", "camera2", param="")


@pytest.mark.parametrize("changes", [{"stream": "camera3"}, {"app": "other"}])
def test_a_stream_that_is_not_listed_is_closed(settings, changes):
    """A token of one place is no token of another."""
    settings.LIVE_PUBLISH_TOKENS = ON
    assert not allowed("on_publish", **changes)


def test_nobody_may_publish_with_an_empty_dict(settings):
    """It is switched on, and lists nothing."""
    settings.LIVE_PUBLISH_TOKENS = {}
    assert not allowed("on_publish")


@pytest.mark.parametrize("action", sorted(set(Action) - PUBLISHER_ACTIONS))
def test_others_need_no_token(settings, action):
    """Players and bare connections pass."""
    settings.LIVE_PUBLISH_TOKENS = {}
    assert allowed(action, param="")


def test_the_comparison_takes_the_same_time(settings, monkeypatch):
    """It is left to compare_digest, whatever was shown, so the time tells nothing."""
    settings.LIVE_PUBLISH_TOKENS = ON
    seen = []

    def spy(a: bytes, b: bytes) -> bool:
        seen.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(tokens, "compare_digest", spy)
    allowed("on_publish", param="?token=x")
    allowed("on_publish", param="")
    assert seen == [(b"x", b"abc"), (b"", b"abc")]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("abc", "must be a dict or None, not str"),
        (["live/camera1"], "must be a dict or None, not list"),
        ({"camera1": "abc"}, "'camera1'"),
        ({"/live/camera1": "abc"}, "'/live/camera1'"),
        ({7: "abc"}, "7"),
        ({"live/camera1": ""}, "'live/camera1'"),
        ({"live/camera1": 7}, "'live/camera1'"),
    ],
)
def test_a_wrong_setting_is_refused(settings, value, named):
    """At use and as a system check, and without showing a token."""
    settings.LIVE_PUBLISH_TOKENS = value
    with pytest.raises(ImproperlyConfigured, match=named) as caught:
        allowed("on_publish")
    assert "abc" not in str(caught.value)
    (error,) = check_publish_tokens()
    assert (error.id, error.msg) == ("live.E001", str(caught.value))


def test_the_check_runs(settings):
    """It is registered, and quiet when all is well."""
    settings.LIVE_PUBLISH_TOKENS = ON
    call_command("check", "live", tags=["security"])
    settings.LIVE_PUBLISH_TOKENS = "abc"
    with pytest.raises(SystemCheckError, match=r"live\.E001"):
        call_command("check", "live", tags=["security"])
