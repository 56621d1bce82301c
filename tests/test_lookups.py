"""``id__minted_at__…`` and ``MintedAt("id")``, on rows of any moment."""

from __future__ import annotations

import operator
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import FieldError
from django.db import NotSupportedError, connection, transaction
from django.db.models import (
    Count,
    DateTimeField,
    F,
    Max,
    Min,
    OuterRef,
    Subquery,
    Value,
)
from django.db.models.functions import TruncDay
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_uidgen import conf, parse, uid_floor
from django_uidgen.core.layout import DEFAULT_EPOCH
from django_uidgen.lookups import MintedAt
from tests.testapp.models import (
    Event,
    EventNote,
    Invoice,
    Order,
    OrderLine,
    Parcel,
    Ticket,
)

pytestmark = pytest.mark.django_db

FIRST_OF_ALL = datetime.min.replace(tzinfo=UTC)
LAST_OF_ALL = datetime.max.replace(tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY = timedelta(days=1)
LAYOUTS = {
    "snowflake": {},
    "javascript": {"LAYOUT": "javascript"},
    "odd ticks": {
        "LAYOUT": {"time_bits": 45, "worker_bits": 2, "sequence_bits": 3, "tick_ms": 7},
        "EPOCH": datetime(2020, 2, 29, 1, 2, 3, 45_000, UTC),
    },
    "before 1970": {
        "LAYOUT": {"time_bits": 50, "worker_bits": 1, "sequence_bits": 1, "tick_ms": 1},
        "EPOCH": datetime(1899, 12, 31, 23, 59, 59, 999_000, UTC),
    },
}
COMPARISONS = {
    "exact": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
#: What the databases' own functions know, which is less than datetime does.
LAST = datetime(9999, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _utc(settings):
    """Dates are those of UTC, unless a test has another zone."""
    settings.TIME_ZONE = "UTC"


@pytest.fixture(params=LAYOUTS)
def layout(request, settings):
    """The layout of the generator "default", one after the other."""
    settings.UIDGEN = {"default": LAYOUTS[request.param], "orders": {}}
    return conf.get_config("default").layout


@pytest.fixture(params=["UTC", "America/New_York", "no zones"])
def zone(request, settings):
    """The zone that dates are in, and how the database keeps moments."""
    name = "Asia/Kolkata" if request.param == "no zones" else request.param
    if request.param == "no zones":
        if connection.vendor == "mysql" and not knows_zones():
            pytest.skip("the server has no tables of time zones")
        settings.USE_TZ = False
    settings.TIME_ZONE = name
    return ZoneInfo(name)


def knows_zones():
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONVERT_TZ('2026-01-01', '+00:00', 'Asia/Kolkata')")
        return cursor.fetchone()[0] is not None


def uids(layout):
    last = min(layout.max_tick, layout.tick_at(LAST))
    ticks = st.integers(1, last) | st.integers(1, min(last, 400 * 86_400_000))
    return st.builds(
        layout.compose,
        ticks,
        st.integers(0, layout.worker_count - 1),
        st.integers(0, layout.sequence_size - 1),
    )


def minted_at(key):
    return parse(key).minted_at


def as_stored(moment, zone):
    """Return ``moment`` as this project has its moments."""
    if django_settings.USE_TZ:
        return moment
    return moment.astimezone(zone).replace(tzinfo=None)


def make_events(keys):
    Event.objects.all().delete()
    Event.objects.bulk_create([Event(id=key, name="x") for key in keys])


def found(**condition):
    return set(Event.objects.filter(**condition).values_list("pk", flat=True))


each_example_makes_its_rows = hypothesis_settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@each_example_makes_its_rows
@given(data=st.data())
def test_expression_equals_parse(layout, zone, data):
    """On every row, to the microsecond, and in the same type."""
    keys = data.draw(st.lists(uids(layout), min_size=1, max_size=20, unique=True))
    make_events(keys)
    moments = dict(Event.objects.values_list("pk", MintedAt("id")))
    assert moments == {key: as_stored(minted_at(key), zone) for key in keys}


@each_example_makes_its_rows
@given(data=st.data())
def test_comparisons_are_those_of_parse(layout, zone, data):
    """Moments at, beside and far from those of the rows; their dates and years."""
    keys = data.draw(st.lists(uids(layout), min_size=1, max_size=20, unique=True))
    make_events(keys)
    near = minted_at(data.draw(st.sampled_from(keys)))
    step = data.draw(st.sampled_from([0, 1, 999, 1000, 7000, 86_400_000_000]))
    moment = near + data.draw(st.sampled_from([-1, 1])) * timedelta(microseconds=step)
    parts = {
        "minted_at": lambda at: as_stored(at, zone),
        "minted_at__date": lambda at: at.astimezone(zone).date(),
        "minted_at__year": lambda at: at.astimezone(zone).year,
        "minted_at__iso_year": lambda at: at.astimezone(zone).isocalendar().year,
    }
    for part, of in parts.items():
        values = {key: of(minted_at(key)) for key in keys}
        for name, compare in COMPARISONS.items():
            expected = {key for key in keys if compare(values[key], of(moment))}
            assert found(**{f"id__{part}__{name}": of(moment)}) == expected
        other = of(minted_at(data.draw(st.sampled_from(keys))))
        low, high = sorted([of(moment), other])
        expected = {key for key in keys if low <= values[key] <= high}
        assert found(**{f"id__{part}__range": (low, high)}) == expected


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORKED_OUT = [
    ("month", NOON.month),
    ("day", NOON.day),
    ("week", 9),
    ("week_day", 1),
    ("quarter", 1),
    ("hour", 12),
    ("minute", 0),
    ("time", NOON.time()),
    ("date__month", 3),
    ("in", [NOON]),
]


@pytest.mark.parametrize(("part", "value"), WORKED_OUT)
def test_the_other_lookups_of_moments(part, value):
    """They are no interval, and are worked out from the time of each row."""
    noon = uid_floor(NOON) + 5
    make_events([noon, uid_floor(NOON + timedelta(days=33, minutes=61))])
    assert found(**{f"id__minted_at__{part}": value}) == {noon}


def condition_of(queryset):
    """Return what is asked of the rows, as SQL."""
    return str(queryset.query).partition(" WHERE ")[2].replace("`", '"')


LOW = uid_floor(NOON)
INTERVALS = {
    "minted_at__gte": (NOON, f">= {LOW}"),
    "minted_at__gt": (NOON, f">= {LOW + (1 << 22)}"),
    "minted_at__lt": (NOON, f"BETWEEN 0 AND {LOW - 1}"),
    "minted_at__lte": (NOON, f"BETWEEN 0 AND {LOW + (1 << 22) - 1}"),
    "minted_at": (NOON, f"BETWEEN {LOW} AND {LOW + (1 << 22) - 1}"),
    "minted_at__range": (
        (NOON, NOON + DAY),
        f"BETWEEN {LOW} AND {uid_floor(NOON + DAY + MILLISECOND) - 1}",
    ),
    "minted_at__date": (
        date(2026, 1, 2),
        f"BETWEEN {86_400_000 << 22} AND {(2 * 86_400_000 << 22) - 1}",
    ),
    "minted_at__year": (2026, f"BETWEEN 0 AND {(365 * 86_400_000 << 22) - 1}"),
}


BOUNDS = [(lookup, *rest) for lookup, rest in INTERVALS.items()]


@pytest.mark.parametrize(("lookup", "value", "sql"), BOUNDS)
def test_plain_bounds(lookup, value, sql):
    """The column and one or two integers, and nothing else."""
    rows = Event.objects.filter(**{f"id__{lookup}": value})
    assert condition_of(rows) == f'"testapp_event"."id" {sql}'


#: What each database says when it goes through the index of the key.
BY_INDEX = {
    "postgresql": r"Index (Only )?Scan using testapp_event_pkey.*Index Cond",
    "mysql": r"\brange\b.*\bPRIMARY\b",
    "sqlite": r"SEARCH testapp_event USING .*(INDEX|INTEGER PRIMARY KEY)",
}


# MariaDB commits when it analyses a table, so nothing could be rolled back.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("lookup", "value", "sql"), BOUNDS)
def test_the_index_serves(lookup, value, sql):
    """Among ten thousand rows of ten years, as the database itself explains."""
    step = uid_floor(DEFAULT_EPOCH + timedelta(hours=8))
    make_events(range(step, 10_001 * step, step))
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE TABLE testapp_event"
            if connection.vendor == "mysql"
            else "ANALYZE testapp_event"
        )
        if connection.vendor == "mysql":
            cursor.fetchall()
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # For half of all rows to read the whole table is no worse.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_bitmapscan = off")
        plan = Event.objects.filter(**{f"id__{lookup}": value}).explain()
    assert re.search(BY_INDEX[connection.vendor], plan, re.DOTALL), plan


def test_through_foreign_keys():
    """By the column of the child: no join is made for it."""
    old, new = (
        Event.objects.create(id=uid_floor(at), name="x") for at in (NOON, NOON + DAY)
    )
    notes = [EventNote.objects.create(event=event, text="x") for event in (old, new)]
    later = EventNote.objects.filter(event__id__minted_at__gt=NOON)
    assert list(later) == notes[1:]
    assert "JOIN" not in str(later.query)
    assert (
        list(EventNote.objects.filter(event__pk__minted_at__date=NOON.date()))
        == notes[:1]
    )
    assert list(Event.objects.filter(notes__id__minted_at__gt=NOON).order_by("id")) == [
        old,
        new,
    ]
    moments = EventNote.objects.order_by("id").values_list(
        MintedAt("event"), MintedAt("event_id"), MintedAt("event__id")
    )
    assert list(moments) == [(NOON,) * 3, (NOON + DAY,) * 3]


def test_the_generator_is_that_of_the_field(settings):
    """Through a foreign key too, to any column, by whatever function."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "javascript"}}
    number = uid_floor(NOON, "orders")
    ticket = Ticket.objects.create(number=number, seat="1A")
    Invoice.objects.create(ticket=ticket)
    assert Ticket.objects.get(number__minted_at=NOON) == ticket
    assert Invoice.objects.filter(ticket__number__minted_at=NOON).exists()
    assert Invoice.objects.values_list(MintedAt("ticket"), flat=True).get() == NOON
    assert Ticket.objects.aggregate(at=MintedAt(Max("number")))["at"] == NOON
    assert (
        Ticket.objects.annotate(at=MintedAt(F("id") * 0 + number, generator="orders"))
        .get()
        .at
        == NOON
    )


def test_both_fields_have_the_lookup():
    """``UidAutoField`` as ``UidField``."""
    order = Order.objects.create(name="x")
    line = OrderLine.objects.create(order=order, product="x")
    at = minted_at(order.pk)
    assert Order.objects.get(id__minted_at__range=(at, at)) == order
    assert OrderLine.objects.get(order__id__minted_at__lte=at) == line


def test_ordering_grouping_and_truncating():
    """As with any moment."""
    days = [NOON, NOON + DAY, NOON + DAY + MILLISECOND]
    make_events(uid_floor(at) for at in days)
    by_day = (
        Event.objects.values(day=TruncDay(MintedAt("id")))
        .annotate(count=Count("pk"))
        .order_by("-day")
    )
    midnight = NOON - timedelta(hours=12)
    assert list(by_day) == [
        {"day": midnight + DAY, "count": 2},
        {"day": midnight, "count": 1},
    ]
    newest_first = Event.objects.order_by(MintedAt("id").desc())
    assert [minted_at(event.pk) for event in newest_first] == days[::-1]
    assert Event.objects.order_by("-id__minted_at").first() == newest_first.first()
    ends = Event.objects.aggregate(first=Min(MintedAt("id")), last=MintedAt(Max("id")))
    assert ends == {"first": days[0], "last": days[-1]}


def test_comparison_with_an_expression():
    """Worked out for each row, for there are no bounds to know beforehand."""
    make_events([uid_floor(NOON), uid_floor(NOON + DAY)])
    noon = Value(NOON, output_field=DateTimeField())
    year = Value(2026)
    assert len(found(id__minted_at__gt=noon)) == 1
    assert len(found(id__minted_at__range=(noon, NOON + DAY))) == 2
    assert len(found(id__minted_at__year=year)) == 2
    of_another = Event.objects.filter(pk=OuterRef("pk")).values(at=MintedAt("id"))[:1]
    assert len(found(id__minted_at=Subquery(of_another))) == 2


def test_null():
    """A row without a UID has no moment: no comparison finds it, and no negation."""
    Parcel.objects.create(name="none", returned_as=None)
    Parcel.objects.create(name="one", returned_as=uid_floor(NOON))
    parcels = Parcel.objects.order_by("name")
    far = datetime(2500, 1, 1, tzinfo=UTC)
    assert [p.name for p in parcels.filter(returned_as__minted_at__lt=far)] == ["one"]
    assert [p.name for p in parcels.filter(returned_as__minted_at=None)] == ["none"]
    assert [p.name for p in parcels.filter(returned_as__minted_at__isnull=False)] == [
        "one"
    ]
    # As Django has it for every column: what is not known is not equal.
    assert [p.name for p in parcels.exclude(returned_as__minted_at=NOON)] == ["none"]
    assert list(parcels.values_list(MintedAt("returned_as"), flat=True)) == [None, NOON]


def test_none():
    """Refused, as Django refuses it; within a range, nothing lies between."""
    make_events([uid_floor(NOON)])
    with pytest.raises(ValueError, match="Cannot use None"):
        found(id__minted_at__gte=None)
    assert found(id__minted_at__range=(None, NOON)) == set()
    assert found(id__minted_at__range=(NOON, None)) == set()


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        (
            "minted_at",
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ),
        (
            "minted_at",
            datetime(2025, 1, 1, tzinfo=UTC),
            datetime(2300, 1, 1, tzinfo=UTC),
        ),
        ("minted_at__date", date.min, date.max),
        ("minted_at__year", 1, 9999),
        ("minted_at__year", -5, 10_000),
        ("minted_at__iso_year", 0, 12_000),
    ],
)
def test_outside_of_the_layouts_time(part, before, after):
    """All or nothing, as the mathematics says, and no overflow in the database."""
    make_events([uid_floor(NOON), 2**63 - 1])
    everything = found()
    for name in ("gt", "gte"):
        assert found(**{f"id__{part}__{name}": before}) == everything
        assert found(**{f"id__{part}__{name}": after}) == set()
    for name in ("lt", "lte"):
        assert found(**{f"id__{part}__{name}": before}) == set()
        assert found(**{f"id__{part}__{name}": after}) == everything
    for value in (before, after):
        assert found(**{f"id__{part}": value}) == set()
        assert set(Event.objects.exclude(**{f"id__{part}": value})) != set()
    assert found(**{f"id__{part}__range": (before, after)}) == everything
    assert found(**{f"id__{part}__range": (after, before)}) == set()


def test_naive_moment_with_zones(settings):
    """As Django takes it: in the project's zone, with a warning."""
    settings.TIME_ZONE = "Asia/Tokyo"
    make_events([uid_floor(NOON)])
    with pytest.warns(RuntimeWarning, match="naive datetime"):
        assert found(id__minted_at=NOON.replace(tzinfo=None, hour=21))


def test_naive_and_aware_moments_without_zones(settings):
    """Naive ones are in the project's zone, and aware ones say theirs."""
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    make_events([uid_floor(NOON)])
    assert found(id__minted_at=NOON.replace(tzinfo=None, hour=21))
    assert found(id__minted_at=NOON)
    assert found(id__minted_at__date=date(2026, 3, 1))
    assert not found(id__minted_at__gt="2026-03-01 21:00:00")


def test_dates_are_in_the_current_zone():
    """Not in the project's, as in Django's own lookups."""
    make_events([uid_floor(NOON)])
    with timezone.override("Pacific/Kiritimati"):  # 14 hours ahead
        assert found(id__minted_at__date=date(2026, 3, 2))
    with timezone.override("Pacific/Pago_Pago"):  # 11 hours behind
        assert found(id__minted_at__date=date(2026, 3, 1))


def test_dates_without_zones(settings):
    """Those of the project, whatever zone is active: as in Django's own lookups."""
    settings.USE_TZ = False
    make_events([uid_floor(NOON)])
    with timezone.override("Pacific/Kiritimati"):  # 14 hours ahead
        assert found(id__minted_at__date=date(2026, 3, 1))
        assert not found(id__minted_at__date=date(2026, 3, 2))


@pytest.mark.skipif(connection.vendor != "mysql", reason="others need no tables")
def test_mariadb_turns_moments_into_local_times(settings):
    """Where it has no tables of time zones, this is all there is to see of it."""
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    moments = Event.objects.values_list(MintedAt("id"), flat=True)
    assert "CONVERT_TZ(TIMESTAMPADD(MICROSECOND" in str(moments.query)
    assert "'+00:00', 'Asia/Tokyo')" in str(moments.query)


def test_rows_kept_in_another_zone(monkeypatch):
    """``TIME_ZONE`` of a database: its moments are local ones there."""
    if connection.vendor == "postgresql":
        pytest.skip("it keeps moments, not local times")
    if connection.vendor == "mysql" and not knows_zones():
        pytest.skip("the server has no tables of time zones")
    make_events([uid_floor(NOON)])
    monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", "Asia/Tokyo")
    for name in ("timezone", "timezone_name"):
        vars(connection).pop(name, None)
    try:
        assert Event.objects.values_list(MintedAt("id"), flat=True).get() == NOON
    finally:
        for name in ("timezone", "timezone_name"):
            vars(connection).pop(name, None)


def test_column_that_is_no_uid():
    """It says what to do, and does it when told."""
    with pytest.raises(FieldError, match="Name the generator"):
        str(Ticket.objects.values_list(MintedAt("id")).query)
    ticket = Ticket.objects.create(id=uid_floor(NOON), seat="1A")
    named = MintedAt("id", generator="default")
    assert Ticket.objects.values_list(named, flat=True).get(pk=ticket.pk) == NOON


def test_other_databases():
    """Oracle has functions of its own, which nobody has tried."""
    with pytest.raises(NotSupportedError, match="PostgreSQL"):
        MintedAt("id").as_sql(None, None)
