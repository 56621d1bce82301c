"""Filters by the time in a UID."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from django_filters import rest_framework as filters

from django_uidgen import parse, uid_floor
from django_uidgen.rest_framework.filters import (
    MintedAfterFilter,
    MintedBeforeFilter,
    UidFilterSet,
)
from tests.testapp.models import Invoice, Order, OrderLine, Parcel, Ticket

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class OrderFilterSet(UidFilterSet):
    """The filters of the key."""

    class Meta:
        """One more field."""

        model = Order
        fields = ["name"]


class KeyFilterSet(UidFilterSet):
    """Filters by columns of UIDs."""

    class Meta:
        """A key, columns, and a foreign key."""

        model = Parcel
        fields = {"id": ["exact", "in", "lt"], "returned_as": ["exact", "isnull"]}


class TicketFilterSet(filters.FilterSet):
    """Filters of a column beside the key."""

    after = MintedAfterFilter("number")
    before = MintedBeforeFilter("number")

    class Meta:
        """None but those."""

        model = Ticket
        fields = []


class LineFilterSet(filters.FilterSet):
    """Filters through a relation."""

    after = MintedAfterFilter("order__id")
    not_after = MintedAfterFilter("order__id", exclude=True)

    class Meta:
        """None but those."""

        model = OrderLine
        fields = []


@pytest.fixture
def orders():
    """Three orders: just before noon, at noon, a second later."""
    keys = [uid_floor(NOON) - 1, uid_floor(NOON), uid_floor(NOON + SECOND)]
    return [Order.objects.create(pk=key, name=str(key)) for key in keys]


def found(filterset, model=Order, **query):
    """Return the rows that a query finds, by key."""
    filters_ = filterset(query, queryset=model.objects.order_by("pk"))
    assert filters_.is_valid(), filters_.errors
    return list(filters_.qs)


def test_both_ends(orders):
    """The first moment is included, the second is not."""
    noon, later = NOON.isoformat(), (NOON + SECOND).isoformat()
    assert found(OrderFilterSet) == orders
    assert found(OrderFilterSet, minted_after=noon) == orders[1:]
    assert found(OrderFilterSet, minted_before=noon) == orders[:1]
    assert found(OrderFilterSet, minted_after=noon, minted_before=later) == [orders[1]]
    assert found(OrderFilterSet, name=orders[2].name, minted_after=noon) == [orders[2]]


@pytest.mark.parametrize(
    ("moment", "rows"),
    [
        ("2026-05-01T12:00:00Z", 2),
        ("2026-05-01T14:00:00+02:00", 2),
        ("2026-05-01T12:00:00.001Z", 1),
        ("2026-05-01T12:00:00", 2),
        ("0001-01-01T00:00:00+14:00", 3),
        ("1969-07-20T20:17:40Z", 3),
        ("2095-01-01T00:00:00Z", 0),
        ("2095-12-31T00:00:00Z", 0),
        ("9999-12-31T23:59:59-14:00", 0),
        ("", 3),
    ],
)
def test_moments(orders, moment, rows):
    """Of any zone, without one, and outside of what layout and column hold."""
    with timezone.override(UTC):
        assert len(found(OrderFilterSet, minted_after=moment)) == rows
        if moment:
            assert len(found(OrderFilterSet, minted_before=moment)) == 3 - rows


@pytest.mark.parametrize(
    "text",
    [
        *["abc", "2026-13-01T00:00:00Z", "2026-05-01T12:00:00 00:00", "12", "\0"],
        *["9" * 5000, "0000-00-00", "2026-05-01T25:00:00Z", "0001-01-01T00:00:00x"],
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_what_is_no_moment(text):
    """An error of the filter set, which the view answers with 400."""
    filterset = OrderFilterSet({"minted_after": text}, queryset=Order.objects.all())
    assert not filterset.is_valid()
    assert list(filterset.errors) == ["minted_after"]


def test_another_generator(settings):
    """The layout is that of the column's own generator."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "baidu"}}
    key = uid_floor(NOON, "orders")
    assert key != uid_floor(NOON)
    rows = [Ticket.objects.create(seat=str(n), number=key + n) for n in (-1, 0)]
    noon = NOON.isoformat()
    assert found(TicketFilterSet, Ticket, after=noon) == rows[1:]
    assert found(TicketFilterSet, Ticket, before=noon) == rows[:1]
    assert parse(rows[1].number, "orders").minted_at == NOON
    assert Invoice._meta.pk.generator == "orders"


def test_through_a_relation(orders):
    """And the other way round."""
    lines = [OrderLine.objects.create(order=order, product="p") for order in orders]
    noon = NOON.isoformat()
    assert found(LineFilterSet, OrderLine, after=noon) == lines[1:]
    assert found(LineFilterSet, OrderLine, not_after=noon) == lines[:1]


def test_by_uids():
    """To the last digit, and lists of them."""
    rows = [
        Parcel.objects.create(pk=2**63 - number, name="p", returned_as=returned_as)
        for number, returned_as in ((3, 7), (2, None), (1, 8))
    ]
    keys = [str(row.pk) for row in rows]
    for query, chosen in (
        ({"id": keys[1]}, rows[1:2]),
        ({"id__in": f"{keys[0]},{keys[2]}"}, rows[::2]),
        ({"id__lt": keys[1]}, rows[:1]),
        ({"returned_as": "8"}, rows[2:]),
        ({"returned_as__isnull": "true"}, rows[1:2]),
    ):
        assert found(KeyFilterSet, Parcel, **query) == chosen


@pytest.mark.parametrize("text", ["007", "1.0", "-1", "1e3", str(2**63), "9" * 5000])
def test_what_is_no_uid(text):
    """An error of the filter set."""
    filterset = KeyFilterSet({"id": text}, queryset=Parcel.objects.all())
    assert not filterset.is_valid()
    assert list(filterset.errors) == ["id"]
