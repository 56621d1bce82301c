"""The time in a UID, for queries: ``id__minted_at__gte=…`` and ``MintedAt("id")``.

A comparison with a moment, a date or a year becomes a comparison of the column with one
or two UIDs, so it uses the index. Other lookups, for example ``__month``, compute the
time of each row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldError
from django.db import NotSupportedError
from django.db.models import DateTimeField, Field, Transform
from django.db.models import lookups as django_lookups
from django.db.models.functions import ExtractIsoYear, ExtractYear, TruncDate
from django.utils import timezone

from django_uidgen.conf import get_config
from django_uidgen.core.layout import MAX_BITS, BitLayout
from django_uidgen.dialects import dialect_of
from django_uidgen.moments import Span, lowest_from, span_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

    _Lookup = django_lookups.Lookup[Any]
else:
    _Lookup = object

_Sql = tuple[str, Any]
_Bounds = tuple[int, int | None]

#: The lowest positive number that a bigint cannot hold.
_NO_BIGINT = 1 << MAX_BITS


class MintedAt(Transform):
    """The moment at which a UID was minted, equal to ``parse(uid).minted_at``.

    ``MintedAt("id")``, ``MintedAt("order__id")``: a datetime, aware if ``USE_TZ`` is
    on, to annotate, group and truncate by. It sorts like the UID. The layout is that of
    the field's generator. For a column of another field type, name the generator:
    ``MintedAt("number", generator="orders")``.

    NULL for NULL, and on SQLite for a moment past the year 9999. On MariaDB and MySQL
    the server needs its time zone tables if the database's time zone is not UTC.
    """

    lookup_name = "minted_at"
    output_field = DateTimeField()

    def __init__(
        self, *expressions: Any, generator: str | None = None, **extra: Any
    ) -> None:
        self.generator = generator
        super().__init__(*expressions, **extra)

    @property
    def layout(self) -> BitLayout:
        """The layout of the UIDs. Raise ``FieldError`` if the generator is unknown."""
        alias = self.generator or generator_of(self.lhs.output_field)
        if alias is None:
            raise FieldError(
                f"{self.lhs!r} has no field of UIDs. Name the generator that minted "
                f"its values: MintedAt(..., generator='default')."
            )
        return get_config(alias).layout

    def as_sql(self, *args: Any, **kwargs: Any) -> _Sql:
        """Raise ``NotSupportedError``: this database is untested."""
        raise NotSupportedError("MintedAt supports PostgreSQL, MariaDB and SQLite.")

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> _Sql:
        """Add seconds and milliseconds to 1970: a double would lose digits."""
        sql, params = self._milliseconds(compiler)
        return (
            "(TIMESTAMPTZ '1970-01-01 00:00:00+00'"
            f" + ({sql}) / 1000 * INTERVAL '1 second'"
            f" + ({sql}) %% 1000 * INTERVAL '1 millisecond')"
        ), (*params, *params)

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> _Sql:
        """Add milliseconds to 1970, and convert to the database's time zone."""
        sql, params = self._milliseconds(compiler)
        sql = (
            "TIMESTAMPADD(MICROSECOND, "
            f"({sql}) * 1000, TIMESTAMP '1970-01-01 00:00:00.000000')"
        )
        zone = connection.timezone_name
        if zone != "UTC":
            sql = f"CONVERT_TZ({sql}, '+00:00', '{zone}')"
        return sql, params

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> _Sql:
        """Format the text that Django stores: without a fraction if that is 0."""
        sql, params = self._milliseconds(compiler)
        fraction = f"((({sql}) %% 1000 + 1000) %% 1000)"
        seconds = f"((({sql}) - {fraction}) / 1000)"
        text = f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {seconds}, 'unixepoch')"
        zone = connection.timezone_name
        if zone != "UTC":
            # A function of Django's: SQLite has no time zones.
            text = f"django_datetime_trunc('second', {text}, '{zone}', 'UTC')"
        return (
            f"({text} || CASE {fraction} WHEN 0 THEN ''"
            f" ELSE printf('.%%03d000', {fraction}) END)"
        ), params * 4

    def _milliseconds(self, compiler: SQLCompiler) -> tuple[str, tuple[Any, ...]]:
        """Return SQL for the milliseconds since 1970, which may be negative."""
        sql, params = compiler.compile(self.lhs)
        layout = self.layout
        since_1970 = (layout.epoch - _UNIX_EPOCH) // timedelta(milliseconds=1)
        divide = dialect_of(compiler.connection).integer_division
        tick = f"{sql} {divide} {1 << layout.time_shift}"
        return f"({tick}) * {layout.tick_ms} + {since_1970}", tuple(params)

    def span(self, moment: datetime) -> Span:
        """Return the UIDs that were minted at ``moment``."""
        return span_of(moment, self.layout)


_UNIX_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def generator_of(field: Field[Any, Any]) -> str | None:
    """Return the alias that mints the values of ``field``, or of its target.

    Return None if that is not a field of UIDs.
    """
    return getattr(target_of(field), "generator", None)


def target_of(field: Field[Any, Any]) -> Field[Any, Any]:
    """Return the field that defines the values of ``field``: follow relations."""
    while field.is_relation:
        field = field.target_field  # type: ignore[attr-defined]  # of foreign keys
    return field


class _PartOfTime:
    """Mixin for a transform of ``MintedAt`` whose values are spans of time."""

    lhs: MintedAt
    tzinfo: Any
    get_tzname: Callable[[], str | None]

    def span(self, value: Any) -> Span:
        """Return the UIDs for which this transform is ``value``."""
        start, end = self.ends(value)
        return Span(self._first_from(start), self._first_from(end))

    def ends(self, value: Any) -> tuple[date | None, date | None]:
        """Return the first day of ``value``, and the day after its last.

        None stands for a day past the year 9999.
        """
        raise NotImplementedError  # pragma: no cover - every subclass overrides it

    def _first_from(self, day: date | None) -> int:
        layout = self.lhs.layout
        if day is None:
            return lowest_from(layout.max_tick + 1, layout)
        zone = self.tzinfo or timezone.get_current_timezone()
        if self.get_tzname() is None:  # USE_TZ is off: there is one zone
            zone = timezone.get_default_timezone()
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        return span_of(midnight, layout).first


class MintedOnDate(_PartOfTime, TruncDate):
    """The date at which a UID was minted, in the current time zone."""

    def ends(self, value: date) -> tuple[date, date | None]:
        """Return the day, and the next one."""
        return value, None if value == date.max else value + timedelta(days=1)


class MintedInYear(_PartOfTime, ExtractYear):
    """The year in which a UID was minted, in the current time zone."""

    def ends(self, value: int) -> tuple[date | None, date | None]:
        """Return the first days of the year and of the next one."""
        return _first_day(value), _first_day(value + 1)


class MintedInIsoYear(_PartOfTime, ExtractIsoYear):
    """The year of ISO 8601's weeks in which a UID was minted."""

    def ends(self, value: int) -> tuple[date | None, date | None]:
        """Return the first Mondays of the year and of the next one."""
        return _first_monday(value), _first_monday(value + 1)


def _first_day(year: int) -> date | None:
    return None if year > MAXYEAR else date(max(year, MINYEAR), 1, 1)


def _first_monday(year: int) -> date | None:
    return None if year > MAXYEAR else date.fromisocalendar(max(year, MINYEAR), 1, 1)


class _BoundsLookup(_Lookup):
    """Compare the column with UIDs if the right side is a value, not an expression.

    ``lhs`` is a ``MintedAt``, or a ``_PartOfTime`` of one.
    """

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Return a comparison of the column with one or two integers."""
        if not self.rhs_is_direct_value():
            return super().as_sql(compiler, connection)
        sql, params = compiler.compile(_column(self.lhs))
        condition, bounds = _between(*self.bounds(self.lhs.span))
        return f"{sql} {condition}", (*params, *bounds)

    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        """Return the first UID, and the UID after the last, None for no end."""
        raise NotImplementedError  # pragma: no cover - every subclass overrides it


def _column(expression: Any) -> Any:
    """Return the column of UIDs from which ``expression`` is derived."""
    while not isinstance(expression, MintedAt):
        expression = expression.lhs
    return expression.lhs


def _between(first: int, end: int | None) -> tuple[str, tuple[int, ...]]:
    """Return a condition and its integers, all of which a bigint can hold."""
    if first >= (_NO_BIGINT if end is None else end):
        return "BETWEEN %s AND %s", (1, 0)  # matches nothing, without reading a row
    if end is None:
        return ">= %s", (first,)
    return "BETWEEN %s AND %s", (first, end - 1)


class _Exact(_BoundsLookup, django_lookups.Exact):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        return span(self.rhs)


class _GreaterThan(_BoundsLookup, django_lookups.GreaterThan):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        return span(self.rhs).end, None


class _GreaterThanOrEqual(_BoundsLookup, django_lookups.GreaterThanOrEqual):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        return span(self.rhs).first, None


class _LessThan(_BoundsLookup, django_lookups.LessThan):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        return 0, span(self.rhs).first


class _LessThanOrEqual(_BoundsLookup, django_lookups.LessThanOrEqual):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        return 0, span(self.rhs).end


class _Range(_BoundsLookup, django_lookups.Range):
    def bounds(self, span: Callable[[Any], Span]) -> _Bounds:
        start, end = self.rhs
        if start is None or end is None:
            return 0, 0  # nothing lies between anything and NULL
        return span(start).first, span(end).end


for _class in (MintedAt, MintedOnDate, MintedInYear, MintedInIsoYear):
    for _lookup in (
        _Exact,
        _GreaterThan,
        _GreaterThanOrEqual,
        _LessThan,
        _LessThanOrEqual,
        _Range,
    ):
        _class.register_lookup(_lookup)
for _part in (MintedOnDate, MintedInYear, MintedInIsoYear):
    MintedAt.register_lookup(_part)
