"""The how-to of docs/merging.md, done on two databases that processes have filled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, transaction

from django_uidgen import conf, parse, uid
from django_uidgen.core.exceptions import LayoutChanged, WorkerIdsExhausted
from django_uidgen.models import WorkerNode
from tests.programs.installation import fill, uidgen
from tests.support.leases import add_lease, uid_of
from tests.testapp.models import Invoice, Order, Tag, Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

PAGE = (Path(__file__).parents[2] / "docs" / "merging.md").read_text()
DATABASES = ["default", "other"]
RANGES = {"default": (0, 511), "other": (512, 1023)}

#: The default of MAX_LEAD.
MAX_LEAD = timedelta(seconds=1)


@pytest.fixture(scope="module")
def page():
    """Return the functions of the page, for the apps of the suite."""
    names = {}
    for example in re.findall(
        r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    ):
        exec(example, names)
    names["APPS"] = ["testapp"]
    return SimpleNamespace(**names)


@pytest.fixture
def filled(settings):
    """Fill both databases, by leases from ranges of their own, and release those."""
    for database, worker_ids in RANGES.items():
        use(settings, database, worker_ids)
        fill(database)
    use(settings, "default", RANGES["default"])


@pytest.fixture
def filled_at_once(settings):
    """Fill both databases at a time, by processes with ranges of their own."""
    programs = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "tests.programs.installation",
                database,
            ]
            + [str(end) for end in RANGES[database]],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
        )
        for database in DATABASES
    ]
    assert [program.wait(300) for program in programs] == [0, 0]


def use(settings, database, worker_ids):
    """Let this process be one of an installation, with leases that are real."""
    settings.UIDGEN = uidgen(database, worker_ids)


def models():
    """Return all models of the suite's app, the tables between them as well."""
    return list(apps.get_app_config("testapp").get_models(include_auto_created=True))


def contents(database, *, without=()):
    """Return all rows of all models, as they are in the tables."""
    rows = {}
    for model in models():
        columns = [field.attname for field in model._meta.local_concrete_fields]
        names = [name for name in columns if (model, name) not in without]
        found = model._base_manager.using(database).values_list(*names)
        rows[model._meta.label] = set(found)
    return rows


def union(*, without=()):
    """Return what the two databases hold together, of every model something."""
    ours, theirs = (contents(database, without=without) for database in DATABASES)
    for label in ours:
        assert ours[label], label
        assert theirs[label], label
        assert ours[label].isdisjoint(theirs[label])
    return {label: ours[label] | theirs[label] for label in ours}


def uids_of(database):
    """Return all UIDs of a database with the aliases of their generators."""
    return [
        (number, field.generator)
        for model in models()
        for field in model._meta.local_concrete_fields
        if hasattr(field, "generator")
        for number in model._base_manager.using(database).values_list(
            field.attname, flat=True
        )
        if number is not None
    ]


def merge(page):
    """Do what the page says. A Ticket is numbered by its database."""
    page.insert(page.without_keys(Ticket.objects.using("other").iterator()))
    page.copy_rows([model for model in page.models_to_copy() if model is not Ticket])
    page.copy_leases()


def test_settings_of_the_page(settings, page):
    """Two ranges that together are all worker ids of the default layout."""
    found = []
    for text in re.findall(r"^UIDGEN = .*$", PAGE, re.MULTILINE):
        names = {}
        exec(text, names)
        settings.UIDGEN = names["UIDGEN"]
        found.append(tuple(conf.get_config("default").worker_ids))
    assert found == list(RANGES.values())


# Disjoint ranges.


def test_each_has_used_its_range(filled_at_once):
    """Else the tests below would test little."""
    for database, (first, last) in RANGES.items():
        found = {parse(*each).worker_id for each in uids_of(database)}
        assert len(found) in {1, 2}
        assert all(first <= worker_id <= last for worker_id in found)


def test_checks_before(filled, page):
    """They find what both databases have numbered alike, and nothing else."""
    number = Ticket.objects.get().pk
    Ticket.objects.using("other").update(id=number)
    assert set(page.models_to_copy()) == set(models())
    [layout] = {conf.get_config(alias).layout.fingerprint for alias in conf.aliases()}
    assert page.layouts() == {"default": {layout}, "orders": {layout}}
    assert page.worker_ids_in_both() == set()
    found = {model: list(page.clashes(model)) for model in models()}
    assert found.pop(Ticket) == [number]
    assert set(map(tuple, found.values())) == {()}
    assert list(page.clashes(Ticket, "number")) == []
    assert list(page.clashes(Tag, "name")) == []


def test_merge_by_copy(filled_at_once, page):
    """Every row is there with its keys, and what referred to it does so still."""
    expected = union(without={(Ticket, "id")})
    merge(page)
    assert contents("default", without={(Ticket, "id")}) == expected
    assert {page.rows_missing(model) for model in models() if model is not Ticket} == {
        0
    }
    invoice = Invoice.objects.get(text="other")
    assert invoice.ticket.seat == "other"
    order = Order.objects.get(name="other 3")
    assert {tag.name for tag in order.tags.all()} == {"other 0", "other 1", "other 2"}
    assert order.receipt.text == order.lines.get().product == "other 3"
    processes = {
        parse(Order.objects.get(name=f"{name} 3").pk).worker_node.process_id
        for name in DATABASES
    }
    assert len(processes) == 2


def test_rows_missing_counts_them(filled, page):
    """Before the copy, and where one was lost after it."""
    assert page.rows_missing(Tag) == 3
    merge(page)
    Tag.objects.filter(name="other 1").delete()
    assert page.rows_missing(Tag) == 1


def test_worker_nodes_after_the_merge(filled, page):
    """Each UID of either installation leads to the process that minted it."""
    before = {each: parse(*each).worker_node for each in uids_of("default")}
    merge(page)
    assert len(before) < len(uids_of("default"))
    for each in uids_of("default"):
        node = parse(*each).worker_node
        assert node.generator == each[1]
        assert before.get(each, node) == node
    for each in uids_of("other"):
        assert WorkerNode.objects.get(pk=parse(*each).worker_node.pk).process_id > 0


def test_leases_are_copied_as_they_are(filled, page):
    """But for their numbers: those of this database are in use."""
    names = [
        field.attname
        for field in WorkerNode._meta.concrete_fields
        if field.name != "id"
    ]
    expected = {
        row
        for database in DATABASES
        for row in WorkerNode.objects.using(database).values_list(*names)
    }
    ours = set(WorkerNode.objects.values_list("pk", *names))
    page.copy_leases()
    assert set(WorkerNode.objects.values_list(*names)) == expected
    assert ours < set(WorkerNode.objects.values_list("pk", *names))


def test_minting_after_the_merge(settings, filled, page):
    """With either range, or with both: each worker id goes on where it ended."""
    merge(page)
    known = {number for number, _ in uids_of("default")}
    used = {node.worker_id for node in WorkerNode.objects.for_generator("default")}
    alone = [(worker_id, worker_id) for worker_id in sorted(used)]
    for worker_ids in (*RANGES.values(), (0, 1023), *alone):
        use(settings, "default", worker_ids)
        minted = {Order.objects.create(name="new").pk for _ in range(50)}
        assert minted.isdisjoint(known)
        known |= minted
        assert parse(min(minted)).worker_node.process_id == os.getpid()
    # Those that were used before the merge are leased in terms that follow.
    assert {node.term for node in WorkerNode.objects.for_generator("default")} >= {1, 2}


def test_killed_process_of_the_other(settings, page):
    """Its lease is live here too: its worker ids are leased to nobody else."""
    use(settings, "other", (2, 3))
    node = add_lease(2)
    add_lease(3)
    page.copy_leases()
    use(settings, "default", (2, 3))
    with pytest.raises(WorkerIdsExhausted, match="2 leases are live"):
        uid()
    assert parse(uid_of(node)).worker_node.worker_id == 2


def test_without_its_lease(settings):
    """Why leases have to be copied: one would mint in the ticks of another."""
    use(settings, "other", (2, 2))
    node = add_lease(2)
    use(settings, "default", (2, 2))
    minted = uid()
    assert WorkerNode.objects.using("other").for_uid(minted).get() == node


def test_key_that_is_taken(filled, page):
    """The copy is refused, and none of it is left."""
    order = Order.objects.using("other").order_by("-pk")[0]
    Order.objects.create(pk=order.pk, name="ours")
    before = contents("default")
    assert list(page.clashes(Order)) == [order.pk]
    with pytest.raises(IntegrityError):
        page.copy_rows([Tag, Order])
    assert contents("default") == before


def test_row_that_refers_to_none(filled, page):
    """A model that was forgotten is noticed at the end of the copy."""
    with pytest.raises(IntegrityError):
        page.copy_rows([apps.get_model("testapp", "orderline")])
    assert contents("default")["testapp.OrderLine"].isdisjoint(
        contents("other")["testapp.OrderLine"]
    )


# By fixtures.

#: The keys of the rows between many-to-many relations, which loaddata makes anew.
THROUGH = {(model, "id") for model in models() if model._meta.auto_created}


def dump(folder, *arguments):
    """Write the other database into a file, and return its name."""
    name = str(folder / "rows.json")
    call_command("dumpdata", *arguments, database="other", output=name, verbosity=0)
    return name


def test_merge_by_fixture(filled, page, tmp_path):
    """The same rows, but for the keys of those between many-to-many relations."""
    new = THROUGH | {(Ticket, "id")}
    expected = union(without=new)
    page.insert(page.without_keys(Ticket.objects.using("other").iterator()))
    name = dump(tmp_path, "testapp", "--exclude", "testapp.ticket")
    call_command("loaddata", name, database="default", verbosity=0)
    assert contents("default", without=new) == expected
    tags = Order.tags.through
    assert page.rows_missing(tags) == tags.objects.using("other").count()


def test_fixture_writes_over_rows(filled, tmp_path):
    """Why the checks come first."""
    order = Order.objects.using("other").order_by("pk")[0]
    Order.objects.create(pk=order.pk, name="ours")
    call_command(
        "loaddata", dump(tmp_path, "testapp.tag", "testapp.order"), verbosity=0
    )
    assert Order.objects.get(pk=order.pk).name == order.name


# What the checks are for.


def test_another_layout(settings, page):
    """It is seen before; after the copy no process could mint."""
    settings.UIDGEN = {"default": {"DATABASE": "other", "EPOCH": "2025-01-01"}}
    add_lease(512)
    use(settings, "default", (1, 511))
    add_lease(600, until=-1)
    assert len(page.layouts()["default"]) == 2
    page.copy_leases()
    with pytest.raises(LayoutChanged):
        uid()


def test_both_had_the_default_range(settings, filled, page):
    """Worker ids that both have leased are found, and their leases are not copied."""
    lease = WorkerNode.objects.using("other").order_by("pk")[0]
    use(settings, "default", (0, 1023))
    add_lease(lease.worker_id, alias=lease.generator)
    before = set(WorkerNode.objects.values_list("pk", flat=True))
    assert page.worker_ids_in_both() == {(lease.generator, lease.worker_id)}
    with pytest.raises(IntegrityError), transaction.atomic():
        page.copy_leases()
    assert set(WorkerNode.objects.values_list("pk", flat=True)) == before


def test_clashes_of_many_rows(page):
    """More than are asked for at a time; NULL is no clash."""
    keys = range(1, 1202)
    Tag.objects.bulk_create(Tag(pk=key, name=f"{key}") for key in keys)
    Tag.objects.using("other").bulk_create(
        Tag(pk=key, name=f"{key + 1200}") for key in keys if key % 2
    )
    assert sorted(page.clashes(Tag)) == list(keys[::2])
    assert list(page.clashes(Tag, "name")) == ["1201"]
    assert page.rows_missing(Tag) == 0
    Invoice.objects.create(text="no ticket")
    Invoice.objects.using("other").create(text="no ticket")
    assert list(page.clashes(Invoice, "ticket_id")) == []


def test_end_of_the_leases(settings, page):
    """That of the last lease of either; of a clean exit it is at once."""
    layout = conf.get_config("default").layout
    assert page.leases_end() == layout.epoch
    for database, until in (("default", 50), ("other", 100)):
        use(settings, database, (0, 1023))
        node = add_lease(7, until=until)
    assert page.leases_end() == layout.moment(node.reserved_until)


def test_end_of_the_leases_after_clean_exits(filled_at_once, page):
    """A lease that was released ends where it was last minted with."""
    assert page.leases_end() <= datetime.now(UTC) + MAX_LEAD
