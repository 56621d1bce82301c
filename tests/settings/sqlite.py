"""SQLite, in files: the suite starts threads and processes that share the database."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.settings.base import *  # noqa: F403
from tools.databases import WORKER, named

FOLDER_VARIABLE = "UIDGEN_TEST_SQLITE_FOLDER"


def _remove(folder: str, owner: int) -> None:
    # A forked child runs this as well when it exits in the ordinary way.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


# The processes that the suite starts find the folder in their environment.
if FOLDER_VARIABLE not in os.environ:
    os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="uidgen-sqlite-")
    atexit.register(_remove, os.environ[FOLDER_VARIABLE], os.getpid())

_folder = Path(os.environ[FOLDER_VARIABLE], WORKER)
_folder.mkdir(exist_ok=True)
_sqlite = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {
        # Writers wait for each other: on a busy machine, longer than 5 s.
        "timeout": 60,
        # Nothing has to outlive the machine: no wait for the disk.
        "init_command": "PRAGMA synchronous=OFF",
    },
}
DATABASES = {
    "default": _sqlite | named(str(_folder / "default.sqlite3")),
    "other": _sqlite | named(str(_folder / "other.sqlite3")),
}
