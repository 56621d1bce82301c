"""The recorded callbacks, and made ones like them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from live.callbacks import parse_callback
from live.models import Connection, HlsSegment, PlaySession, PublishSession, Recording
from live.recorder import record

FILE = Path(__file__).parents[2] / "example_project" / "data" / "srs-callbacks.jsonl"


class Delivery(NamedTuple):
    """One callback and the moment it is received."""

    body: dict[str, Any]
    at: datetime

    def later(self, seconds: float) -> Delivery:
        """Return the same callback, sent again."""
        return self._replace(at=self.at + timedelta(seconds=seconds))


def _recorded() -> list[Delivery]:
    lines = map(json.loads, FILE.read_text().splitlines())
    return [
        Delivery(line["body"], datetime.fromtimestamp(line["received_at"], UTC))
        for line in lines
    ]


RECORDED = _recorded()


def body_of(action: str, /, **changes: Any) -> dict[str, Any]:
    """Return a recorded body of this action, with changes; None removes a field."""
    body = next(d.body for d in RECORDED if d.body["action"] == action) | changes
    return {name: value for name, value in body.items() if value is not None}


def deliver(deliveries: list[Delivery]) -> None:
    """Store the callbacks, past the view."""
    for body, at in deliveries:
        record(parse_callback(json.dumps(body).encode()), received_at=at)


def stored(*, times: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is stored but the keys; without what depends on the clock too."""
    client = ("server_id", "service_id", "client_id")
    session = [f"connection__{name}" for name in client]
    session += ["stream__vhost", "stream__app", "stream__name", "srs_stream_id"]
    parent = "publish_session__connection__client_id"
    timed = ("started_at", "ended_at") if times else ()
    closed = ("connected_at", "closed_at") if times else ()
    columns = {
        Connection: (*client, "ip", "sent_bytes", "received_bytes", *closed),
        PublishSession: (*session, *timed),
        PlaySession: (*session, *timed),
        HlsSegment: (parent, "seq_no", "duration", "file", "url", "m3u8_url"),
        Recording: (parent, "file"),
    }
    return {
        model.__name__: sorted(model.objects.values_list(*names), key=repr)
        for model, names in columns.items()
    }
