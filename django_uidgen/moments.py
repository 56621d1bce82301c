"""UIDs as bounds of moments: for raw SQL, partitions, and the lookups of the fields.

``minted_at`` of a UID is the beginning of its tick. All bounds keep to that, so that
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
    """UIDs from ``first`` on and before ``end``."""

    first: int
    end: int


def uid_floor(moment: datetime, generator: str = DEFAULT_ALIAS) -> int:
    """Return the lowest UID of all that are minted at ``moment`` or later.

    ``id >= uid_floor(moment)`` are the rows minted from ``moment`` on,
    ``id < uid_floor(moment)`` those minted before it. 0 for a moment before the epoch.
    For one after the end of the layout's time, the number that no UID reaches: 2 to the
    power of the layout's bits, for 63 bits one more than a ``bigint`` holds.

    A moment without a time zone is taken as Django takes it: in the default zone, with
    a warning where ``USE_TZ`` is on. Raise ``TypeError`` for anything but a datetime,
    and ``InvalidSetting`` for an unknown alias.
    """
    return span_of(moment, get_config(generator).layout).first


def uid_ceil(moment: datetime, generator: str = DEFAULT_ALIAS) -> int:
    """Return the highest UID of all that are minted at ``moment`` or before.

    ``id <= uid_ceil(moment)`` are the rows minted up to ``moment``, ``id >
    uid_ceil(moment)`` those minted after it. -1 for a moment before the epoch.
    """
    return span_of(moment, get_config(generator).layout).end - 1


def uid_bounds(
    start: datetime, end: datetime, generator: str = DEFAULT_ALIAS
) -> tuple[int, int]:
    """Return ``(low, high)``: ``low <= id < high`` are minted in ``[start, end)``.

    As a partition's ``FROM (low) TO (high)`` has it. See ``uid_floor``.
    """
    return uid_floor(start, generator), uid_floor(end, generator)


def span_of(moment: datetime, layout: BitLayout) -> Span:
    """Return the UIDs whose ``minted_at`` is ``moment``; empty between two ticks.

    Empty or not, all UIDs before it are below ``first``, all after it from ``end`` on.
    """
    tick, rest = divmod(
        aware(moment) - layout.epoch, timedelta(milliseconds=layout.tick_ms)
    )
    end = lowest_from(tick + 1, layout)
    return Span(end if rest else lowest_from(tick, layout), end)


def lowest_from(tick: int, layout: BitLayout) -> int:
    """Return the lowest UID from ``tick`` on, which may be outside the layout's time.

    0 before it; after it, the number that no UID reaches.
    """
    inside = min(max(tick, 0), layout.max_tick + 1)
    return inside << layout.time_shift


def aware(moment: datetime) -> datetime:
    """Return ``moment`` in UTC; without a zone it is taken as Django takes it.

    The first or last moment that datetime can hold, where it would be none in UTC.
    Raise ``TypeError`` for anything but a datetime.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{moment!r} is no moment; give a datetime with a time zone.")
    if timezone.is_naive(moment):
        # Warns where USE_TZ is on, and gives it the default zone.
        moment = DateTimeField().get_prep_value(moment)
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        if moment.year == MINYEAR:
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)
