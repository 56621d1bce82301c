"""Rows in Django: this library's keys beside an identity column and UUIDs."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from benchmarks import databases, targets
from benchmarks.report import Row, Section, judged
from benchmarks.timing import Measure, in_turns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.models import Base, Kind

PACKAGES = ["Django", "psycopg", "uuid-utils"]

#: The one that others are compared with.
FLOOR = "BigAutoField"
OURS = "UidAutoField"

_numbers = itertools.count()
_start = datetime(2026, 1, 1, tzinfo=UTC)


def values() -> dict[str, Any]:
    """Return the columns of a row, but for its key."""
    number = next(_numbers)
    return {
        "number": number,
        "title": f"Order {number} of a customer",
        "email": f"customer-{number % 1000}@example.org",
        "amount": Decimal(number % 100_000) / 100,
        "quantity": number % 7,
        "is_paid": number % 3 == 0,
        "created_at": _start + timedelta(seconds=number),
    }


def timed(work: Callable[[], object], count: int) -> Measure:
    """Return a measure of one of the ``count`` rows that ``work`` is about, in ns."""

    def measure() -> float:
        begin = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - begin) / count

    return measure


class Bench:
    """What is measured on one database."""

    def __init__(self, alias: str, *, quick: bool) -> None:
        self.alias = alias
        self.quick = quick
        self.bulk = 5_000 if quick else 100_000
        self.rounds = 2 if quick else 5

    def in_turns(
        self, measure: Callable[[Kind], Measure], rounds: int
    ) -> dict[str, float]:
        """Measure each kind of key, in turns."""
        from benchmarks.models import Kind

        measures = {name: measure(kind) for name, kind in Kind.every.items()}
        return in_turns(measures, rounds)

    def manager(self, model: type[Base]) -> Any:
        """Return the manager of a model, on this database."""
        return model._default_manager.using(self.alias)

    def create(self, kind: Kind) -> Measure:
        """Create rows one by one, in a transaction, as in a request."""
        from django.db import transaction

        count = 100

        def work() -> None:
            with transaction.atomic(using=self.alias):
                for _ in range(count):
                    self.manager(kind.row).create(**values())

        return timed(work, count)

    def bulk_create(self, kind: Kind) -> Measure:
        """Make objects and create them all at once."""

        def work() -> None:
            rows = [kind.row(**values()) for _ in range(self.bulk)]
            self.manager(kind.row).bulk_create(rows, batch_size=5000)

        return timed(work, self.bulk)

    def family(self, kind: Kind) -> Measure:
        """Create parents with three children each, in bulk."""
        parents = self.bulk // 20

        def work() -> None:
            rows = [kind.row(**values()) for _ in range(parents)]
            made = self.manager(kind.row).bulk_create(rows, batch_size=5000)
            children = [
                kind.child(text=f"child {n}", parent=parent)
                for parent in made
                for n in range(3)
            ]
            kind.child._default_manager.using(self.alias).bulk_create(
                children, batch_size=5000
            )

        return timed(work, parents * 4)

    def point_reads(self, kind: Kind) -> Measure:
        """Read rows by their keys, at random."""
        keys = list(self.manager(kind.row).values_list("pk", flat=True)[:20_000])

        def work() -> None:
            for key in random.choices(keys, k=300):
                self.manager(kind.row).get(pk=key)

        return timed(work, 300)

    def range_reads(self, kind: Kind) -> Measure:
        """Read the thousand rows that follow a key."""
        keys = list(self.manager(kind.row).values_list("pk", flat=True)[:20_000])

        def work() -> None:
            for key in random.choices(keys, k=3):
                rows = self.manager(kind.row).filter(pk__gte=key).order_by("pk")
                list(rows.values_list("pk", "number")[:1000])

        return timed(work, 3)

    def run(self) -> dict[str, dict[str, float]]:
        """Return nanoseconds by measure and kind of key."""
        rounds = self.rounds
        return {
            "create()": self.in_turns(self.create, 10 * rounds),
            f"bulk_create({self.bulk:,})": self.in_turns(self.bulk_create, rounds),
            "parents and children in bulk": self.in_turns(self.family, rounds),
            "read by key": self.in_turns(self.point_reads, 3 * rounds),
            "read 1,000 from a key on": self.in_turns(self.range_reads, 3 * rounds),
        }


#: SQL that makes keys of each kind on PostgreSQL, as they come in time.
KEYS = {
    "BigAutoField": "nextval(pg_get_serial_sequence('{table}', 'id'))",
    "UidAutoField": "{base} + n * 1111",
    "UidField": "{base} + n * 1111",
    "UUIDField(uuid4)": "gen_random_uuid()",
    "UUIDField(uuid7)": "uuidv7()",
}


class Large(Bench):
    """Tables of millions of rows, on PostgreSQL, that were filled in small steps."""

    def fill(self, kind: Kind, count: int, *, step: int = 100_000) -> None:
        """Insert so many rows more, in the order in which keys are made."""
        from django.db import connections

        from django_uidgen import generators

        generator = generators["default"]
        table = kind.row._meta.db_table
        with connections[self.alias].cursor() as cursor:
            for _ in range(0, count, step):
                # Up to now, and so above all that was filled in before.
                now = generator.clock.tick() << generator.layout.time_shift
                base = now - step * 1111
                key = KEYS[kind.name].format(table=table, base=base)
                cursor.execute(
                    f"INSERT INTO {table} (id, number, title, email, amount, quantity,"
                    f" is_paid, created_at) SELECT {key}, n, 'Order ' || n, 'customer-'"
                    f" || n % 1000 || '@example.org', n % 100000, n % 7, n % 3 = 0,"
                    f" now() FROM generate_series(1, {step}) AS n"
                )

    def sizes(self, kind: Kind) -> tuple[int, int]:
        """Return the bytes of the table and of the index of its key."""
        from django.db import connections

        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                "SELECT pg_relation_size(%s), pg_indexes_size(%s)",
                [kind.row._meta.db_table] * 2,
            )
            table, index = cursor.fetchone()
        return int(table), int(index)

    def run_large(self, million: int) -> tuple[dict[str, Any], dict[str, float]]:
        """Return sizes at a million rows, and ns a row of inserts behind five million.

        ``million``: how many rows a million has; less in a quick run.
        """
        from benchmarks.models import Kind

        sizes = {}
        step = min(100_000, million)
        for name, kind in Kind.every.items():
            self._truncate(kind)
            self.fill(kind, million, step=step)
            sizes[name] = self.sizes(kind)
            self.fill(kind, 4 * million, step=step)
        return sizes, self.in_turns(self.bulk_create, self.rounds)

    def _truncate(self, kind: Kind) -> None:
        from django.db import connections

        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"TRUNCATE {kind.row._meta.db_table} RESTART IDENTITY")


#: Nanoseconds of a row, by database, measure and kind of key.
Found = dict[str, dict[str, dict[str, float]]]

RIVALS = ("UUIDField(uuid4)", "UUIDField(uuid7)")


def run(*, quick: bool) -> Section:
    """Measure on SQLite and PostgreSQL."""
    found: Found = {}
    with databases.prepared() as aliases:
        for alias in aliases:
            if alias != "mariadb":
                found[shown(alias)] = Bench(alias, quick=quick).run()
        large = Large("postgres", quick=quick)
        sizes, at_the_end = large.run_large(20_000 if quick else 1_000_000)
    found["PostgreSQL, behind 5 million rows"] = {"bulk_create": at_the_end}
    rows = [
        row
        for database, measures in found.items()
        for measure, times in measures.items()
        for row in time_rows(database, measure, times)
    ]
    note = (
        f"Ratios are those of {OURS}; the remark gives the others beside {FLOOR}. Rows"
        " have eight columns. Sizes are those of PostgreSQL at a million rows."
    )
    return Section(
        "rows", rows + size_rows(sizes), {"times": plot(found)}, [note], PACKAGES
    )


def time_rows(database: str, measure: str, times: dict[str, float]) -> list[Row]:
    """Return what one measure came to."""
    others = ", ".join(
        f"{kind} {time / times[FLOOR]:.2f}"
        for kind, time in times.items()
        if kind not in (FLOOR, OURS)
    )
    rows = [judged_on(database, measure, FLOOR, times, others)]
    if measure.startswith("bulk_create("):
        rows += [judged_on(database, measure, rival, times) for rival in RIVALS]
    return rows


def judged_on(
    database: str, measure: str, rival: str, times: dict[str, float], remark: str = ""
) -> Row:
    """Return the time of our key beside that of another, with its target, if any."""
    name = f"{measure} / {rival}"
    ratio = times[OURS] / times[rival]
    return Row(f"{database}: {name}", ratio, "", targets.ROWS.get(name), remark)


def size_rows(sizes: dict[str, tuple[int, int]]) -> list[Row]:
    """Return what the sizes of tables and indexes came to."""
    ratios = {f"index / {one}": sizes[OURS][1] / sizes[one][1] for one in RIVALS}
    remark = ", ".join(
        f"{kind} {index / 2**20:.1f} MiB" for kind, (_, index) in sizes.items()
    )
    rows = judged(ratios, targets.ROWS, dict.fromkeys(ratios, remark))
    for one in (FLOOR, *RIVALS):
        ratio = sum(sizes[OURS]) / sum(sizes[one])
        rows.append(Row(f"table and index / {one}", ratio))
    return rows


def plot(found: Found) -> Callable[[Axes], None]:
    """Return what draws the times beside those of an identity column."""
    bars = [
        (f"{database}: {measure}", times)
        for database, measures in found.items()
        for measure, times in measures.items()
    ]

    def draw(axes: Axes) -> None:
        kinds = list(bars[0][1])
        width = 0.8 / len(kinds)
        for number, kind in enumerate(kinds):
            places = [place + number * width for place in range(len(bars))]
            heights = [times[kind] / times[FLOOR] for _, times in bars]
            axes.barh(places, heights, width, label=kind)
        places = [place + 0.4 for place in range(len(bars))]
        axes.set_yticks(places, [label for label, _ in bars], fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel(f"time beside {FLOOR}")
        axes.axvline(1, color="black", lw=0.5)
        axes.legend(fontsize=7)

    return draw


def shown(alias: str) -> str:
    """Return how a database is called in the docs."""
    return {"default": "SQLite", "postgres": "PostgreSQL"}[alias]
