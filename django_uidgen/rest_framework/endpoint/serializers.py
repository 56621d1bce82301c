"""Requests and responses of the endpoints. Every UID is a decimal string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from rest_framework import serializers
from rest_framework.utils import html

from django_uidgen import conf
from django_uidgen.models import SHOWN_COLUMNS, LeaseState, WorkerNode
from django_uidgen.parsing import ParsedUid
from django_uidgen.rest_framework.fields import UidField

#: How many UIDs one request may ask for.
MAX_COUNT = 1000

COUNT_RULE = f"Give a whole number from 1 to {MAX_COUNT}."

_DIGITS = re.compile(r"[0-9]{1,9}")


class CountField(serializers.IntegerField):
    """A whole number from 1 to ``MAX_COUNT``; its digits as text only in a form.

    The message of every error is ``COUNT_RULE``.
    """

    default_error_messages = dict.fromkeys(
        ("required", "null", "invalid", "min_value", "max_value"), COUNT_RULE
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_COUNT, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        """Return ``data``, an int, or the digits of one in a form."""
        if type(data) is int:
            return data
        # All values of a form are text. In JSON a number in quotes is a mistake.
        in_form = html.is_html_input(getattr(self.root, "initial_data", None))
        if not (in_form and isinstance(data, str) and _DIGITS.fullmatch(data)):
            self.fail("invalid")
        return int(data)


class GeneratorField(serializers.CharField):
    """The alias of a generator in the ``UIDGEN`` setting."""

    def to_internal_value(self, data: Any) -> str:
        """Return ``data``, the alias of a generator, or raise ``ValidationError``."""
        alias = super().to_internal_value(data)
        aliases = conf.aliases()
        if alias not in aliases:
            raise serializers.ValidationError(
                f"There is no generator {alias[:64]!r}. Choose one of "
                f"{', '.join(map(repr, aliases))}."
            )
        return alias


class MintSerializer(serializers.Serializer[Any]):
    """The body of a request for UIDs."""

    count = CountField()
    generator = GeneratorField(default=conf.DEFAULT_ALIAS)

    @staticmethod
    def read(body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return count and generator of a body, or None if it needs a serializer.

        Building a serializer takes longer than minting. So a body with an int and an
        alias, which are valid as they are, is read without one.
        """
        count = body.get("count")
        alias = body.get("generator", conf.DEFAULT_ALIAS)
        if type(count) is not int or not 1 <= count <= MAX_COUNT:
            return None
        if type(alias) is not str or alias not in conf.aliases():
            return None
        return count, alias


class ParseQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a request for the parts of a UID."""

    generator = GeneratorField(default=conf.DEFAULT_ALIAS)


class WorkerQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a request for leases."""

    generator = GeneratorField(required=False)
    state = serializers.ChoiceField(choices=LeaseState.values, required=False)


def _moment_field() -> serializers.DateTimeField:
    """Return a field for an aware moment: ISO 8601 in UTC.

    It ignores the project's ``DATETIME_FORMAT``, which could drop the milliseconds.
    """
    return serializers.DateTimeField(
        format="iso-8601", default_timezone=UTC, read_only=True
    )


class WorkerNodeSerializer(serializers.ModelSerializer[WorkerNode]):
    """A lease. ``reserved_until_at`` is null if the lease has no end."""

    state = serializers.CharField(read_only=True)
    node_type = serializers.SerializerMethodField()
    reserved_from_at = _moment_field()
    reserved_until_at = _moment_field()

    class Meta:
        """Moments instead of ticks, which may be too large for JavaScript."""

        model = WorkerNode
        fields = ["id", *SHOWN_COLUMNS]

    def get_node_type(self, node: WorkerNode) -> str:
        """Return "container" or "actual"."""
        return WorkerNode.NodeType(node.node_type).name.lower()


class ParsedUidSerializer(serializers.Serializer[ParsedUid]):
    """The parts of a UID."""

    uid = UidField(read_only=True)
    generator = serializers.CharField(read_only=True)
    minted_at = _moment_field()
    tick = serializers.IntegerField(read_only=True)
    worker_id = serializers.IntegerField(read_only=True)
    sequence = serializers.IntegerField(read_only=True)


class ParsedUidWithLeaseSerializer(ParsedUidSerializer):
    """The parts of a UID and the lease under which it was minted, or null."""

    worker_node = WorkerNodeSerializer(read_only=True)
