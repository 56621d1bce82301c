"""Celery's prefork worker, whose processes end after some tasks."""

from __future__ import annotations

import sys
import time

import pytest

TASKS = 24


@pytest.fixture
def celery(start, tmp_path, monkeypatch):
    """Return Celery's worker, and its application as a client has it."""
    broker = tmp_path / "broker"
    for name in ("queue", "control", "results"):
        (broker / name).mkdir(parents=True)
    monkeypatch.setenv("UIDGEN_TEST_CELERY", str(broker))
    server = start(
        [
            *(sys.executable, "-m", "celery"),
            *("-A", "tests.servers.project.celery_app", "worker"),
            *("--pool", "prefork", "--concurrency", "2"),
            *("--max-tasks-per-child", "3", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
        UIDGEN_TEST_BEFORE_FORK="thread",
    )
    from tests.servers.project.celery_app import make_app

    with make_app(str(broker)) as app:
        yield server, app


def test_celery(celery):
    """Eight processes, one after the other, of a parent that mints all the time."""
    server, app = celery
    name = "tests.servers.project.celery_app.mint"
    begin = time.monotonic()
    results = [app.send_task(name, [100]) for _ in range(TASKS)]
    for result in results:
        server.note(begin, result.get(timeout=60, interval=0.05))
    assert len(server.pids) >= TASKS / 3
    server.assert_nothing_repeats()
    server.stop()
    # The thread of the parent mints on while its hooks run.
    assert server.unreleased_leases() <= {server.pid}
