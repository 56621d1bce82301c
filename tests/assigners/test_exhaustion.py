"""More processes than worker ids, and how fast worker ids come back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_uidgen import conf
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.models import WorkerNode
from tests.support.hosts import (
    KINDS,
    Hosts,
    Refused,
    assert_distinct,
    assert_leased,
    generators,
    mint_when_free,
)

pytestmark = [pytest.mark.stress, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def hosts(settings, tmp_path):
    """Start processes."""
    with Hosts(settings.SETTINGS_MODULE, tmp_path) as hosts:
        yield hosts


@pytest.fixture
def make(settings):
    """Make an assigner with so many worker ids, whose leases last so many seconds."""

    def assigner(worker_ids=1024, lease=600):
        options = {"LEASE": lease}
        settings.UIDGEN = {
            "default": {"WORKER_IDS": (0, worker_ids - 1), "OPTIONS": options}
        }
        config = conf.get_config("default")
        return config.assigner(config)

    return assigner


# Processes.


def refusal(host, kind):
    """Return the error that ``host`` meets instead of minting."""
    with pytest.raises(Refused) as caught:
        host.mint(kind)
    assert caught.value.name == "WorkerIdsExhausted"
    return str(caught.value)


def split(hosts, kind):
    """Have all mint at once; return what some minted, and the others' errors."""
    for host in hosts:
        host.send_mint(kind)
    minted, refused = {}, {}
    for host in hosts:
        try:
            minted[host] = host.receive_batch()
        except Refused as error:
            refused[host] = error
    return minted, refused


@pytest.mark.parametrize("kind", KINDS)
def test_more_processes_than_worker_ids(hosts, kind):
    """The error says why, and what helps; a clean exit makes room at once."""
    uidgen = generators(worker_ids=(0, 2))
    minted, refused = split([hosts.start(uidgen) for _ in range(6)], kind)
    assert len(minted) == len(refused) == 3
    first_end = min(WorkerNode.objects.values_list("reserved_until", flat=True))
    moment = conf.get_config("default").layout.moment(first_end)
    for error in refused.values():
        assert error.name == "WorkerIdsExhausted"
        text = str(error)
        assert "has 3 worker ids (0 to 2), and 3 leases are live." in text
        [said] = re.findall(r"The first ends at (\S+)\. ", text)
        assert datetime.fromisoformat(said) == moment
        assert "Set a LAYOUT with more worker_bits or wider WORKER_IDS for more" in text
        assert "shorter LEASE (now 600 s) to free them sooner" in text
    batches = [*minted.values()]
    for leaving, waiting in zip(minted, refused, strict=True):
        refusal(waiting, kind)
        leaving.exit()
        batches.append(waiting.mint(kind))
        assert_leased(waiting, kind, batches[-1:])
    assert_distinct(batches)


@pytest.mark.parametrize("kind", KINDS)
def test_worker_ids_of_processes_that_were_killed(hosts, kind):
    """They come back when the leases have ended, and not before."""
    uidgen = generators(worker_ids=(0, 2), LEASE=2.0)
    hosts = [hosts.start(uidgen) for _ in range(6)]
    minted, refused = split(hosts, kind)
    batches = [*minted.values()]
    for host in minted:
        host.kill()
    ends = {
        node.worker_id: node.reserved_until
        for node in WorkerNode.objects.filter(generator=kind, sealed=False)
    }
    for host in refused:
        batches.append(mint_when_free(host, kind))
        assert_leased(host, kind, batches[-1:])
    for host in refused:
        node = WorkerNode.objects.filter(process_id=host.pid).earliest("term")
        assert node.reserved_from >= ends[node.worker_id]
    assert_distinct(batches)


def test_crash_loop(hosts, settings):
    """500 launches killed at once leave room for more: each blocks one worker id."""
    launches = 500
    printed = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "tests.programs.crashes",
            str(launches),
            "4",
        ],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split("\n")
    uids = [int(line) for line in printed if line]
    assert len(set(uids)) == launches
    live = WorkerNode.objects.filter(sealed=False, released_at=None)
    assert live.values("worker_id").distinct().count() == launches
    assert hosts.start({"default": {}}).mint("default")


# How many launches a second can be sustained.


def served(assigner, launches, interval):
    """Return how many of so many launches, all killed at once, leased a worker id.

    One comes every ``interval`` ticks of a millisecond.
    """
    count = 0
    for number in range(launches):
        try:
            assigner.claim(round(number * interval))
        except WorkerIdsExhausted:
            continue
        count += 1
    return count


BOUNDS = pytest.mark.parametrize(
    ("worker_ids", "lease"),
    [(8, 10), (8, 5), (16, 10)],
    ids=["as it was", "with half the LEASE", "with twice the worker ids"],
)


@BOUNDS
def test_launches_at_the_bound(make, worker_ids, lease):
    """Worker ids / LEASE launches a second go on for ever."""
    launches = 4 * worker_ids
    interval = 1000 * lease / worker_ids
    assert served(make(worker_ids, lease), launches, interval) == launches


@BOUNDS
def test_launches_beyond_the_bound(make, worker_ids, lease):
    """At twice the rate half of them are refused, and no more."""
    launches = 8 * worker_ids
    interval = 1000 * lease / worker_ids / 2
    assert served(make(worker_ids, lease), launches, interval) == launches / 2


def test_launches_just_beyond_the_bound(make):
    """The first that is refused is the one after all worker ids are held."""
    assigner = make(8, 10)
    assert served(assigner, 8, 1249) == 8
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(8 * 1249)
    assert assigner.claim(8 * 1250)


def test_a_burst_may_take_all_at_once(make):
    """The bound is one of the long run."""
    assigner = make(8, 10)
    assert served(assigner, 8, 0) == 8
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(9_999)
    assert assigner.claim(10_000)


def test_bound_of_the_defaults():
    """1.7 launches a second, as the documentation says."""
    config = conf.get_config("default")
    per_second = config.layout.worker_count / config.assigner_options.lease
    assert round(per_second, 1) == 1.7


# A claim does not get slower as the table fills.

NOW = 1_000_000
TERM = 1000


def fill(assigner, count, *, until=NOW - 1, **values):
    """Insert leases of the first ``count`` worker ids."""
    WorkerNode.objects.bulk_create(
        WorkerNode(
            worker_id=worker_id,
            term=TERM,
            reserved_from=0,
            reserved_until=until,
            **{**assigner.lease_values(), **values},
        )
        for worker_id in range(count)
    )


def fill_history(assigner, terms):
    """Insert so many sealed leases of each worker id, as launches leave behind."""
    values = assigner.lease_values()
    WorkerNode.objects.bulk_create(
        (
            WorkerNode(
                worker_id=worker_id,
                term=term,
                reserved_from=term,
                reserved_until=term + 1,
                sealed=True,
                **values,
            )
            for term in range(terms)
            for worker_id in range(1024)
        ),
        batch_size=2000,
    )


#: How full the table is, and how many statements a claim takes at the most.
STATES = {
    "empty": ([], 3),
    "half live": ([(512, {"until": 2 * NOW})], 3),
    "all but one live": ([(1023, {"until": 2 * NOW})], 4),
    "all lapsed": ([(1024, {})], 6),
    "all released": ([(1024, {"released_at": "2026-01-01T00:00Z"})], 4),
    "all live": ([(1024, {"until": 2 * NOW})], 6),
}


def statements_of_a_claim(assigner):
    """Return the statements that look at the table or change it."""
    # On this thread's connection, so that it can be listened to.
    with CaptureQueriesContext(connection) as queries, suppress(WorkerIdsExhausted):
        assigner._claim(NOW)
    return [query["sql"] for query in queries if "workernode" in query["sql"].lower()]


@pytest.mark.parametrize("state", STATES)
def test_statements_of_a_claim(make, state):
    """A handful, however many of the 1,024 worker ids are taken."""
    rows, most = STATES[state]
    assigner = make()
    for count, values in rows:
        fill(assigner, count, **values)
    assert 0 < len(statements_of_a_claim(assigner)) <= most


def whole_reads(sql):
    """Return what in the plan of a statement reads a whole table or a whole index.

    MariaDB's plans do not tell how much of an index is read; it counts the rows.
    """
    if sql.startswith("INSERT") or connection.vendor == "mysql":
        return []
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' * is_sqlite}{sql}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
    return re.findall(r"\bSCAN .*" if is_sqlite else r"Seq Scan .*", plan)


def rows_read():
    """Return how many rows this connection has read, where the server counts them."""
    if connection.vendor != "mysql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(count) for _, count in cursor.fetchall())


def test_no_statement_reads_the_whole_table(make, subtests):
    """Each finds its rows by an index, in a table with a long history."""
    assigner = make()
    fill_history(assigner, 10)
    for state in ("all lapsed", "all released", "all live"):
        WorkerNode.objects.filter(term__gte=TERM).delete()
        for count, values in STATES[state][0]:
            fill(assigner, count, **values)
        with connection.cursor() as cursor:
            table = connection.ops.quote_name(WorkerNode._meta.db_table)
            noun = "TABLE" if connection.vendor == "mysql" else ""
            cursor.execute(f"ANALYZE {noun} {table}")
        before = rows_read()
        statements = statements_of_a_claim(assigner)
        # Each worker id a few times, but not the history.
        assert rows_read() - before < 4 * 1024
        for sql in statements:
            with subtests.test(state=state, sql=sql):
                assert not whole_reads(sql)
