"""The project under Celery, with folders for a broker."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from tests.servers.project import parent


def make_app(folder: str) -> Celery:
    """Return the application whose messages and results are in ``folder``."""
    app = Celery("project", broker="filesystem://", backend=f"file://{folder}/results")
    queue = f"{folder}/queue"
    app.conf.update(
        broker_transport_options={
            "data_folder_in": queue,
            "data_folder_out": queue,
            "control_folder": f"{folder}/control",
            "polling_interval": 0.05,
        },
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
    )
    return app


app = make_app(os.environ["UIDGEN_TEST_CELERY"])


@worker_init.connect
def mint_before_fork(**kwargs: Any) -> None:
    """Mint in the process that forks the workers, and go on while it does."""
    parent.mint_as_told()


@app.task
def mint(count: int) -> dict[str, Any]:
    """Mint one by one and in one call."""
    from django_uidgen import uid, uids

    minted = [uid() for _ in range(count)] + uids(count)
    return {"pid": os.getpid(), "uids": [str(uid) for uid in minted]}
