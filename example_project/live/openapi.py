"""What drf-spectacular cannot read from the views."""

from __future__ import annotations

from typing import Any

#: REST framework answers these to any request that is wrong; the body says why.
REFUSALS = {
    "400": "What was sent is wrong.",
    "401": "Who is asking is not known.",
    "403": "Who is asking may not.",
    "404": "There is no such row or page.",
    "405": "This cannot be done here.",
    "406": "The answer cannot be given in this form.",
    "415": "The body is in a form that is not read here.",
    "429": "Too many requests.",
}


def add_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add to each operation the answers with which any of them can be refused."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, description in REFUSALS.items():
                operation["responses"].setdefault(status, _refusal(description))
    return result


def _refusal(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {}}},
    }
