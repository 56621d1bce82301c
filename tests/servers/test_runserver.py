"""runserver, which starts its child anew when a file was changed."""

from __future__ import annotations

import os
import sys
import time

ADDRESS = r"development server at (http://[\d.:]+)"

SETTINGS = """
from tests.servers.project.settings import *
LOGGING["loggers"]["django.utils"] = {"handlers": ["console"], "level": "DEBUG"}
"""


def test_reload(start, tmp_path):
    """A second process serves after the change, and repeats nothing of the first."""
    module = tmp_path / "touched_settings.py"
    module.write_text(SETTINGS)
    server = start(
        [
            *(sys.executable, "-m", "tests.servers.project.parent"),
            *("django", "runserver", "--skip-checks", "127.0.0.1:0"),
        ],
        DJANGO_SETTINGS_MODULE=module.stem,
        UIDGEN_TEST_DEBUG="1",
    )
    [server.address] = server.wait_for(ADDRESS)
    server.drive("uid", "uids", "mixed")
    [first] = server.pids
    server.wait_for(f"{module.name} first seen")
    later = time.time() + 60
    os.utime(module, (later, later))
    [_, server.address] = server.wait_for(ADDRESS, 2)
    server.drive("uid", "uids", "mixed", pids=2)
    server.assert_nothing_repeats()
    assert first not in server.unreleased_leases()
