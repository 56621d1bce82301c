"""The worker table in the admin."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.contrib.auth.models import Permission
from django.urls import reverse

from django_uidgen import generators
from django_uidgen.models import WorkerNode
from tests.support.leases import add_lease, uid_of

pytestmark = pytest.mark.django_db

LIST = "admin:django_uidgen_workernode_changelist"
PAGE = "admin:django_uidgen_workernode_change"


def listed(client, **query) -> list[WorkerNode]:
    """Return the leases on the first page of the list."""
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def filter_titles(client) -> list[str]:
    response = client.get(reverse(LIST))
    return [str(spec.title) for spec in response.context["cl"].filter_specs]


def test_the_list_shows_what_there_is(admin_client):
    """Newest first, each with its state, its process and its end as a time."""
    sealed = add_lease(1, sealed=True)
    free = add_lease(1, term=2, until=-30)
    live = add_lease(2, process_id=1234567)
    assert listed(admin_client) == [live, free, sealed]
    page = admin_client.get(reverse(LIST)).content.decode()
    for text in ("live", "free", "sealed", "web-1.example.org", "1234567"):
        assert f">{text}</td>" in page
    assert ">container</td>" in page


def test_an_end_is_shown_as_a_time(admin_client):
    """A lease without an end shows none."""
    node = add_lease(1)
    add_lease(2, reserved_until=2**41)
    page = admin_client.get(reverse(LIST)).content.decode()
    shown = re.findall(r'class="field-reserved_until_at[^>]*>([^<]*)<', page)
    assert shown == ["-", display_for_value(node.reserved_until_at, "-")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"state": "live"}, [6, 3, 1]),
        ({"state": "free"}, [5, 4]),
        ({"state": "sealed"}, [2]),
        ({"state": "nonsense"}, [6, 5, 4, 3, 2, 1]),
        ({"generator": "orders"}, [6]),
        ({"generator": "orders", "state": "free"}, []),
        ({"node_type__exact": 2}, [3]),
        ({"kind__exact": "backdated"}, [2]),
        ({"released_at__isempty": 0}, [5]),
        ({"q": "web-2"}, [3]),
        ({"q": "WEB-1", "state": "free"}, [5, 4]),
        ({"q": "no such host"}, []),
        ({"database": "other"}, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_filters_and_words(admin_client, query, found):
    """The list can be narrowed down by each of them, and by several at once."""
    add_lease(1)
    add_lease(2, sealed=True, kind="backdated")
    actual = WorkerNode.NodeType.ACTUAL
    add_lease(3, host_name="web-2.example.org", node_type=actual)
    add_lease(4, until=-30)
    released = add_lease(5)
    released.released_at = released.launched_at
    released.save()
    add_lease(6, alias="orders")
    assert [node.worker_id for node in listed(admin_client, **query)] == found


def test_the_filters_that_are_offered(admin_client):
    """One for each question; that of databases only where there are several."""
    assert filter_titles(admin_client) == [
        "state",
        "generator",
        "kind",
        "node type",
        "released at",
    ]


def test_a_uid_finds_who_minted_it(admin_client):
    """Of all terms of its worker id, the one that covers its tick."""
    add_lease(1, since=-500, until=-100, sealed=True)
    second = add_lease(1, since=-100, until=-50, term=2, sealed=True)
    add_lease(1, since=-50, term=3)
    add_lease(2, since=-500)
    assert listed(admin_client, q=str(uid_of(second, 4095))) == [second]
    assert listed(admin_client, q=f" {uid_of(second)} ") == [second]
    assert listed(admin_client, q=str(uid_of(second) - 2**22)) != [second]


def test_a_uid_is_looked_up_in_every_generator(admin_client, settings):
    """It does not tell which one minted it; a wrong setting of one spoils no other."""
    settings.UIDGEN = {
        "default": {"LAYOUT": "javascript"},
        "orders": {},
        "baidu": {"LAYOUT": "baidu"},
        "broken": {"LAYOUT": "oval"},
    }
    order = add_lease(1, alias="orders")
    uid = uid_of(order)
    tick, worker_id = uid >> 35, uid >> 13 & 2**22 - 1
    baidu = add_lease(
        worker_id, alias="baidu", reserved_from=tick, reserved_until=tick + 1
    )
    assert listed(admin_client, q=str(uid)) == [baidu, order]
    assert listed(admin_client, q=str(uid), generator="orders") == [order]


def test_a_number_may_be_a_host_name_too(admin_client):
    """What looks like a UID is searched for among host names as well."""
    host = add_lease(1, host_name="node-17")
    minter = add_lease(0, reserved_from=0, reserved_until=1)
    assert listed(admin_client, q="17") == [minter, host]


@pytest.mark.django_db(transaction=True)
def test_a_minted_uid_finds_this_process(admin_client, settings):
    """With a real lease."""
    settings.UIDGEN = {"default": {"TEST": False}}
    uid = generators["default"].uid()
    (node,) = listed(admin_client, q=str(uid))
    assert node.pk == generators["default"].lease.key


@pytest.mark.parametrize(
    "words", ["\0", "9" * 10_000, str(2**63), "-1", "٣", "'\"%_\\", "0"]
)
def test_odd_words_find_nothing(admin_client, words):
    """The search takes whatever is typed."""
    add_lease(1, host_name="a")
    response = admin_client.get(reverse(LIST), {"q": words})
    assert response.status_code == 200
    if words != "\0":  # refused before it is searched for
        assert not response.context["cl"].result_list


def test_a_lease_can_be_looked_at(admin_client):
    """Its page holds every column, and nothing to be filled in."""
    node = add_lease(5, reserved_until=10**10, term=3)
    page = admin_client.get(reverse(PAGE, args=[node.pk])).content.decode()
    since = display_for_value(node.reserved_from_at, "-")
    until = display_for_value(node.reserved_until_at, "-")
    process = ("web-1.example.org", "4711", "container", "free")
    for text in (*process, since, until, node.layout, str(10**10)):
        assert f'<div class="readonly">{text}</div>' in page
    assert 'name="_save"' not in page
    assert "deletelink" not in page
    assert 'name="worker_id"' not in page


def test_nothing_can_be_changed(admin_client):
    """Neither added, nor changed, nor deleted, by those who may do everything."""
    node = add_lease(1)
    address = "admin:django_uidgen_workernode_"
    assert admin_client.get(reverse(f"{address}add")).status_code == 403
    assert admin_client.post(reverse(f"{address}add"), {}).status_code == 403
    page = reverse(PAGE, args=[node.pk])
    assert admin_client.post(page, {"worker_id": 9}).status_code == 403
    delete = reverse(f"{address}delete", args=[node.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": node.pk, "post": "yes"}
    admin_client.post(reverse(LIST), data)
    assert WorkerNode.objects.get() == node
    text = admin_client.get(reverse(LIST)).content.decode()
    assert "addlink" not in text.partition('id="content"')[2]
    assert "delete_selected" not in text


def test_who_may_look(client, django_user_model):
    """Staff with the permission to view leases, and nobody else."""
    node = add_lease(1)
    user = django_user_model.objects.create_user("ada", is_staff=True)
    client.force_login(user)
    pages = [reverse(LIST), reverse(PAGE, args=[node.pk])]
    assert [client.get(page).status_code for page in pages] == [403, 403]
    user.user_permissions.add(Permission.objects.get(codename="view_workernode"))
    assert [client.get(page).status_code for page in pages] == [200, 200]
    client.logout()
    assert [client.get(page).status_code for page in pages] == [302, 302]


def test_a_list_costs_the_same_with_more_rows(
    admin_client, django_assert_max_num_queries
):
    """No query for each row."""
    for number in range(100):
        add_lease(number)
    with django_assert_max_num_queries(7):
        assert len(listed(admin_client)) == 100


def test_a_setting_that_cannot_be_read(admin_client, settings):
    """The list is still there, without times."""
    node = add_lease(1)
    uid = str(uid_of(node))
    assert listed(admin_client, q=uid) == [node]
    settings.UIDGEN = ["default"]
    assert listed(admin_client) == [node]
    assert listed(admin_client, q=uid) == []


@pytest.mark.django_db(databases=["default", "other"])
class TestSeveralDatabases:
    """Each database has a worker table; the list shows one at a time."""

    @pytest.fixture(autouse=True)
    def leases(self, settings):
        settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
        self.here = add_lease(1, host_name="here")
        self.there = add_lease(1, alias="orders", host_name="there")
        # A row of its own, so that the keys differ.
        self.also_there = add_lease(2, alias="orders", host_name="also-there")

    def test_the_list(self, admin_client):
        """That of the default generator first, the other one on demand."""
        assert listed(admin_client) == [self.here]
        assert listed(admin_client, database="default") == [self.here]
        found = listed(admin_client, database="other")
        assert [node.host_name for node in found] == ["also-there", "there"]
        found = listed(admin_client, database="other", q=str(uid_of(self.there)))
        assert [node.host_name for node in found] == ["there"]
        assert listed(admin_client, database="nonsense") == [self.here]

    def test_the_filter(self, admin_client):
        """It offers the databases, and tells which one is shown."""
        assert filter_titles(admin_client)[0] == "database"
        for query, shown in (({}, "default"), ({"database": "other"}, "other")):
            response = admin_client.get(reverse(LIST), query)
            changelist = response.context["cl"]
            choices = list(changelist.filter_specs[0].choices(changelist))
            assert [(c["display"], c["selected"]) for c in choices] == [
                ("default", shown == "default"),
                ("other", shown == "other"),
            ]
            assert choices[1]["query_string"] == "?database=other"

    def test_the_page_of_a_lease(self, admin_client):
        """The link in the list leads to the lease in the same database."""
        page = reverse(PAGE, args=[self.also_there.pk])
        link = f"{page}?_changelist_filters=database%3Dother"
        text = admin_client.get(reverse(LIST), {"database": "other"}).content.decode()
        assert link in text
        assert "also-there" in admin_client.get(link).content.decode()
        assert admin_client.get(page).status_code == 302


def test_it_is_in_the_admin():
    """The app registers its model by itself."""
    assert admin.site.is_registered(WorkerNode)
