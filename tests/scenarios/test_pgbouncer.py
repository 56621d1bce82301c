"""PgBouncer between processes and PostgreSQL.

A step of the lease protocol is one transaction, and leaves nothing behind on its
connection. So it may have any connection of a pool, each time another.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.db import connection, connections

from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import Program, wait_until
from tests.support.complete import require
from tools import pgbouncer as pgbouncers

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's pooler"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.stress,
]

LEASE = 2


@pytest.fixture
def stack():
    """End what was started for the test, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pool(stack):
    """Start PgBouncer before the server of the suite, with few connections to it."""
    require(pgbouncers.program(), "PgBouncer (package pgbouncer)")

    def start(pool_mode):
        server = connections.settings["default"]
        return stack.enter_context(
            pgbouncers.running(server, pool_mode=pool_mode, pool_size=2)
        )

    return start


@pytest.fixture
def run(stack, tmp_path):
    """Start a process that mints by way of a PgBouncer."""
    numbers = iter(range(100))

    def run(pgbouncer, **options):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        keys = ("ENGINE", "NAME", "USER", "PASSWORD")
        server = connections.settings["default"]
        database = pgbouncer.before({key: server[key] for key in keys})
        program = Program(folder, database, {"MAX_WAIT": 30, **options})
        stack.callback(end, program)
        return program

    return run


def end(program):
    """End a process, in whatever state it is."""
    program.process.kill()
    program.process.wait()
    program.process.stdin.close()
    program.process.stdout.close()


def ends():
    """Return the end of each lease."""
    return dict(WorkerNode.objects.values_list("pk", "reserved_until"))


def mint_until_renewed(programs):
    """Let all mint until each lease of now has a later end, or a successor.

    While the pool finds out that connections are broken, a mint may be refused.
    """
    before = {program: count(program) for program in programs}
    start = ends()

    def renewed():
        for program in programs:
            refusal = program.mint()
            assert refusal is None or "WorkerIdUnavailable" in refusal
        now = ends()
        return all(now[key] > until for key, until in start.items())

    wait_until(renewed, "renewals")
    assert all(count(program) > before[program] for program in programs)


def count(program):
    """Return how many UIDs a process has minted."""
    return len(program.uids)


def assert_distinct(programs):
    """See that no UID was minted twice, and that no worker id was leased twice."""
    uids = [uid for program in programs for uid in program.uids]
    assert len(set(uids)) == len(uids)
    assert WorkerNode.objects.filter(sealed=False).count() == len(programs)


def test_claims_and_renewals_by_transactions(pool, run):
    """Eight processes share two connections, and none notices."""
    pgbouncer = pool("transaction")
    programs = [run(pgbouncer, LEASE=LEASE) for _ in range(8)]
    for program in programs:
        assert program.mint() is None
    for _ in range(2):
        mint_until_renewed(programs)
    assert_distinct(programs)
    for program in programs:
        program.exit()
        assert program.said == ""
    # Clean exits gave every lease back.
    assert not WorkerNode.objects.filter(sealed=False, released_at=None).exists()


def terminate_backends(pgbouncer):
    """End the connections of the pool, on the server."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 1


def reconnect(pgbouncer):
    """Have PgBouncer replace its connections, as after a failover of the server."""
    pgbouncer.command("RECONNECT")


def kill(pgbouncer):
    """Have PgBouncer cut all connections of the database, and go on."""
    name = connections.settings["default"]["NAME"]
    pgbouncer.command(f'KILL "{name}"')
    pgbouncer.command(f'RESUME "{name}"')


def restart(pgbouncer):
    """Stop PgBouncer, and start it again."""
    pgbouncer.stop()
    pgbouncer.start()


@pytest.mark.parametrize("reset", [terminate_backends, reconnect, kill, restart])
def test_renewals_after_a_reset(pool, run, reset):
    """A renewal by a connection that is broken is tried again; the lease is kept."""
    pgbouncer = pool("transaction")
    programs = [run(pgbouncer, LEASE=LEASE) for _ in range(3)]
    for program in programs:
        assert program.mint() is None
    for _ in range(2):
        reset(pgbouncer)
        mint_until_renewed(programs)
    assert_distinct(programs)
    for program in programs:
        program.exit()


def test_pool_by_statements_is_refused(pool, run):
    """A claim is a transaction of several statements: the reason is named at once."""
    program = run(pool("statement"))
    refusal = program.mint()
    assert refusal.startswith("WorkerIdUnavailable: Generator 'default' received no")
    assert "transaction blocks not allowed in statement pooling mode" in refusal
    assert not WorkerNode.objects.exists()
