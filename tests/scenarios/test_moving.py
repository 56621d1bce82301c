"""docs/moving.md, on a million rows or on fewer, while the site is written to."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F

from django_uidgen import parse
from django_uidgen.backfill import backfill
from django_uidgen.lookups import MintedAt
from tests.support.movers import Movers, drop

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="the page is for PostgreSQL"
    ),
]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

#: Orders 20 s apart; each replaces the one ten before, or none; three lines for four
#: orders; each order has a tag.
FILL = """
    -- What is made here refers to what is there: no need to look.
    SET session_replication_role = replica;
    INSERT INTO shop_tag (name) SELECT 'tag ' || n FROM generate_series(1, 10) n;
    INSERT INTO shop_order (number, created_at, replaces_id)
        SELECT n, '{begin}'::timestamptz + n * interval '20 seconds',
            CASE WHEN n > 10 AND n % 3 = 0 THEN n - 10 END
        FROM generate_series(1, {rows}) n;
    INSERT INTO shop_orderline (order_id, order_number)
        SELECT n, n FROM generate_series(1, {rows}) n WHERE n % 4 > 0;
    INSERT INTO shop_order_tags (id, order_id, tag_id)
        SELECT n, n, n % 10 + 1 FROM generate_series(1, {rows}) n;
    INSERT INTO shop_note (order_id) SELECT n FROM generate_series(1, 1000) n;
    SET session_replication_role = DEFAULT;
    ANALYZE;
"""

#: Whatever refers to another order than before.
ASTRAY = """
    SELECT
        (SELECT count(*) FROM shop_orderline line JOIN shop_order o ON o.id = order_id
         WHERE o.number <> order_number),
        (SELECT count(*) FROM shop_order_tags t JOIN shop_order o ON o.id = order_id
         WHERE o.number % 10 + 1 <> tag_id),
        (SELECT count(*) FROM shop_order a JOIN shop_order b ON b.id = a.replaces_id
         WHERE a.number - 10 <> b.number)
"""


@pytest.fixture
def shop(transactional_db):
    """The app, and its tables."""
    shop = Movers("shop")
    yield shop
    drop(shop)


def migrate(shop, name):
    module = import_module(f"tests.moving.migrations.{name}")
    migration = module.Migration(name, "shop")
    start = time.monotonic()
    shop.apply(migration)
    return time.monotonic() - start


def fetch(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def order_of_old_code():
    """Make an order without a UID."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_order (number, created_at) VALUES (0, now())")


class Site(threading.Thread):
    """Orders that come in all the while, from code that knows the new column."""

    def __init__(self, order, line, made=0):
        super().__init__()
        self.order, self.line = order, line
        self.made = made
        self.errors = []
        self.is_open = True
        self.first = threading.Event()

    def run(self):
        try:
            while self.is_open:
                number = -1 - self.made
                order = self.order.objects.create(
                    number=number, created_at=datetime.now(UTC)
                )
                self.line.objects.create(order=order, order_number=number)
                self.made += 1
                self.first.set()
        except Exception as error:  # noqa: BLE001 - for the test to raise
            self.errors.append(error)
        finally:
            self.first.set()
            connections.close_all()

    def close(self):
        self.is_open = False
        self.join()
        assert self.errors == []
        assert self.made


@pytest.mark.parametrize(
    "rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.large)]
)
def test_a_million_rows(shop, capsys, rows):
    """Integer key to UID key, with all that refers to it, and no row astray."""
    took = {}
    migrate(shop, "0001_initial")
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(rows=rows, begin=BEGIN.isoformat()))

    took["0002"] = migrate(shop, "0002_order_uid")
    order, line = shop.model("Order"), shop.model("OrderLine")
    site = Site(order, line)
    site.start()
    site.first.wait()
    start = time.monotonic()
    assert backfill(order, "uid", moments_from="created_at") == rows
    took["backfill"] = time.monotonic() - start
    site.close()
    order_of_old_code()
    with pytest.raises(IntegrityError):
        migrate(shop, "0003_order_uid_index")
    assert backfill(order, "uid", moments_from="created_at") == 1
    site = Site(order, line, made=site.made)
    site.start()
    took["0003"] = migrate(shop, "0003_order_uid_index")
    site.close()

    took["0004, site off"] = migrate(shop, "0004_order_key")
    order, line = shop.model("Order"), shop.model("OrderLine")
    site = Site(order, line, made=site.made)
    site.start()
    site.first.wait()
    took["0005"] = migrate(shop, "0005_order_references")
    site.close()
    made = site.made

    assert fetch(ASTRAY) == [(0, 0, 0)]
    assert order.objects.count() == rows + made + 1
    # What refers to another column of the orders was left alone.
    assert fetch("SELECT count(*) FROM shop_note WHERE order_id = id") == [(1000,)]
    assert line.objects.count() == rows * 3 // 4 + made
    replacing = rows // 3 - 10 // 3  # every third, from the eleventh on
    assert order.objects.filter(replaces__isnull=False).count() == replacing
    # Every old order has the time at which it was made in its key.
    old = order.objects.filter(old_id__gt=0, number__gt=0)
    assert old.count() == rows
    late = old.annotate(at=MintedAt("id")).exclude(at=F("created_at"))
    assert late.count() == 0
    first, last = old.order_by("id").first(), old.order_by("id").last()
    assert (first.number, last.number) == (1, rows)
    # The database holds on to it as before.
    assert (
        fetch(
            "SELECT convalidated FROM pg_constraint WHERE contype = 'f'"
            " AND confrelid = 'shop_order'::regclass"
        )
        == [(True,)] * 4
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        line.objects.create(order_id=5, order_number=5)
    new = order.objects.create(number=rows + 1, created_at=datetime.now(UTC))
    assert parse(new.pk).minted_at - new.created_at < timedelta(minutes=1)
    with capsys.disabled():
        times = ", ".join(f"{step}: {s:.1f} s" for step, s in took.items())
        sys.stderr.write(f"\nmoving {rows:,} rows: {times}; {made} orders came in\n")


def test_the_page_shows_these_migrations():
    """Each file is in it, as it is."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "moving.md").read_text()
    for path in sorted((root / "tests/moving/migrations").glob("0*.py")):
        if path.stem != "0001_initial":
            assert f"tests/moving/migrations/{path.name}" in page
