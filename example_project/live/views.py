"""The address that the media server calls."""

from __future__ import annotations

import logging
import re

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import page_not_found

from live.callbacks import BadCallback, parse_callback
from live.recorder import record
from live.tokens import may_publish

logger = logging.getLogger("live")

BODY_LIMIT = 65_536  # bytes; a real callback has less than 1,000


class Refusal(Exception):
    """The request gets ``status`` and a reason, and nothing is stored."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the HTTP status and the sentence for the answer."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


@csrf_exempt
def hooks(request: HttpRequest) -> JsonResponse:
    """Take in one callback of SRS.

    SRS takes status 200 with code 0 for yes, and anything else for no: it then turns
    the client away on ``on_connect``, ``on_publish`` and ``on_play``, and writes a
    line in its log on the other events.
    """
    received_at = timezone.now()
    try:
        _check_head(request)
        callback = parse_callback(_body(request))
        if not may_publish(callback):
            # %r: the names come from outside and could forge lines of the log.
            logger.warning(
                "Refused %s for %r of %r from %s.",
                callback.action,
                callback.stream,
                callback.app,
                callback.ip,
            )
            raise Refusal(403, "The token does not allow to publish this stream.")
    except BadCallback as error:
        return _no(Refusal(400, str(error)))
    except Refusal as refusal:
        return _no(refusal)
    record(callback, received_at=received_at)
    return JsonResponse({"code": 0})


def _no(refusal: Refusal) -> JsonResponse:
    response = JsonResponse(
        {"code": refusal.status, "reason": refusal.reason}, status=refusal.status
    )
    if refusal.status == 405:
        response["Allow"] = "POST"
    return response


def _check_head(request: HttpRequest) -> None:
    """Refuse what need not be read."""
    if request.method != "POST":
        raise Refusal(405, "Send a callback with POST.")
    # A web page cannot send this type to another site without asking first.
    if request.content_type != "application/json":
        raise Refusal(415, "The content type must be application/json.")
    length = request.headers.get("Content-Length") or "0"
    if not re.fullmatch("[0-9]+", length):
        raise Refusal(400, "The content length must be a whole number.")
    if len(length) > 12 or int(length) > BODY_LIMIT:
        raise Refusal(413, f"The body is larger than {BODY_LIMIT} bytes.")


def _body(request: HttpRequest) -> bytes:
    """Return the body. Its length counts: the header may be missing or wrong."""
    too_large = Refusal(413, f"The body is larger than {BODY_LIMIT} bytes.")
    try:
        body = request.body
    except RequestDataTooBig as error:
        raise too_large from error
    except UnreadablePostError as error:
        raise Refusal(400, "The body broke off.") from error
    if len(body) > BODY_LIMIT:
        raise too_large
    return body


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer to an address that there is not: JSON where programs ask."""
    if request.path.startswith(("/api/", "/live/")):
        return JsonResponse({"detail": "Not found."}, status=404)
    return page_not_found(request, exception)
