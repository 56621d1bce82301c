"""Processes that start or end while their database is down."""

from __future__ import annotations

import pytest

from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import ON_SERVER, USES_DATABASE, wait_until

pytestmark = [USES_DATABASE, ON_SERVER]

outage = pytest.mark.parametrize("outage", ["stop", "stall"])


@outage
def test_start_of_a_server(run, by_proxy, proxy, outage):
    """It is logged, not fatal; the first mint that finds the database works."""
    getattr(proxy, outage)()
    program = run(by_proxy, "serving", MAX_WAIT=1)
    assert program.mint() is not None
    wait_until(lambda: "No worker id at start-up" in program.said, "the warning")
    if outage == "stop":
        proxy.start()
    else:
        proxy.resume()
    wait_until(lambda: program.mint() is None, "UIDs")
    program.exit()
    assert program.said.count("No worker id at start-up") == 1
    assert not WorkerNode.objects.filter(sealed=False, released_at=None).count() > 1


@outage
def test_exit(run, by_proxy, proxy, outage):
    """It does not hang and prints no traceback; the lease lapses."""
    program = run(by_proxy, MAX_WAIT=2)
    wait_until(lambda: program.mint() is None, "UIDs")
    getattr(proxy, outage)()
    program.exit()
    assert not WorkerNode.objects.exclude(released_at=None).exists()
    assert program.said == ""
