"""The databases in the settings of the tests and of the benchmarks."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

#: The worker of pytest-xdist that this is, or whose child this is.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")

#: Names the databases of one run, or of one of its workers, so that those side by side
#: do not meet. It comes from the environment, for the processes that tests start must
#: find the same names.
RUN = os.environ.setdefault("UIDGEN_TEST_RUN", str(os.getpid())) + WORKER


def server_databases(engine: str, variable: str) -> dict[str, dict[str, Any]]:
    """Return both aliases on the server whose URL is in an environment variable.

    The URL is ``scheme://user:password@host:port/?option=value``. Its query gives
    options of the driver, but for ``host``, which may be the folder of a Unix socket.
    Tests make databases of their own, so a database name in the URL is not used.
    """
    url = os.environ.get(variable)
    if not url:
        msg = f"Set {variable} to the URL of a database server, or run `make test`."
        raise RuntimeError(msg)
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    server = {
        "ENGINE": engine,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }
    return {
        "default": server | named(f"test_uidgen_{RUN}"),
        "other": server | named(f"test_uidgen_{RUN}_other"),
    }


def named(name: str) -> dict[str, Any]:
    """Return the name of a test database, as its name outside the test run too.

    A process that the suite starts has no test run of its own, and must use the test
    database at once.
    """
    return {"NAME": name, "TEST": {"NAME": name}}
