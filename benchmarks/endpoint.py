"""The REST endpoint under gunicorn, beside a view that does nothing."""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import databases, targets
from benchmarks.report import Row, Section, judged

PACKAGES = ["Django", "djangorestframework", "gunicorn"]

#: What wrk sends: {path} is where, {count} how many UIDs are asked for.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{{"count": {count}}}'
"""

WORKERS = 2
CONNECTIONS = 8
LARGEST = 1000


@contextmanager
def served() -> Iterator[str]:
    """Run gunicorn with two workers, and give its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    command = [
        *(sys.executable, "-m", "gunicorn", "benchmarks.wsgi"),
        *("--bind", address, "--workers", str(WORKERS), "--log-level", "error"),
    ]
    with subprocess.Popen(command, cwd=databases.ROOT) as server:
        try:
            _wait_for(server, f"http://{address}/bare/")
            yield f"http://{address}"
        finally:
            server.terminate()


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    give_up = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < give_up:
        try:
            urllib.request.urlopen(url)
        except urllib.error.HTTPError:  # it takes POST alone, and has answered
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("gunicorn does not answer.")


def requests_a_second(url: str, count: int, seconds: int) -> float:
    """Load ``url``, on this machine, for so long; return its requests a second."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(SCRIPT.format(count=count))
        shown = subprocess.check_output(
            [
                *("wrk", "--threads", "1", "--connections", str(CONNECTIONS)),
                *("--duration", f"{seconds}s", "--script", str(script), url),
            ],
            text=True,
        )
    if "Non-2xx" in shown:
        raise RuntimeError(f"{url} refuses: {shown}")
    found = re.search(r"Requests/sec: +([\d.]+)", shown)
    if found is None:
        raise RuntimeError(f"wrk says nothing that is understood: {shown}")
    return float(found[1])


def run(*, quick: bool) -> Section:
    """Measure both in turns."""
    if shutil.which("wrk") is None:
        note = "Left out: the program wrk is not installed (Debian: wrk)."
        return Section("endpoint", [], notes=[note])
    seconds, rounds = (1, 2) if quick else (4, 7)
    rates: dict[tuple[str, int], list[float]] = {
        (path, count): [] for path in ("bare", "uids") for count in (1, LARGEST)
    }
    with databases.prepared(), served() as address:
        for _ in range(rounds):
            for (path, count), found in rates.items():
                found.append(requests_a_second(f"{address}/{path}/", count, seconds))
    rate = {key: statistics.median(found) for key, found in rates.items()}
    [measure] = targets.ENDPOINT
    ratio = rate["uids", 1] / rate["bare", 1]
    rows = [
        *judged({measure: ratio}, targets.ENDPOINT),
        Row("POST uids/ with count 1", rate["uids", 1], "requests/s"),
        Row("the bare view", rate["bare", 1], "requests/s"),
        Row("POST uids/ with count 1,000", rate["uids", LARGEST], "requests/s"),
        Row("UIDs of it", rate["uids", LARGEST] * LARGEST, "UIDs/s"),
        Row(
            "the same beside the bare view with as many numbers",
            rate["uids", LARGEST] / rate["bare", LARGEST],
        ),
    ]
    note = f"gunicorn with {WORKERS} sync workers, wrk with {CONNECTIONS} connections."
    return Section("endpoint", rows, notes=[note], packages=PACKAGES)
