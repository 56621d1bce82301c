"""The admin of models that are keyed by UIDs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from django_uidgen import uid_floor
from django_uidgen.core.text import to_base32, to_base62
from django_uidgen.uid_admin import (
    MintedAtDrillDown,
    MintedAtListFilter,
    UidAdminMixin,
)
from tests.testapp.models import Event, EventNote, Parcel, Receipt, Ticket

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

DAY = timedelta(days=1)
MOMENTS = [
    datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 5, tzinfo=UTC),
    datetime(2028, 2, 29, tzinfo=UTC),
]

site = admin.AdminSite()


@admin.register(Event, site=site)
class EventAdmin(UidAdminMixin, admin.ModelAdmin):
    list_display = ["id", "minted_at", "name"]
    list_filter = [("id", MintedAtListFilter), ("id", MintedAtDrillDown), "name"]
    search_fields = ["name"]


@admin.register(EventNote, site=site)
class EventNoteAdmin(UidAdminMixin, admin.ModelAdmin):
    list_display = ["id", "minted_at"]
    list_filter = [("event", MintedAtListFilter), ("event__id", MintedAtDrillDown)]
    uid_search_fields = ["pk", "event"]


@admin.register(Ticket, site=site)
class TicketAdmin(UidAdminMixin, admin.ModelAdmin):
    list_display = ["id", "minted_at"]
    list_filter = [("number", MintedAtListFilter)]


@admin.register(Parcel, site=site)
class ParcelAdmin(admin.ModelAdmin):
    list_filter = [("returned_as", MintedAtDrillDown)]


@admin.register(Receipt, site=site)
class ReceiptAdmin(UidAdminMixin, admin.ModelAdmin):
    list_display = ["order", "minted_at"]


urlpatterns = [path("admin/", site.urls)]


@pytest.fixture(autouse=True)
def _utc(settings):
    settings.TIME_ZONE = "UTC"


@pytest.fixture
def events():
    """One for each moment."""
    return [
        Event.objects.create(id=uid_floor(at) + 7, name=f"{at:%B}") for at in MOMENTS
    ]


def changelist(client, model, **query):
    address = reverse(f"admin:testapp_{model._meta.model_name}_changelist")
    response = client.get(address, query, follow=True)
    assert response.status_code == 200
    return response.context["cl"]


def listed(client, model, **query):
    found = changelist(client, model, **query)
    return sorted(row.pk for row in found.result_list)


def choices(found, number):
    """Return the links of a filter: what each says, asks for, and if it is chosen."""
    return [
        (
            str(choice["display"]),
            dict(parse_qsl(choice["query_string"].lstrip("?"))),
            choice["selected"],
        )
        for choice in found.filter_specs[number].choices(found)
    ]


def between(first, last, column="id"):
    return {
        f"{column}__minted_at__date__gte": str(first),
        f"{column}__minted_at__date__lte": str(last),
    }


def test_column(admin_client, events):
    """In the time zone of the reader, and sorted by the key."""
    with timezone.override("Asia/Tokyo"):
        found = changelist(admin_client, Event, o="2")
    assert [row.pk for row in found.result_list] == [event.pk for event in events]
    assert found.get_ordering(None, found.queryset)[0] == "pk"
    page = admin_client.get(reverse("admin:testapp_event_changelist")).content.decode()
    assert "Jan. 31, 2026, 11:30 p.m." in page


def test_column_where_the_key_is_no_uid(admin_client):
    """Nothing is shown for what was there before."""
    assert EventAdmin(Event, site).minted_at(Event(id=-1)) is None
    assert TicketAdmin(Ticket, site).minted_at(Ticket(id=1 << 70)) is None


def test_column_where_the_key_is_a_foreign_key(settings):
    """By the generator of what it refers to."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}, "orders": {}}
    receipt = Receipt(order_id=uid_floor(MOMENTS[0]))
    assert ReceiptAdmin(Receipt, site).minted_at(receipt) == MOMENTS[0]


def test_search(admin_client, events):
    """A UID finds its row, and words find what they found before."""
    assert listed(admin_client, Event, q=f" {events[1].pk} ") == [events[1].pk]
    for text in (to_base32(events[1].pk).lower(), to_base62(events[1].pk)):
        assert listed(admin_client, Event, q=text) == [events[1].pk]
    assert listed(admin_client, Event, q="march") == [events[1].pk, events[2].pk]
    assert listed(admin_client, Event, q="nothing") == []
    assert listed(admin_client, Event, q=str(2**64)) == []
    Event.objects.filter(pk=events[0].pk).update(name=str(events[3].pk))
    both = [events[0].pk, events[3].pk]
    assert listed(admin_client, Event, q=str(events[3].pk)) == both


def test_search_without_search_fields(admin_client, events):
    """There is a box, and it finds UIDs alone, of the columns that are named."""
    note = EventNote.objects.create(event=events[0], text="x")
    other = EventNote.objects.create(event=events[1], text="x")
    assert changelist(admin_client, EventNote).search_fields
    assert listed(admin_client, EventNote) == sorted([note.pk, other.pk])
    assert listed(admin_client, EventNote, q=str(note.pk)) == [note.pk]
    assert listed(admin_client, EventNote, q=str(events[1].pk)) == [other.pk]
    assert listed(admin_client, EventNote, q="x") == []


def test_search_goes_by_the_index(admin_client, events):
    """The key is compared as a number, not as text."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        listed(admin_client, EventNote, q=str(events[0].pk))
    assert any(
        re.search(rf"id.? = {events[0].pk}\b", query["sql"]) for query in queries
    )


def test_filter(admin_client, events, settings):
    """Today, seven days, month, year: each finds what was minted then."""
    # Where it is noon, so that no day ends meanwhile.
    settings.TIME_ZONE = f"Etc/GMT{timezone.now().hour - 12:+d}"
    today = timezone.localdate()
    now = timezone.now()
    ago = {days: uid_floor(now - days * DAY) for days in (0, 7, 9)}
    for key in ago.values():
        Event.objects.create(id=key, name="x")
    links = choices(changelist(admin_client, Event), 0)
    titles = ["Any date", "Today", "Past 7 days", "This month", "This year"]
    assert [title for title, _, _ in links] == titles
    assert [selected for _, _, selected in links] == [True, *[False] * 4]
    by_title = {title: query for title, query, _ in links}
    assert by_title["Any date"] == {}
    assert listed(admin_client, Event, **by_title["Today"]) == [ago[0]]
    assert listed(admin_client, Event, **by_title["Past 7 days"]) == [ago[7], ago[0]]
    assert by_title["This month"]["id__minted_at__date__gte"] == f"{today:%Y-%m-01}"
    assert by_title["This year"] == between(f"{today:%Y-01-01}", f"{today:%Y-12-31}")
    this_year = {
        event.pk for event in Event.objects.filter(id__minted_at__year=today.year)
    }
    assert listed(admin_client, Event, **by_title["This year"]) == sorted(this_year)
    links = choices(changelist(admin_client, Event, **by_title["Past 7 days"]), 0)
    assert [title for title, _, selected in links if selected] == ["Past 7 days"]


def test_filter_between_days(admin_client, events):
    """The form asks for any days, for one end alone too, and keeps other filters."""
    days = between("2026-03-01", "2026-03-04")
    assert listed(admin_client, Event, **days) == [events[1].pk]
    since = between("2026-03-05", "")
    assert listed(admin_client, Event, **since) == [events[2].pk, events[3].pk]
    until = between("", "2026-01-31")
    assert listed(admin_client, Event, **until) == [events[0].pk]
    page = admin_client.get(
        reverse("admin:testapp_event_changelist"), days | {"name": "A & B"}
    ).content.decode()
    # The page has another form, for the search.
    [form] = re.findall(r'<form method="get">(.*?)</form>', page, re.DOTALL)
    found = re.findall(r'<input type="\w+" name="(\w+)" value="([^"]*)"', form)
    assert len({name for name, _ in found}) == len(found)
    inputs = dict(found)
    inputs = {name: unescape(value) for name, value in inputs.items()}
    assert days.items() <= inputs.items()
    assert inputs["name"] == "A & B"


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "9" * 30])
def test_filter_by_no_date(admin_client, events, text):
    """As with every filter: the whole list, and no error of the server."""
    assert len(listed(admin_client, Event, **between(text, "2026-03-04"))) == 4


def test_filter_with_counts(admin_client, events):
    """Where facets are asked for."""
    found = changelist(admin_client, Event, _facets="True")
    titles = [title for title, _, _ in choices(found, 0)]
    assert titles[0] == "Any date (4)"
    assert titles[1] == "Today (0)"


def test_filter_by_a_foreign_key(admin_client, events):
    """By the time of the row that is referred to, on the column of the reference."""
    notes = [EventNote.objects.create(event=event, text="x") for event in events]
    found = changelist(admin_client, EventNote)
    assert str(found.filter_specs[0].title) == "event, minted at"
    days = between("2026-03-01", "2026-03-31", column="event__id")
    assert listed(admin_client, EventNote, **days) == [notes[1].pk, notes[2].pk]


def test_filter_of_a_column_beside_the_key(admin_client, settings):
    """By the layout of its own generator."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "javascript"}}
    ticket = Ticket.objects.create(number=uid_floor(MOMENTS[1], "orders"), seat="1")
    Ticket.objects.create(number=uid_floor(MOMENTS[3], "orders"), seat="2")
    days = between("2026-03-01", "2026-03-01", column="number")
    assert listed(admin_client, Ticket, **days) == [ticket.pk]


def drill(client, *days):
    """Return the links, what each asks for, and the title of the one chosen."""
    links = choices(changelist(client, Event, **(between(*days) if days else {})), 1)
    asked_for = {title: query for title, query, _ in links}
    [chosen] = [title for title, _, selected in links if selected]
    return asked_for, chosen


def test_drill_down(admin_client, events):
    """Years, months, days, as far as there are rows; each leads back, too."""
    links, chosen = drill(admin_client)
    assert chosen == "Any date"
    assert list(links) == ["Any date", "2026", "2027", "2028"]
    assert links["2028"] == between("2028-01-01", "2028-12-31")
    links, chosen = drill(admin_client, "2028-01-01", "2028-12-31")
    assert chosen == "2028"
    assert list(links) == ["Any date", "2028", "January 2028", "February 2028"]
    links, chosen = drill(admin_client, "2028-02-01", "2028-02-29")
    assert chosen == "February 2028"
    days = [f"February {number}" for number in range(1, 30)]
    assert list(links) == ["Any date", "2028", "February 2028", *days]
    assert links["February 29"] == between("2028-02-29", "2028-02-29")
    links, chosen = drill(admin_client, "2028-02-29", "2028-02-29")
    assert chosen == "February 29"
    assert list(links) == ["Any date", "2028", "February 2028", "February 29"]
    assert listed(admin_client, Event, **links["February 29"]) == [events[3].pk]


def test_drill_down_from_other_days(admin_client, events):
    """What is no year, month or day is no level: it begins with the years."""
    days = between("2026-01-05", "2026-02-05")
    links = choices(changelist(admin_client, Event, **days), 1)
    assert [title for title, _, _ in links] == ["Any date", "2026", "2027", "2028"]
    assert not any(selected for _, _, selected in links)


def test_drill_down_in_another_zone(admin_client, events, settings):
    """The days are those of the reader."""
    settings.TIME_ZONE = "Asia/Tokyo"
    links, _ = drill(admin_client, "2026-01-01", "2026-12-31")
    assert "January 2026" not in links
    assert "February 2026" in links


@pytest.mark.parametrize("number", [None, -1, 2**63 - 1])
def test_drill_down_without_uids(admin_client, settings, number):
    """An empty table, and one that holds other numbers."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}, "orders": {}}
    Parcel.objects.create(name="x", barcode=1, id=1, returned_as=number)
    found = changelist(admin_client, Parcel)
    assert [title for title, _, _ in choices(found, 0)] == ["Any date"]


def test_drill_down_does_not_count_rows(admin_client, events):
    """Two looks into the index."""
    found = changelist(admin_client, Event)
    with CaptureQueriesContext(connection) as queries:
        list(found.filter_specs[1].choices(found))
    assert len(queries) == 2
    assert all("LIMIT 1" in query["sql"] for query in queries)


def test_page_of_a_model_without_zones(admin_client, events, settings):
    """``USE_TZ`` off."""
    settings.USE_TZ = False
    links, _ = drill(admin_client, "2026-03-05", "2026-03-05")
    assert listed(admin_client, Event, **links["March 5"]) == [events[2].pk]
    assert date.fromisoformat(
        choices(changelist(admin_client, Event), 0)[1][1]["id__minted_at__date__gte"]
    )
