"""Run the suite on each database and add up the results.

    python tools/run_tests.py [--coverage] [--jobs N] [DATABASE ...] [-- PYTEST_ARG ...]

A DATABASE is a module of tests.settings: sqlite, postgres, mariadb. With none given it
runs sqlite and postgres, and mariadb when UIDGEN_TEST_MARIADB_URL is set. postgres runs
on the server at UIDGEN_TEST_POSTGRES_URL, or else on a temporary one.

Where the whole suite runs on several databases, what needs none runs once, with the
first of them. With more than one job, that many databases are run at a time, and what a
run prints is shown when it has ended.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from temporary_postgres import (
    URL_VARIABLE,
    stop_cleanly_on_sigterm,
    temporary_postgres,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

ROOT = Path(__file__).resolve().parents[1]

#: Tests that have to do with no database.
WITHOUT_DATABASE = [
    "tests/core",
    "tests/test_benchmarks.py",
    "tests/test_conf.py",
    "tests/test_docs.py",
    "tests/test_formal.py",
    "tests/test_public_names.py",
    "tests/test_soak_checker.py",
    "tests/test_soak_events.py",
    "tests/test_test_runs.py",
]


class Result(NamedTuple):
    """What one run of the suite came to."""

    database: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    ok: bool

    def __str__(self) -> str:
        """Return one line of the summary."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{self.database:<20} {counts} in {self.seconds:.0f} s"


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    arguments = parse_arguments()
    stop_cleanly_on_sigterm()
    run_one = partial(run, coverage=arguments.coverage, shown_live=arguments.jobs == 1)
    databases = arguments.databases or default_databases()
    selections = [arguments.pytest_arguments] * len(databases)
    if not arguments.pytest_arguments:
        selections[1:] = [without_repeats()] * (len(databases) - 1)
    if arguments.jobs == 1:
        # Without threads, an interrupt ends the run as well.
        results = list(map(run_one, databases, selections))
    else:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = list(pool.map(run_one, databases, selections))
    print("\n" + "\n".join(map(str, results)))
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    broken = [result.database for result in results if not result.ok]
    if broken:
        print(f"Not green: {', '.join(broken)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if broken else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    own, for_pytest = split(sys.argv[1:])
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("databases", nargs="*")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args(own)
    arguments.pytest_arguments = for_pytest
    return arguments


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments at the first ``--``."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def without_repeats() -> list[str]:
    """Return the arguments for a run beside one that does all."""
    return [f"--ignore={path}" for path in WITHOUT_DATABASE]


def default_databases() -> list[str]:
    """Return the databases that can be had."""
    mariadb = ["mariadb"] if os.environ.get("UIDGEN_TEST_MARIADB_URL") else []
    return ["sqlite", "postgres", *mariadb]


def run(
    database: str, pytest_arguments: list[str], *, coverage: bool, shown_live: bool
) -> Result:
    """Run the suite on one database."""
    heading = f"\n=== The suite on {database}"
    runner = ["coverage", "run", "-m"] if coverage else []
    command = [sys.executable, "-m", *runner, "pytest"]
    command += [f"--ds=tests.settings.{database}", *pytest_arguments]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, server(database) as url:
        report = Path(folder, "report.xml")
        if shown_live:
            print(heading, flush=True)
        done = subprocess.run(
            [*command, f"--junit-xml={report}"],
            cwd=ROOT,
            env=environment() | ({URL_VARIABLE: url} if url else {}),
            stdout=None if shown_live else subprocess.PIPE,
            stderr=None if shown_live else subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        passed, failed, skipped = count(report)
    if not shown_live:
        print(f"{heading}\n{done.stdout}", flush=True)
    seconds = time.monotonic() - start
    return Result(database, passed, failed, skipped, seconds, ok=done.returncode == 0)


def server(database: str) -> AbstractContextManager[str | None]:
    """Return a server to run on, where one is needed and none was given."""
    if database == "postgres" and not os.environ.get(URL_VARIABLE):
        return temporary_postgres()
    return nullcontext()


def environment() -> dict[str, str]:
    """Return the environment of a run, in which every child knows the coverage file."""
    return {"COVERAGE_FILE": str(ROOT / ".coverage")} | os.environ


def count(report: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed and were skipped."""
    if not report.exists():
        return 0, 1, 0
    suites = ET.parse(report).getroot().iter("testsuite")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    failed = totals["failures"] + totals["errors"]
    return totals["tests"] - failed - totals["skipped"], failed, totals["skipped"]


if __name__ == "__main__":
    sys.exit(main())
