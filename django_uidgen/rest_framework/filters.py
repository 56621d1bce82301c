"""Filters by UID and by its time, for django-filter, which must be installed."""

from __future__ import annotations

from typing import Any

from django_filters import Filter, IsoDateTimeFilter
from django_filters import rest_framework as filters

from django_uidgen.fields import UidAutoField, UidField
from django_uidgen.forms import UidFormField


class MintedAfterFilter(IsoDateTimeFilter):
    """Rows whose UID was minted at a moment or later.

    The moment is in ISO 8601; without a zone it is in the current time zone.
    ``field_name`` is a column of UIDs, by default the key; ``order__id`` follows a
    relation. The layout is the one of the column's generator.
    """

    def __init__(self, field_name: str = "pk", **kwargs: Any) -> None:
        kwargs.setdefault("lookup_expr", "minted_at__gte")
        kwargs.setdefault("label", "Minted at this moment or later")
        super().__init__(field_name=field_name, **kwargs)


class MintedBeforeFilter(IsoDateTimeFilter):
    """Rows whose UID was minted before a moment. See ``MintedAfterFilter``."""

    def __init__(self, field_name: str = "pk", **kwargs: Any) -> None:
        kwargs.setdefault("lookup_expr", "minted_at__lt")
        kwargs.setdefault("label", "Minted before this moment")
        super().__init__(field_name=field_name, **kwargs)


class UidFilter(Filter):
    """Rows by a UID, written in decimal digits."""

    field_class = UidFormField


class UidFilterSet(filters.FilterSet):
    """``FilterSet`` with ``?minted_after=`` and ``?minted_before=`` on the key.

    The first moment is inclusive, the second exclusive, so that adjacent spans share no
    row. Columns of UIDs in ``Meta.fields`` are filtered by whole numbers, where
    django-filter uses decimals. Inherit from it, or name it as ``filterset_class``.
    """

    FILTER_DEFAULTS = {
        **filters.FilterSet.FILTER_DEFAULTS,
        UidField: {"filter_class": UidFilter},
        UidAutoField: {"filter_class": UidFilter},
    }

    minted_after = MintedAfterFilter()
    minted_before = MintedBeforeFilter()
