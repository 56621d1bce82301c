"""Filters for django-filter, which must be installed: by UIDs and by their time."""

from __future__ import annotations

from typing import Any

from django_filters import Filter, IsoDateTimeFilter
from django_filters import rest_framework as filters

from django_uidgen.fields import UidAutoField, UidField
from django_uidgen.forms import UidFormField


class MintedAfterFilter(IsoDateTimeFilter):
    """Rows whose UID was minted at a moment or later.

    The moment is in ISO 8601; one without a zone is in the current time zone.
    ``field_name`` is the column of UIDs, the key by default; the layout is that of its
    own generator. Through a relation: ``order__id``.
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

    The first moment is included, the second is not, so that spans that follow each
    other have no row in common. Columns of UIDs that ``Meta.fields`` names are filtered
    by whole numbers, not by decimals. Inherit from it, or name it as
    ``filterset_class``.
    """

    FILTER_DEFAULTS = {
        **filters.FilterSet.FILTER_DEFAULTS,
        UidField: {"filter_class": UidFilter},
        UidAutoField: {"filter_class": UidFilter},
    }

    minted_after = MintedAfterFilter()
    minted_before = MintedBeforeFilter()
