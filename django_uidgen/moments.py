"""Moments as bounds of UIDs: for raw SQL, partitions, and the lookups of the fields.

``minted_at`` of a UID is the beginning of its tick. All bounds use this definition, so
they agree with ``parse()`` on every row.
"""

from __future__ import annotations

from datetime import MINYEAR, UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import DateTimeField
from django.utils import timezone

from django_uidgen.conf import DEFAULT_ALIAS, get_config
from django_uidgen.core.layout import BitLayout


class Span(NamedTuple):
    """The UIDs from ``first``, included, to ``end``, excluded."""

    first: int
    end: int


def uid_floor(moment: datetime, generator: str = DEFAULT_ALIAS) -> int:
    """Return the lowest UID that can be minted at ``moment`` or later.

    ``id >= uid_floor(moment)`` selects the rows minted from ``moment`` on,
    ``id < uid_floor(moment)`` those minted before it. Return 0 for a moment before the
    epoch. For a moment after the layout's last tick, return 2 to the power of the
    layout's bits, which is larger than every UID; with 63 bits, a ``bigint`` cannot
    hold it.

    A naive moment is in the default time zone, as in Django, with a warning if
    ``USE_TZ`` is on. Raise ``TypeError`` for anything but a datetime, and
    ``InvalidSetting`` for an unknown alias.
    """
    return span_of(moment, get_config(generator).layout).first


def uid_ceil(moment: datetime, generator: str = DEFAULT_ALIAS) -> int:
    """Return the highest UID that can be minted at ``moment`` or before.

    ``id <= uid_ceil(moment)`` selects the rows minted up to ``moment``, ``id >
    uid_ceil(moment)`` those minted after it. Return -1 for a moment before the epoch.
    See ``uid_floor`` for naive moments and errors.
    """
    return span_of(moment, get_config(generator).layout).end - 1


def uid_bounds(
    start: datetime, end: datetime, generator: str = DEFAULT_ALIAS
) -> tuple[int, int]:
    """Return ``(low, high)``: ``low <= id < high`` selects rows of ``[start, end)``.

    A partition ``FROM (low) TO (high)`` has the same bounds. See ``uid_floor``.
    """
    return uid_floor(start, generator), uid_floor(end, generator)


def span_of(moment: datetime, layout: BitLayout) -> Span:
    """Return the UIDs whose ``minted_at`` is ``moment``: none if no tick begins there.

    In both cases earlier UIDs are below ``first``, and later UIDs are ``end`` or above.
    """
    tick, rest = divmod(
        aware(moment) - layout.epoch, timedelta(milliseconds=layout.tick_ms)
    )
    end = lowest_from(tick + 1, layout)
    return Span(end if rest else lowest_from(tick, layout), end)


def lowest_from(tick: int, layout: BitLayout) -> int:
    """Return the lowest UID from ``tick`` on.

    Return 0 for a negative tick. For a tick after the layout's last, return 2 to the
    power of the layout's bits.
    """
    inside = min(max(tick, 0), layout.max_tick + 1)
    return inside << layout.time_shift


def aware(moment: datetime) -> datetime:
    """Return ``moment`` in UTC; a naive one is in the default zone, as in Django.

    If datetime cannot hold the moment in UTC, return its first or last moment instead.
    Raise ``TypeError`` for anything but a datetime.
    """
    if not isinstance(moment, datetime):
        raise TypeError(
            f"{moment!r} is not a datetime; give a datetime with a time zone."
        )
    if timezone.is_naive(moment):
        # With USE_TZ on, this warns and adds the default zone.
        moment = DateTimeField().get_prep_value(moment)
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        if moment.year == MINYEAR:
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)
