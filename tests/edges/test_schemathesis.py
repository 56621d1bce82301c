"""schemathesis, which asks the example project for all that its schema allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db.models.signals import post_save
from live.models import Stream

from tests.example.samples import RECORDED, deliver

#: Of each operation, at random. More find more: UIDGEN_TEST_EXAMPLES=100 make edges
EXAMPLES = os.environ.get("UIDGEN_TEST_EXAMPLES", "3")

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def no_throttle(settings):
    """All requests come within seconds."""
    cache.clear()
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"uidgen": None},
    }


@pytest.fixture
def made():
    """The rows of one model that are made by requests: the server is a thread here."""
    rows = []

    def note(instance, created, **kwargs):
        if created:
            rows.append(instance)

    post_save.connect(note, sender=Stream)
    yield rows
    post_save.disconnect(note, sender=Stream)


@pytest.mark.parametrize("phases", ["coverage", "fuzzing,stateful"])
def test_schemathesis_finds_nothing(
    no_throttle, live_server, django_user_model, tmp_path, made, phases
):
    """At the bounds of the schema; at random, and in chains: no check fails."""
    deliver(RECORDED)
    made.clear()
    django_user_model.objects.create_superuser("grace", password="secret")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"),),
            *("--config-file", CONFIG, "run", f"{live_server}/api/schema/?format=json"),
            *("--auth", "grace:secret", "--max-examples", EXAMPLES, "--no-color"),
            *("--phases", phases),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert made, f"no request was right enough to make a row\n{done.stdout}"
