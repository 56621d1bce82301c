"""The REST endpoints."""

from __future__ import annotations

import logging
from datetime import datetime
from itertools import pairwise

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.urls import reverse
from rest_framework.pagination import (
    CursorPagination,
    LimitOffsetPagination,
    PageNumberPagination,
)
from rest_framework.test import APIClient

from django_uidgen import generators, parse
from django_uidgen.models import WorkerNode
from django_uidgen.rest_framework.endpoint.pagination import WorkerPagination, bounded
from django_uidgen.rest_framework.endpoint.serializers import COUNT_RULE
from tests.support.leases import add_lease, uid_of

pytestmark = pytest.mark.django_db

UIDS = "/api/uids/"
WORKERS = "/api/workers/"


@pytest.fixture(autouse=True)
def no_requests_so_far():
    """Throttles count in the cache."""
    cache.clear()


@pytest.fixture
def visitor(django_user_model) -> APIClient:
    """Someone who has logged in."""
    client = APIClient()
    client.force_authenticate(django_user_model.objects.create_user("ada"))
    return client


@pytest.fixture
def staff(django_user_model) -> APIClient:
    """Someone of the staff who may view leases."""
    client = APIClient()
    user = django_user_model.objects.create_user("grace", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_workernode"))
    client.force_authenticate(user)
    return client


def post(client: APIClient, body: object):
    return client.post(UIDS, body, format="json")


# POST uids/


@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_uids_are_minted(visitor, count):
    """As many as asked for, new, in ascending order, as text."""
    before = generators["default"].uid()
    response = post(visitor, {"count": count})
    assert response.status_code == 201
    answer = response.json()
    assert list(answer) == ["generator", "count", "uids"]
    assert (answer["generator"], answer["count"]) == ("default", count)
    assert all(type(uid) is str for uid in answer["uids"])
    numbers = [before, *map(int, answer["uids"])]
    assert len(numbers) == count + 1
    assert all(a < b for a, b in pairwise(numbers))


def test_uids_of_another_generator(visitor, settings):
    """The body names it."""
    settings.UIDGEN = {"default": {}, "orders": {"TEST": {"WORKER_ID": 7}}}
    answer = post(visitor, {"count": 1, "generator": "orders"}).json()
    assert answer["generator"] == "orders"
    assert parse(answer["uids"][0], "orders").worker_id == 7


@pytest.mark.parametrize(
    "count",
    [
        0,
        -1,
        1001,
        2**63,
        10**4000,
        1.0,
        1.5,
        1e300,
        True,
        False,
        None,
        "",
        "abc",
        "5",
        "9" * 10_000,
        [],
        [5],
        {},
        {"count": 5},
    ],
    ids=lambda count: type(count).__name__,
)
def test_a_count_that_is_none(visitor, count):
    """400, with the field's name and the range."""
    response = post(visitor, {"count": count})
    assert response.status_code == 400
    assert response.json() == {"count": [COUNT_RULE]}


def test_the_rule_names_the_range():
    """Every error about a count holds it."""
    assert COUNT_RULE == "Give a whole number from 1 to 1000."


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/json"),
        ("{}", "application/json"),
        ('{"generator": "default"}', "application/json"),
        ("", "application/x-www-form-urlencoded"),
        ("generator=default", "application/x-www-form-urlencoded"),
        ("", "text/plain"),
    ],
)
def test_a_body_without_a_count(visitor, body, content_type):
    """400, with the field's name and the range; so is a body that is absent."""
    response = visitor.post(UIDS, body, content_type=content_type)
    assert response.status_code == 400
    assert response.json() == {"count": [COUNT_RULE]}


def test_no_body_at_all(visitor):
    """The same."""
    response = visitor.generic("POST", UIDS)
    assert response.status_code == 400
    assert response.json() == {"count": [COUNT_RULE]}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"count": 5}', "text/plain"),
        ('{"count": 5}', "application/xml"),
        ('{"count": 5}', "nonsense"),
        ('{"count": 5', "application/json"),
        ('{"count": NaN}', "application/json"),
        ('{"count": ' + "9" * 10_000 + "}", "application/json"),
        ("[" * 100_000, "application/json"),
        (b'{"count": "\xff"}', "application/json"),
        ("null", "application/json"),
        ("5", "application/json"),
        ('"count"', "application/json"),
        ("[5]", "application/json"),
        ("--x", "multipart/form-data"),
    ],
)
def test_a_body_that_is_none(visitor, body, content_type):
    """400 for a wrong content type too: the field's name, the range and a reason."""
    response = visitor.post(UIDS, body, content_type=content_type)
    assert response.status_code == 400
    ((field, (message,)),) = response.json().items()
    assert field == "count"
    assert message.startswith(COUNT_RULE)
    assert "The body" in message
    assert len(message) < 400


def test_what_may_be_sent_is_said(visitor):
    """To those who sent another content type."""
    response = visitor.post(UIDS, "count=5", content_type="text/plain")
    assert "application/json" in response.json()["count"][0]


@pytest.mark.parametrize("form", ["json", "multipart", None])
def test_forms_are_taken(visitor, form):
    """A form has nothing but text, so there a count is its digits."""
    if form is None:
        response = visitor.post(
            UIDS, "count=3", content_type="application/x-www-form-urlencoded"
        )
    else:
        response = visitor.post(UIDS, {"count": 3}, format=form)
    assert response.status_code == 201
    assert len(response.json()["uids"]) == 3


@pytest.mark.parametrize(
    "count", ["0", "-1", "1001", "1.0", "abc", "", " ", "1_0", "٣", "9" * 10_000]
)
def test_a_count_that_is_none_in_a_form(visitor, count):
    """As in JSON."""
    response = visitor.post(UIDS, {"count": count}, format="multipart")
    assert response.status_code == 400
    assert response.json() == {"count": [COUNT_RULE]}


@pytest.mark.parametrize("alias", ["nope", "Default", "x" * 10_000, "\0", 5, True])
def test_an_unknown_generator(visitor, alias):
    """400, with the field's name."""
    response = post(visitor, {"count": 1, "generator": alias})
    assert response.status_code == 400
    ((field, (message,)),) = response.json().items()
    assert field == "generator"
    assert len(message) < 200


def test_those_generators_that_there_are(visitor):
    """The error names them."""
    response = post(visitor, {"count": 1, "generator": "nope"})
    assert response.json() == {
        "generator": [
            "There is no generator 'nope'. Choose one of 'default', 'orders'."
        ]
    }


@pytest.mark.parametrize("alias", [None, "", [], {}])
def test_a_generator_that_is_none(visitor, alias):
    """400, with the field's name."""
    response = post(visitor, {"count": 1, "generator": alias})
    assert response.status_code == 400
    assert list(response.json()) == ["generator"]


@pytest.mark.django_db(transaction=True)  # the mint looks from another connection
def test_no_worker_id(visitor, settings, caplog):
    """503 and when to try again; the reason is in the log, for it may name hosts."""
    settings.UIDGEN = {"default": {"TEST": False, "WORKER_IDS": (3, 3)}}
    add_lease(3)
    with caplog.at_level(logging.WARNING, "django_uidgen"):
        response = post(visitor, {"count": 1})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json() == {
        "detail": "Generator 'default' cannot mint now (WorkerIdsExhausted). "
        "The reason is in the server's log."
    }
    assert "1 leases are live" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_uid_minted_under_a_lease(staff, settings):
    """The endpoint that mints and the one that reads agree with the worker table."""
    settings.UIDGEN = {"default": {"TEST": False}}
    (uid,) = post(staff, {"count": 1}).json()["uids"]
    answer = staff.get(f"{UIDS}{uid}/").json()
    node = WorkerNode.objects.get()
    assert answer["worker_node"]["id"] == node.pk
    assert answer["worker_node"]["state"] == "live"
    assert answer["worker_id"] == node.worker_id


# GET uids/<uid>/


def test_a_uid_is_read(visitor):
    """Its parts; the UID as text, the moment in ISO 8601, exact to the tick."""
    uid = generators["default"].uid()
    parts = parse(uid)
    response = visitor.get(f"{UIDS}{uid}/")
    assert response.status_code == 200
    answer = response.json()
    assert datetime.fromisoformat(answer.pop("minted_at")) == parts.minted_at
    assert answer == {
        "uid": str(uid),
        "generator": "default",
        "tick": parts.tick,
        "worker_id": parts.worker_id,
        "sequence": parts.sequence,
    }


def test_a_uid_of_another_generator(visitor, settings):
    """The query names it. The time is in UTC and ISO 8601, whatever the project has."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "baidu"}}
    settings.REST_FRAMEWORK = {"DATETIME_FORMAT": "%Y"}
    settings.TIME_ZONE = "Asia/Kathmandu"
    uid = 3 << 35 | 2 << 13 | 1
    answer = visitor.get(f"{UIDS}{uid}/", {"generator": "orders"}).json()
    assert answer == {
        "uid": str(uid),
        "generator": "orders",
        "minted_at": "2026-01-01T00:00:03Z",
        "tick": 3,
        "worker_id": 2,
        "sequence": 1,
    }


def test_staff_see_who_minted(staff):
    """The lease, or null where there is none."""
    node = add_lease(5, host_name="db-2")
    answer = staff.get(f"{UIDS}{uid_of(node)}/").json()
    assert answer["worker_node"]["id"] == node.pk
    assert answer["worker_node"]["host_name"] == "db-2"
    assert answer["worker_node"]["process_id"] == 4711
    answer = staff.get(f"{UIDS}5/").json()
    assert answer["worker_node"] is None


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "0",
        "-5",
        "+5",
        "1.5",
        "1e5",
        "0x1f",
        "007",
        "1_000",
        "%20",
        "5%20",
        "5%0A",
        "%0A",
        "%00",
        "%2F",
        "a/b",
        "5/6",
        "%D9%A3",
        "%FF",
        "{}",
        "..%2F5",
        str(2**63),
        "9" * 10_000,
        "-" + "9" * 10_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_uid(visitor, text):
    """400 with a reason, whatever the text, in short."""
    response = visitor.get(f"{UIDS}{text}/")
    assert response.status_code == 400
    ((field, (message,)),) = response.json().items()
    assert field == "uid"
    assert "is not a UID" in message
    assert len(message) < 200


def test_a_uid_with_more_bits_than_the_layout(visitor, settings):
    """It cannot be of that generator."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}}
    response = visitor.get(f"{UIDS}{2**53}/")
    assert response.status_code == 400
    assert "2**53" in response.json()["uid"][0]


@pytest.mark.parametrize("alias", ["nope", "Default", "x" * 10_000])
def test_a_uid_of_an_unknown_generator(visitor, alias):
    """400, with the parameter's name."""
    response = visitor.get(f"{UIDS}5/", {"generator": alias})
    assert response.status_code == 400
    assert list(response.json()) == ["generator"]


def test_a_uid_can_be_linked_to():
    """The addresses have names."""
    assert reverse("uidgen:uid-list") == UIDS
    assert reverse("uidgen:uid", args=[2**62]) == f"{UIDS}{2**62}/"
    assert reverse("uidgen:worker-list") == WORKERS


# GET workers/


def test_leases_are_listed(staff):
    """Newest first, with times instead of ticks."""
    old = add_lease(1, sealed=True)
    eternal = add_lease(2, reserved_until=2**41, node_type=WorkerNode.NodeType.ACTUAL)
    new = add_lease(3, until=-30)
    answer = staff.get(WORKERS).json()
    assert (answer["count"], answer["next"], answer["previous"]) == (3, None, None)
    rows = answer["results"]
    assert [row["id"] for row in rows] == [new.pk, eternal.pk, old.pk]
    assert [row["state"] for row in rows] == ["free", "live", "sealed"]
    assert [row["node_type"] for row in rows] == ["container", "actual", "container"]
    assert rows[1]["reserved_until_at"] is None
    row = rows[0]
    for name in ("launched_at", "reserved_from_at", "reserved_until_at"):
        assert datetime.fromisoformat(row.pop(name)) == getattr(new, name)
    assert row == {
        "id": new.pk,
        "generator": "default",
        "worker_id": 3,
        "term": 1,
        "state": "free",
        "host_name": "web-1.example.org",
        "process_id": 4711,
        "node_type": "container",
        "released_at": None,
        "layout": new.layout,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"generator": "default"}, [3, 2, 1]),
        ({"generator": "orders"}, [4]),
        ({"state": "live"}, [4, 1]),
        ({"state": "free"}, [3]),
        ({"state": "sealed"}, [2]),
        ({"generator": "orders", "state": "live"}, [4]),
        ({"generator": "orders", "state": "sealed"}, []),
        ({"generator": "", "state": ""}, [4, 3, 2, 1]),
        ({"page_size": 3}, [4, 3, 2]),
        ({"page_size": 3, "page": 2}, [1]),
    ],
)
def test_leases_are_chosen(staff, query, found):
    """By generator, by state, by page."""
    add_lease(1)
    add_lease(2, sealed=True)
    add_lease(3, until=-30)
    add_lease(4, alias="orders")
    rows = staff.get(WORKERS, query).json()["results"]
    assert [row["worker_id"] for row in rows] == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"generator": "nope"}, "generator"),
        ({"state": "nope"}, "state"),
        ({"state": "Live"}, "state"),
        ({"state": "live", "generator": "x" * 10_000}, "generator"),
    ],
)
def test_a_wrong_query(staff, query, field):
    """400, with the parameter's name."""
    response = staff.get(WORKERS, query)
    assert response.status_code == 400
    assert list(response.json()) == [field]


def test_a_page_that_is_not_there(staff):
    """404, as REST framework does."""
    assert staff.get(WORKERS, {"page": 2}).status_code == 404
    assert staff.get(WORKERS, {"page": "9" * 10_000}).status_code == 404


def test_pages_are_bounded(staff, django_assert_max_num_queries):
    """100 rows a page, 1,000 at most, and no query for each row."""
    for number in range(101):
        add_lease(number)
    # Two of them ask for the permissions of the user and of the user's groups.
    with django_assert_max_num_queries(4):
        answer = staff.get(WORKERS).json()
    assert len(answer["results"]) == 100
    assert answer["next"].endswith("?page=2")
    assert WorkerPagination.max_page_size == 1000


@pytest.mark.parametrize(
    "base", [PageNumberPagination, LimitOffsetPagination, CursorPagination]
)
def test_the_project_may_have_a_pagination_of_its_own(base):
    """It is used, unless it would give all rows at once."""
    name = "default_limit" if base is LimitOffsetPagination else "page_size"
    assert bounded(type("Own", (base,), {name: 20})).__name__ == "Own"
    assert bounded(type("Unbounded", (base,), {name: None})) is WorkerPagination


def test_no_pagination_of_the_project():
    """Then it is ours."""
    assert bounded(None) is WorkerPagination


@pytest.mark.django_db(databases=["default", "other"])
def test_leases_in_another_database(staff, settings):
    """A generator has its leases in its own."""
    settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
    add_lease(1)
    add_lease(2, alias="orders")
    for query, found in (({}, [1]), ({"generator": "orders"}, [2])):
        rows = staff.get(WORKERS, query).json()["results"]
        assert [row["worker_id"] for row in rows] == found


# Who may, and how often.


@pytest.mark.parametrize(
    ("method", "address"),
    [("post", UIDS), ("get", f"{UIDS}5/"), ("get", f"{UIDS}abc/"), ("get", WORKERS)],
)
def test_strangers_may_nothing(method, address):
    """403 with sessions, which have no header to ask for a password."""
    response = getattr(APIClient(), method)(address)
    assert response.status_code in (401, 403)
    assert list(response.json()) == ["detail"]


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("is_staff", [True, False])
@pytest.mark.parametrize("permitted", [True, False])
def test_leases_are_for_those_who_see_them_in_the_admin(
    client, django_user_model, is_active, is_staff, permitted
):
    """A lease names a host and a process."""
    user = django_user_model.objects.create_user(
        "mary", is_active=is_active, is_staff=is_staff
    )
    if permitted:
        user.user_permissions.add(Permission.objects.get(codename="view_workernode"))
    node = add_lease()
    api = APIClient()
    api.force_authenticate(user)
    client.force_login(user)
    in_admin = client.get(reverse("admin:django_uidgen_workernode_changelist"))
    may_view = is_active and is_staff and permitted
    assert (in_admin.status_code == 200) == may_view
    assert api.get(WORKERS).status_code == (200 if may_view else 403)
    answer = api.get(f"{UIDS}{uid_of(node)}/").json()
    assert ("worker_node" in answer) == may_view


@pytest.mark.parametrize(
    ("method", "address"),
    [("get", UIDS), ("put", f"{UIDS}5/"), ("delete", f"{UIDS}5/"), ("post", WORKERS)],
)
def test_nothing_else_can_be_done(staff, method, address):
    """405."""
    assert getattr(staff, method)(address).status_code == 405


def test_a_session_needs_a_csrf_token(django_user_model):
    """As REST framework has it for everyone who is logged in by a cookie."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_user("ada"))
    assert client.post(UIDS, {"count": 1}, format="json").status_code == 403
    assert client.get(f"{UIDS}5/").status_code == 200


def test_a_rate_of_the_project(visitor, staff, settings):
    """It bounds the requests of each user, over all the endpoints."""
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"uidgen": "3/day"}}
    assert post(visitor, {"count": 1}).status_code == 201
    assert visitor.get(f"{UIDS}5/").status_code == 200
    assert post(visitor, {"count": 0}).status_code == 400
    response = post(visitor, {"count": 1})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert visitor.get(f"{UIDS}5/").status_code == 429
    assert staff.get(WORKERS).status_code == 200


@pytest.mark.parametrize(
    "rest_framework",
    [
        {},
        {"DEFAULT_THROTTLE_RATES": {}},
        {"DEFAULT_THROTTLE_RATES": None},
        {"DEFAULT_THROTTLE_RATES": {"uidgen": None}},
        {"DEFAULT_THROTTLE_RATES": {"user": "1/day"}},
    ],
)
def test_no_rate_of_the_project(visitor, settings, rest_framework):
    """Then there is no bound, and no error."""
    settings.REST_FRAMEWORK = rest_framework
    for _ in range(3):
        assert post(visitor, {"count": 1}).status_code == 201


# In a browser.


@pytest.mark.parametrize("address", [f"{UIDS}5/", f"{UIDS}abc/", WORKERS, UIDS])
def test_pages_for_people(staff, address):
    """REST framework's pages can be shown, with errors too."""
    response = staff.get(address, headers={"accept": "text/html"})
    assert response.status_code in (200, 400, 405)
    assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("count=2", "application/x-www-form-urlencoded", 201),
        ("count=0", "application/x-www-form-urlencoded", 400),
        ("count=2", "text/plain", 400),
        ("{", "application/json", 400),
    ],
)
def test_a_form_for_people(staff, body, content_type, status):
    """What is sent from there is answered there."""
    response = staff.post(
        UIDS, body, content_type=content_type, headers={"accept": "text/html"}
    )
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
