"""What the tests of the assigners share."""

from __future__ import annotations

import pytest

from django_uidgen import conf


@pytest.fixture
def make(settings):
    """Make an assigner of the given class and settings."""

    def assigner(kind="Leased", alias="default", worker_ids=(0, 3), **values):
        # On a busy machine a claim may take longer than the default MAX_WAIT.
        options = {"LEASE": 10, "MAX_WAIT": 60, **values.pop("OPTIONS", {})}
        path = f"django_uidgen.assigners.{kind}WorkerIdAssigner"
        settings.UIDGEN = {
            alias: {
                "WORKER_ID_ASSIGNER": path,
                "WORKER_IDS": worker_ids,
                "OPTIONS": options,
                **values,
            }
        }
        config = conf.get_config(alias)
        return config.assigner.from_config(config)

    return assigner
