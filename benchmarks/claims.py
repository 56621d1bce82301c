"""Claims of worker ids: processes that start at once, and a table with a history."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import databases, targets
from benchmarks.report import FOLDER, Row, Section, judged

PACKAGES = ["Django", "psycopg", "mysqlclient"]

#: What each process that is started does: it is ready, waits for a line, and mints.
PROGRAM = """
import os
import sys
import django
django.setup()
from django.db import connections
from django_uidgen import uid
# Import the driver, as the first query of any project does.
connections[os.environ["UIDGEN_BENCH_DATABASE"]]
print("ready", flush=True)
sys.stdin.readline()
print(uid(), flush=True)
sys.stdin.readline()
"""

FEW, MANY = 100, 1_000_000


def name_of(alias: str) -> str:
    """Return how a database is called in the docs."""
    names = {"default": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}
    return names[alias]


def start_at_once(alias: str, count: int) -> float:
    """Start so many processes; return the seconds until all have minted.

    They are ready before, with Django set up and the driver of the database imported:
    imports are not what is measured.
    """
    environment = os.environ | {"UIDGEN_BENCH_DATABASE": alias}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            cwd=databases.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    pipes = [(one.stdin, one.stdout) for one in started if one.stdin and one.stdout]
    for _, output in pipes:
        output.readline()
    begin = time.perf_counter()
    for given, _ in pipes:
        given.write("\n")
        given.flush()
    uids = {int(output.readline()) for _, output in pipes}
    passed = time.perf_counter() - begin
    for process in started:
        process.communicate("\n")
    if len(uids) != count:
        raise RuntimeError(f"{count} processes minted {len(uids)} UIDs.")
    return passed


class History:
    """The worker table of one database, filled with leases that are over."""

    def __init__(self, alias: str) -> None:
        from django_uidgen import conf
        from django_uidgen.models import WorkerNode

        self.alias = alias
        self.model = WorkerNode
        self.nodes = WorkerNode.objects.using(alias)
        self.config = conf.get_config("default")

    def fill(self, count: int) -> None:
        """Make the table one with so many rows, all but a hundred of them sealed."""
        from django.db import connections

        self.nodes.all()._raw_delete(self.alias)
        live = min(count, FEW)
        now = self.config.layout.tick_at(_now())
        terms = count // live
        rows = (
            self._row(worker_id, term, terms, now)
            for term in range(1, terms + 1)
            for worker_id in range(live)
        )
        while batch := [row for _, row in zip(range(10_000), rows, strict=False)]:
            self.nodes.bulk_create(batch)
        with connections[self.alias].cursor() as cursor:
            table = self.model._meta.db_table
            vendor = connections[self.alias].vendor
            analyze = "ANALYZE TABLE" if vendor == "mysql" else "ANALYZE"
            cursor.execute(f"{analyze} {table}")

    def _row(self, worker_id: int, term: int, terms: int, now: int) -> Any:
        end = now - 1000 * (terms - term + 1)
        return self.model(
            generator="default",
            worker_id=worker_id,
            term=term,
            reserved_from=end - 1000,
            reserved_until=end,
            sealed=term < terms,
            layout=self.config.layout.fingerprint,
            host_name="host",
            process_id=1,
            node_type=2,
            launched_at=_now(),
        )

    def claim(self) -> float:
        """Claim a worker id, give it back, and return the seconds of the claim.

        On the connection that is there, so that the statements are what is measured.
        """
        assigner: Any = self.config.assigner.from_config(self.config)
        assigner.database = self.alias
        now = self.config.layout.tick_at(_now())
        begin = time.perf_counter()
        lease = assigner._claim(now)
        passed = time.perf_counter() - begin
        # Lapsed, as one of a process that was killed: the next claim takes such a one.
        self.nodes.filter(pk=lease.key).update(reserved_until=lease.reserved_from + 1)
        return passed

    def statements(self) -> list[str]:
        """Return the statements of a claim."""
        from django.db import connections
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connections[self.alias]) as captured:
            self.claim()
        return [query["sql"] for query in captured.captured_queries][:-1]

    def plans(self) -> str:
        """Return how the database carries out each query of a claim."""
        from django.db import connections

        lines = []
        with connections[self.alias].cursor() as cursor:
            for statement in self.statements():
                if statement.startswith("SELECT") and "workernode" in statement:
                    cursor.execute(f"EXPLAIN {statement}")
                    lines += [f"-- {statement}", *_lines(cursor.fetchall()), ""]
        return "\n".join(lines)


def _lines(rows: Any) -> list[str]:
    return ["   " + "  ".join(map(str, row)) for row in rows]


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()


def history(alias: str, *, quick: bool) -> tuple[float, int, str]:
    """Return much history beside little, the statements of a claim, and plans."""
    table, rounds = History(alias), 20 if quick else 60
    times = {}
    # Not in turns: the table is filled once for each.
    for count in (FEW, 20_000 if quick else MANY):
        table.fill(count)
        for _ in range(5):
            table.claim()
        times[count] = statistics.median(table.claim() for _ in range(rounds))
    few, many = times.values()
    return many / few, len(table.statements()), table.plans()


def run(*, quick: bool) -> Section:
    """Measure on PostgreSQL and, where its URL is given, MariaDB."""
    rows: list[Row] = []
    notes: list[str] = []
    with databases.prepared() as aliases:
        for alias in [alias for alias in aliases if alias != "default"]:
            database = name_of(alias)
            for count in (1, 8) if quick else (1, 8, 64):
                seconds = start_at_once(alias, count)
                name = f"{database}: {count} processes at once, until all have minted"
                rows.append(Row(name, seconds, "s"))
            ratio, statements, plans = history(alias, quick=quick)
            [measure] = targets.CLAIMS
            [judged_row] = judged({measure: ratio}, targets.CLAIMS)
            rows.append(Row(f"{database}: {measure}", ratio, target=judged_row.target))
            rows.append(Row(f"{database}: statements of a claim", statements))
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"claims-{alias}-plans.txt").write_text(plans)
            notes.append(
                f"Plans on {database}: [claims-{alias}-plans.txt]"
                f"(performance/claims-{alias}-plans.txt)."
            )
        if "mariadb" not in aliases:
            notes.append("MariaDB was left out: UIDGEN_TEST_MARIADB_URL is not set.")
    return Section("claims", rows, notes=notes, packages=PACKAGES)
