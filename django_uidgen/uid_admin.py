"""For the admin of models whose keys are UIDs: a column of times, filters, a search.

::

    class OrderAdmin(UidAdminMixin, admin.ModelAdmin):
        list_display = ["id", "minted_at", "customer"]
        list_filter = [("id", MintedAtListFilter), ("id", MintedAtDrillDown)]
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Field, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from django_uidgen.conf import DEFAULT_ALIAS
from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.text import from_base32, from_base62, to_uid
from django_uidgen.lookups import generator_of
from django_uidgen.parsing import parse

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Model]
else:
    _ModelAdmin = object


class UidAdminMixin(_ModelAdmin):
    """Mixin for a ``ModelAdmin``: a column ``minted_at``, and a search for UIDs.

    Put ``"minted_at"`` into ``list_display``; it sorts by the key. A UID in the search
    box, in decimal digits or a short form, finds the row with that key by the index, in
    addition to the results of ``search_fields``. ``uid_search_fields`` may name other
    columns of UIDs, for example foreign keys: ``["pk", "customer"]``.
    """

    uid_search_fields: list[str] | tuple[str, ...] = ("pk",)

    @admin.display(description=_("minted at"), ordering="pk")
    def minted_at(self, obj: Model) -> datetime | None:
        """Return the time in the key of ``obj``, or None for an invalid key."""
        try:
            moment = parse(obj.pk, _alias(obj._meta.pk)).minted_at
        except InvalidUid:
            return None
        return timezone.localtime(moment)

    def get_search_fields(self, request: HttpRequest) -> list[str] | tuple[str, ...]:
        """Return ``search_fields``, or ``uid_search_fields`` to show a search box."""
        return super().get_search_fields(request) or self.uid_search_fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by ``search_fields``, and by ``uid_search_fields`` for a UID."""
        uid = _searched_uid(search_term)
        if super().get_search_fields(request):
            found, duplicates = super().get_search_results(
                request, queryset, search_term
            )
        else:
            found = queryset.none() if search_term else queryset
            duplicates = False
        if uid is not None:
            columns = [Q((name, uid)) for name in self.uid_search_fields]
            found |= queryset.filter(Q(*columns, _connector=Q.OR))
        return found, duplicates


def _searched_uid(words: str) -> int | None:
    for read in (to_uid, from_base32, from_base62):
        try:
            return read(words.strip())
        except InvalidUid:
            continue
    return None


def _alias(field: Field[Any, Any]) -> str:
    return generator_of(field) or DEFAULT_ALIAS


_Days = tuple[date, date]


class _MintedAtFilter(admin.FieldListFilter):
    """The common part of both filters: two parameters, the first and the last day.

    For a column of UIDs, or a foreign key to one.
    """

    def __init__(
        self,
        field: Any,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: Any,
        field_path: str,
    ) -> None:
        self.uid_path = field_path
        if field.is_relation:
            self.uid_path += f"__{field.target_field.name}"
        self.since_kwarg = f"{self.uid_path}__minted_at__date__gte"
        self.until_kwarg = f"{self.uid_path}__minted_at__date__lte"
        for name in (self.since_kwarg, self.until_kwarg):
            # A form sends empty text for an open end.
            if name in params and not params[name][-1]:
                del params[name]
        # Not from ``params``: another filter of the page may have removed them.
        self.since = request.GET.get(self.since_kwarg, "")
        self.until = request.GET.get(self.until_kwarg, "")
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = _("minted at")
        if not field.primary_key:
            self.title = f"{field.verbose_name}, {self.title}"

    def expected_parameters(self) -> list[str | None]:
        """Return the query parameters of this filter."""
        return [self.since_kwarg, self.until_kwarg]

    def _parameters(self, days: _Days | None) -> dict[str, str]:
        if days is None:
            return {}
        return {self.since_kwarg: str(days[0]), self.until_kwarg: str(days[1])}

    def _choice(
        self, changelist: ChangeList, title: Any, days: _Days | None
    ) -> dict[str, Any]:
        first, last = map(str, days or ("", ""))
        return {
            "selected": (self.since, self.until) == (first, last),
            "query_string": changelist.get_query_string(
                self._parameters(days), [self.since_kwarg, self.until_kwarg]
            ),
            "display": title,
        }


class MintedAtListFilter(_MintedAtFilter):
    """Rows minted today, in the past 7 days, this month, this year, or between days.

    ``list_filter = [("id", MintedAtListFilter)]``. Days are in the current time zone.
    The query compares the column with UIDs and so uses its index.
    """

    template = "django_uidgen/admin/minted_at_filter.html"

    #: Parameters of the other filters, which the form must repeat.
    other_parameters: Iterable[tuple[str, str]] = ()

    def _links(self) -> list[tuple[Any, _Days | None]]:
        today = timezone.localtime(datetime.now(UTC)).date()
        return [
            (_("Any date"), None),
            (_("Today"), (today, today)),
            (_("Past 7 days"), (today - timedelta(days=7), today)),
            (_("This month"), _month(today.year, today.month)),
            (_("This year"), _year(today.year)),
        ]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links, with their counts if facets are on."""
        mine = self.expected_parameters()
        self.other_parameters = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in values
            if name not in mine
        ]
        counts = self.get_facet_queryset(changelist) if changelist.add_facets else None
        for number, (title, days) in enumerate(self._links()):
            shown = title if counts is None else f"{title} ({counts[f'{number}__c']})"
            yield self._choice(changelist, shown, days)

    def get_facet_counts(
        self, pk_attname: str, filtered_qs: QuerySet[Any]
    ) -> dict[str, Any]:
        """Return the number of rows behind each link."""
        return {
            f"{number}__c": Count(pk_attname, filter=Q(**self._parameters(days)))
            for number, (_title, days) in enumerate(self._links())
        }


class MintedAtDrillDown(_MintedAtFilter):
    """Years, the months of a year, the days of a month, like ``date_hierarchy``.

    The lowest and the highest UID limit them: two reads of the index, whatever the size
    of the table. So months without a row may be shown.
    """

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the selected spans, and the parts of the shortest one."""
        bounds = self._bounds(changelist.root_queryset)
        path = self._path()
        yield self._choice(changelist, _("Any date"), None)
        for days in path:
            yield self._choice(changelist, _title(days), days)
        if bounds is not None:
            for days in _parts(path[-1] if path else None, bounds):
                yield self._choice(changelist, _title(days), days)

    def _bounds(self, rows: QuerySet[Any]) -> _Days | None:
        """Return the days of the first and of the last UID, or None without UIDs.

        A column may contain other numbers, from before the move to UIDs.
        """
        uids = rows.filter((f"{self.uid_path}__gt", 0)).order_by(self.uid_path)
        column = uids.values_list(self.uid_path, flat=True)
        try:
            return self._day(column.first()), self._day(column.last())
        except InvalidUid:
            return None

    def _day(self, uid: Any) -> date:
        minted_at = parse(uid, _alias(self.field)).minted_at
        return timezone.localtime(minted_at).date()

    def _path(self) -> list[_Days]:
        """Return the selected year, or year and month, or year, month and day.

        Return nothing if other days are selected, for example the past seven.
        """
        try:
            chosen = date.fromisoformat(self.since), date.fromisoformat(self.until)
        except ValueError:
            return []
        day = chosen[0]
        levels = [_year(day.year), _month(day.year, day.month), (day, day)]
        return levels[: levels.index(chosen) + 1] if chosen in levels else []


def _year(year: int) -> _Days:
    return date(year, 1, 1), date(year, 12, 31)


def _month(year: int, month: int) -> _Days:
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def _title(days: _Days) -> str:
    first, last = days
    if first == last:
        return formats.date_format(first, "MONTH_DAY_FORMAT")
    if days == _year(first.year):
        return str(first.year)
    return formats.date_format(first, "YEAR_MONTH_FORMAT")


def _parts(days: _Days | None, bounds: _Days) -> list[_Days]:
    """Return the parts of ``days`` that overlap ``bounds``."""
    first, last = bounds
    if days is None:
        parts = [_year(year) for year in range(first.year, last.year + 1)]
    elif days == _year(days[0].year):
        parts = [_month(days[0].year, month) for month in range(1, 13)]
    elif days[0] == days[1]:
        parts = []
    else:
        numbers = range(1, days[1].day + 1)
        parts = [(days[0].replace(day=n),) * 2 for n in numbers]
    return [part for part in parts if part[0] <= last and first <= part[1]]
