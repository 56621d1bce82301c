"""What the tests of the core share."""

from __future__ import annotations

import pytest

from tests.support.bench import Bench


@pytest.fixture
def bench():
    """Make a Bench; its threads are stopped at the end."""
    benches = []

    def make(*args, **kwargs):
        benches.append(Bench(*args, **kwargs))
        return benches[-1]

    yield make
    for one in benches:
        one.assigner.down = False
        one.generator.close()
