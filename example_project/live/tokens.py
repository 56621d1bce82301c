"""Who may publish.

``LIVE_PUBLISH_TOKENS`` is None (everyone may publish) or a dict from a stream,
written ``"app/stream"``, to its token. A publisher shows the token in its address,
``rtmp://host/live/camera1?token=…``. A stream mapped to None is open to everyone; a
stream that is not in the dict is closed to everyone.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from live.callbacks import PUBLISHER_ACTIONS, Callback


def publish_tokens() -> dict[str, str | None] | None:
    """Return the setting. Raise ``ImproperlyConfigured`` if its form is wrong."""
    tokens = getattr(settings, "LIVE_PUBLISH_TOKENS", None)
    if tokens is None:
        return None
    if not isinstance(tokens, dict):
        raise ImproperlyConfigured(
            f"LIVE_PUBLISH_TOKENS must be a dict or None, not {type(tokens).__name__}."
        )
    for stream, token in tokens.items():
        # The token itself stays out of the message: messages end up in logs.
        if not isinstance(stream, str) or stream.count("/") != 1:
            raise ImproperlyConfigured(
                f"LIVE_PUBLISH_TOKENS has the key {stream!r}; write 'app/stream'."
            )
        if token is not None and (not isinstance(token, str) or not token):
            raise ImproperlyConfigured(
                f"LIVE_PUBLISH_TOKENS[{stream!r}] must be None or a string "
                "that is not empty."
            )
    return tokens


def may_publish(callback: Callback) -> bool:
    """Say whether the callback may be stored.

    All events of a publisher are checked, since any of them may come first.
    """
    tokens = publish_tokens()
    if tokens is None or callback.action not in PUBLISHER_ACTIONS:
        return True
    key = f"{callback.app}/{callback.stream}"
    if key not in tokens:
        return False
    expected = tokens[key]
    if expected is None:
        return True
    return compare_digest((callback.token or "").encode(), expected.encode())


def check_publish_tokens(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report a wrong setting when the site starts, not at the first publisher."""
    try:
        publish_tokens()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="live.E001")]
    return []
