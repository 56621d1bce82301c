"""Real failovers: the primary is killed, a standby without its last commits promoted.

On servers of their own, of the kind that the suite runs on.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from tests.support.complete import require
from tools import mariadb
from tools.postgres import PACKAGE
from verification.failover import conductor

KINDS = {"postgresql": "postgres", "mysql": "mariadb"}

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(
        connection.vendor not in KINDS, reason="SQLite has no standby server"
    ),
    # `make failover` shows what happens without one.
    pytest.mark.skipif(
        not conductor.quarantine_is_known(), reason="there is no quarantine yet"
    ),
]


@pytest.fixture
def fail_over():
    """Fail over while processes mint, until it is enough; return what came of it."""
    kind = KINDS[connection.vendor]
    if kind == "postgres":
        require(importlib.util.find_spec(PACKAGE), f"The wheel {PACKAGE}")
    else:
        require(mariadb.is_installed(), "The server of MariaDB")
    # The servers do not run as root, and must reach their data.
    folder = Path(tempfile.mkdtemp(prefix="uidgen-failover-"))
    folder.chmod(0o755)
    yield partial(conductor.run, kind, folder)
    shutil.rmtree(folder)


def test_no_duplicates_after_failovers(fail_over):
    """Claims and renewals are forgotten, their holders mint on, and others claim."""
    outcome = fail_over(quarantine=True, enough=lambda run: run.promotions >= 2)
    assert outcome.lost_rows >= outcome.promotions * conductor.LOST_ROWS
    assert outcome.good, outcome


def test_without_the_quarantine_they_repeat(fail_over):
    """Worker ids that the promoted standby thinks free are leased twice."""
    outcome = fail_over(
        quarantine=False,
        # By chance no worker id may be leased twice at one failover.
        enough=lambda run: run.promotions >= 6 or run.outcome().duplicates,
    )
    assert outcome.lost_rows >= outcome.promotions * conductor.LOST_ROWS
    assert outcome.failures == []
    assert outcome.out_of_order == 0
    assert outcome.duplicates > 0
