"""Run the suite on each database and add up the results.

    python -m tools.run_tests [OPTION ...] [DATABASE ...] [-- PYTEST_ARG ...]

A DATABASE is a module of tests.settings: sqlite, postgres, mariadb. With none given it
runs sqlite and postgres, and mariadb when UIDGEN_TEST_MARIADB_URL is set. postgres runs
on the server at UIDGEN_TEST_POSTGRES_URL, or else on a temporary one.

The whole suite runs on all databases at a time, and what needs no database runs once,
with the first of them. With arguments for pytest, the databases are run one after the
other in the foreground, where a debugger works. With --workers N, so many processes
share the tests of each database. With --coverage, they write coverage data: all tests
on the first database, on the others those that reach code for servers.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from tools.postgres import (
    URL_VARIABLE,
    stop_cleanly_on_sigterm,
    temporary_postgres,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

ROOT = Path(__file__).resolve().parents[1]

#: Seconds after which a run has hung.
LIMIT = 40 * 60

#: Tests that have nothing to do with a database, or not with its kind.
WITHOUT_DATABASE = [
    "tests/assigners/test_in_test_runs.py",
    "tests/assigners/test_worked_example.py",
    "tests/core",
    "tests/example/test_admin.py",
    # The project has a SQLite of its own there.
    "tests/example/test_demo.py",
    "tests/example/test_project.py",
    "tests/fields/test_field_forms.py",
    "tests/management/test_command.py",
    "tests/scenarios/test_sub_interpreters.py",
    "tests/test_admin.py",
    "tests/test_apps.py",
    "tests/test_benchmarks.py",
    "tests/test_conf.py",
    "tests/test_conf_validation.py",
    "tests/test_converters.py",
    "tests/test_docs.py",
    "tests/test_forms.py",
    "tests/test_json.py",
    "tests/test_public_names.py",
    "tests/test_short_forms.py",
    "tests/test_templatetags.py",
    "tests/test_uid_admin.py",
    "tests/verification",
]

#: Tests of what the first database, SQLite, does not reach. Coverage doubles the time
#: that tests take, so on the others these alone write it.
COVERED_ON_OTHERS = [
    "tests/assigners/test_backdated.py",
    "tests/assigners/test_commit_conflicts.py",
    "tests/assigners/test_isolation_levels.py",
    "tests/assigners/test_leased.py",
    "tests/assigners/test_lease_row.py",
    "tests/assigners/test_locked_rows.py",
    "tests/assigners/test_table.py",
    "tests/scenarios/outages",
    "tests/scenarios/test_transactions.py",
    "tests/test_backfill.py",
    "tests/test_check_columns.py",
    "tests/test_clock_skew.py",
    "tests/test_databases.py",
    "tests/test_dialects.py",
    "tests/test_lookups.py",
    "tests/test_operations.py",
    "tests/test_transaction_settings.py",
]


class Part(NamedTuple):
    """A part of the suite: arguments for pytest, and whether it writes coverage."""

    pytest_arguments: list[str]
    coverage: bool


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
    databases = arguments.databases or default_databases()
    run_part = partial(run, workers=arguments.workers)
    if arguments.pytest_arguments:
        part = Part(arguments.pytest_arguments, arguments.coverage)
        results = [run_part(part, one, call=call_alone) for one in databases]
    else:
        results = run_whole_suite(run_part, databases, coverage=arguments.coverage)
    print("\n" + "\n".join(map(str, results)))
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    broken = [result.database for result in results if not result.ok]
    if broken:
        print(f"Not green: {', '.join(broken)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if broken else 0


def run_whole_suite(
    run_part: Callable[..., Result], databases: list[str], *, coverage: bool
) -> list[Result]:
    """Run the suite on all databases at a time; an interrupt ends them all."""
    others = parts_of_others(coverage=coverage)
    selections = [[Part([], coverage)], *[others] * (len(databases) - 1)]
    beside = SideBySide()

    def run_parts(parts: list[Part], database: str) -> Result:
        results = [run_part(part, database, call=beside.call) for part in parts]
        return added(results)

    with ThreadPoolExecutor() as pool:
        try:
            return list(pool.map(run_parts, selections, databases))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            beside.kill()
            raise


def parts_of_others(*, coverage: bool) -> list[Part]:
    """Return the parts of the suite for each database but the first."""
    ignored = [*WITHOUT_DATABASE, *(COVERED_ON_OTHERS if coverage else [])]
    rest = Part([f"--ignore={path}" for path in ignored], coverage=False)
    return [Part(COVERED_ON_OTHERS, coverage=True), rest] if coverage else [rest]


def added(results: list[Result]) -> Result:
    """Return the results of all parts on one database as one."""
    return Result(
        results[0].database,
        passed=sum(one.passed for one in results),
        failed=sum(one.failed for one in results),
        skipped=sum(one.skipped for one in results),
        seconds=sum(one.seconds for one in results),
        ok=all(one.ok for one in results),
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    own, for_pytest = split(sys.argv[1:])
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("databases", nargs="*")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args(own)
    arguments.pytest_arguments = for_pytest
    return arguments


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments at the first ``--``."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def default_databases() -> list[str]:
    """Return the databases that can be had."""
    mariadb = ["mariadb"] if os.environ.get("UIDGEN_TEST_MARIADB_URL") else []
    return ["sqlite", "postgres", *mariadb]


def run(
    part: Part,
    database: str,
    *,
    workers: int,
    call: Callable[[str, list[str], dict[str, str]], int],
) -> Result:
    """Run a part of the suite on one database."""
    runner = ["coverage", "run", "-m"] if part.coverage else []
    command = [sys.executable, "-m", *runner, "pytest"]
    command += [f"--ds=tests.settings.{database}", *part.pytest_arguments]
    if workers:
        # A file is one worker's, and those that conftest.py puts first begin.
        command += ["-n", str(workers), "--dist=loadfile", "--no-loadscope-reorder"]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, server(database) as url:
        report = Path(folder, "report.xml")
        variables = environment() | ({URL_VARIABLE: url} if url else {})
        status = call(database, [*command, f"--junit-xml={report}"], variables)
        passed, failed, skipped = count(report)
    seconds = time.monotonic() - start
    return Result(database, passed, failed, skipped, seconds, ok=status == 0)


def call_alone(database: str, command: list[str], variables: dict[str, str]) -> int:
    """Run a command in the foreground; return its exit status."""
    print(f"\n=== The suite on {database}", flush=True)
    try:
        return subprocess.run(
            command, cwd=ROOT, env=variables, timeout=LIMIT, check=False
        ).returncode
    except subprocess.TimeoutExpired as error:
        print(error)
        return 1


class SideBySide:
    """Runs commands beside each other, and shows whose each line is."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def call(self, name: str, command: list[str], variables: dict[str, str]) -> int:
        """Run a command in a group of its own; return its exit status."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._processes.append(process)
        reader = Thread(target=print_lines, args=(name, process), daemon=True)
        reader.start()
        try:
            return process.wait(LIMIT)
        except subprocess.TimeoutExpired as error:
            print(error)
            return 1
        finally:
            # Whatever it left behind holds the other end of the pipe.
            kill_group(process)
            self._processes.remove(process)
            reader.join()

    def kill(self) -> None:
        """End all commands that still run."""
        for process in list(self._processes):
            kill_group(process)


def print_lines(name: str, process: subprocess.Popen[str]) -> None:
    """Print what a process prints, with its name before each line."""
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{name:<8} | {line}", end="", flush=True)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


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
