"""uvicorn, which spawns its workers: they share no memory with their parent."""

from __future__ import annotations

import sys


def test_uvicorn(start):
    """Two workers, each with an event loop, of a parent that has minted."""
    server = start(
        [
            *(sys.executable, "-m", "tests.servers.project.parent"),
            *("uvicorn", "tests.servers.project.asgi:application"),
            *("--port", "0", "--workers", "2", "--no-access-log"),
        ]
    )
    [server.address] = server.wait_for(r"running on (http://[\d.:]+)")
    server.wait_for("startup complete", 2)
    server.drive("auid", "uid", "auid", "mixed", pids=2)
    server.assert_nothing_repeats()
    # uvicorn ends by the signal that stopped it, past all hooks: the leases lapse.
