"""Pages by key."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from django_uidgen.rest_framework.pagination import UidCursorPagination
from tests.testapp.models import Event, Ticket

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.rest_framework.urls")]

URL = "/events/"


def events(count):
    """Make rows and return their names, newest first."""
    made = [Event.objects.create(name=str(number)) for number in range(count)]
    return [event.name for event in reversed(made)]


def names(page):
    return [row["name"] for row in page["results"]]


@pytest.fixture
def visit(client):
    """Return a function that gets a page as JSON."""

    def visit_(url=URL, **query):
        response = client.get(url, query)
        assert response.status_code == 200, response.content
        return response.json()

    return visit_


def cursor(**tokens):
    return b64encode(urlencode(tokens).encode()).decode()


def test_there_and_back(visit):
    """Every row once, newest first; then the same pages backwards."""
    expected = events(8)
    pages = [visit()]
    while pages[-1]["next"]:
        pages.append(visit(pages[-1]["next"]))
    assert [name for page in pages for name in names(page)] == expected
    assert [len(page["results"]) for page in pages] == [3, 3, 2]
    assert pages[0]["previous"] is None
    back = [pages[-1]]
    while back[-1]["previous"]:
        back.append(visit(back[-1]["previous"]))
    assert list(map(names, back)) == list(map(names, reversed(pages)))


def test_keys_that_are_strings_are_the_positions(visit):
    """A page costs as much as the first: there is no offset."""
    events(7)
    second = visit(visit()["next"])
    assert second["next"] == f"http://testserver{URL}?cursor=" + cursor(
        p=second["results"][-1]["id"]
    ).replace("=", "%3D")


def test_rows_that_are_inserted_between_pages(visit):
    """They shift nothing: no row comes twice, none is left out."""
    expected = events(7)
    first = visit()
    Event.objects.create(name="new")
    second = visit(first["next"])
    Event.objects.create(name="newer")
    third = visit(second["next"])
    assert names(first) + names(second) + names(third) == expected
    assert names(visit(second["previous"])) == names(first)
    before_first = visit(visit(second["previous"])["previous"])
    assert names(before_first) == ["newer", "new"]


@pytest.mark.parametrize("victim", range(7))
def test_a_row_that_is_deleted_between_pages(visit, victim):
    """All others come, be it the last row of a page or the first of the next."""
    expected = events(7)
    first = visit()
    Event.objects.get(name=expected[victim]).delete()
    second = visit(first["next"])
    third = visit(second["next"]) if second["next"] else {"results": []}
    shown = names(first) + names(second) + names(third)
    assert [name for name in shown if name != expected[victim]] == [
        name for name in expected if name != expected[victim]
    ]


@pytest.mark.parametrize("victim", range(7))
def test_a_row_that_is_deleted_on_the_way_back(visit, victim):
    """All others come."""
    expected = events(7)
    third = visit(visit(visit()["next"])["next"])
    Event.objects.get(name=expected[victim]).delete()
    second = visit(third["previous"])
    first = visit(second["previous"]) if second["previous"] else {"results": []}
    shown = names(first) + names(second) + names(third)
    assert [name for name in shown if name != expected[victim]] == [
        name for name in expected if name != expected[victim]
    ]


def test_nothing_is_left_before_a_page(visit):
    """The page is empty; the next one begins with the newest row."""
    expected = events(5)
    second = visit(visit()["next"])
    Event.objects.filter(name__in=expected[:3]).delete()
    empty = visit(second["previous"])
    assert (names(empty), empty["previous"]) == ([], None)
    assert names(visit(empty["next"])) == expected[3:]


def test_nothing_is_left_after_a_page(visit):
    """The page is empty; the one before it ends with the oldest row."""
    expected = events(7)
    second = visit(visit()["next"])
    Event.objects.filter(name__in=expected[6:]).delete()
    empty = visit(second["next"])
    assert (names(empty), empty["next"]) == ([], None)
    assert names(visit(empty["previous"])) == expected[3:6]


def test_no_rows(visit):
    """One empty page."""
    assert visit() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("size", "rows"), [("2", 2), ("1000", 5), ("9999", 5), ("0", 3), ("x", 3)]
)
def test_the_size_of_a_page(visit, size, rows):
    """As asked for, up to a bound."""
    events(5)
    assert len(visit(page_size=size)["results"]) == rows
    assert UidCursorPagination.max_page_size == 1000


class ByNumber(UidCursorPagination):
    """Oldest first, by a column beside the key."""

    ordering = "number"
    page_size = 2


class View:
    """A view with an order of its own."""

    filter_backends = [OrderingFilter]
    ordering_fields = ["seat"]
    ordering = ["seat"]


def test_another_column_of_uids():
    """In its order, whatever a filter of the view would have."""
    tickets = [Ticket.objects.create(seat=seat) for seat in "cba"]
    paginator = ByNumber()
    request = Request(APIRequestFactory().get("/", {"ordering": "seat"}))
    page = paginator.paginate_queryset(Ticket.objects.all(), request, View())
    assert page == tickets[:2]


@pytest.mark.parametrize(
    "position",
    [
        *["abc", "-1", "+1", "1.5", "007", "9" * 19, "9" * 20, "9" * 10_000],
        *["\0", "²", "٣", "", str(2**63), "None", "1 ", "1e3"],
    ],
    ids=lambda position: ascii(position)[:12],
)
@pytest.mark.parametrize("reverse", ["0", "1"])
def test_a_position_that_is_no_uid(client, position, reverse):
    """404, and no error of the server."""
    events(1)
    response = client.get(URL, {"cursor": cursor(p=position, r=reverse)})
    assert response.status_code == 404


@pytest.mark.parametrize("position", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_the_ends_of_the_range(visit, position, reverse):
    """Are positions like any other, on every database."""
    expected = events(2)
    page = visit(cursor=cursor(p=position, r=reverse))
    assert names(page) == (expected if (position > 1) != reverse else [])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    given=st.text(max_size=40)
    | st.binary(max_size=40).map(b64encode)
    | st.dictionaries(
        st.sampled_from("opr"), st.integers() | st.text(max_size=20), max_size=3
    ).map(lambda tokens: cursor(**tokens))
)
def test_no_cursor_is_an_error_of_the_server(client, given):
    """Whatever is given, the answer is a page or 404."""
    response = client.get(URL, {"cursor": given})
    assert response.status_code in (200, 404)
