"""Run the suite against the wheel in dist/, with each Python and each Django.

    python tools/matrix.py [--coverage] [--stress] [ENVIRONMENT ...]

The tests come from the sdist, without the package beside them, so that only the wheel
can be what they import. Three environments run at a time. The one on PostgreSQL uses
the server at UIDGEN_TEST_POSTGRES_URL, or else a temporary one. Each Python and each
Django meets the whole suite in one environment, and a part of it in the others: the
newest of both in `make test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
AT_A_TIME = 3


def lower_bounds() -> list[str]:
    """Return the oldest releases that setup.cfg admits, of the tests' tools too."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split()
    lines += config["options.extras_require"]["test"].split()
    return [line.replace(">=", "==") for line in lines]


class Environment(NamedTuple):
    """A Python, the requirements beside the wheel, and how to run the suite there."""

    python: str
    requirements: list[str]
    settings: str = "sqlite"
    # It slows the tests: taken where branches for old versions would be seen.
    coverage: bool = False
    # Each Python and each Django meets the whole suite once, and each other the rest.
    whole: bool = False
    without: str = ""


ENVIRONMENTS = {
    "lowest": Environment("3.11", lower_bounds(), coverage=True, whole=True),
    "py312-django52": Environment("3.12", ["Django~=5.2.0"]),
    "py312-django60": Environment("3.12", ["Django~=6.0.0"], whole=True),
    "py312-django61": Environment("3.12", ["Django~=6.1.0"]),
    "py313-django52": Environment("3.13", ["Django~=5.2.0"]),
    "py313-django60": Environment("3.13", ["Django~=6.0.0"]),
    "py313-django61-postgres": Environment(
        "3.13", ["Django~=6.1.0"], settings="postgres"
    ),
    "without-drf": Environment(
        "3.13",
        ["Django~=6.1.0"],
        settings="sqlite_without_drf",
        without="djangorestframework",
    ),
}

#: Tests that take most of the time, for they start processes or many threads. What
#: they find depends on a Python or on a Django, hardly on the pair.
SLOW = [
    "tests/core/test_threads.py",
    "tests/example",
    "tests/test_apps.py",
    "tests/scenarios/test_async.py",
    "tests/test_bootstrap.py",
    "tests/management/test_command.py",
    "tests/fields/test_default_auto_field.py",
    "tests/scenarios/test_forks.py",
    "tests/scenarios/test_merging.py",
    "tests/test_moments.py",
    "tests/scenarios/test_processes.py",
    "tests/scenarios/test_rolled_back_callers.py",
]


def main() -> int:
    """Run the environments; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*", metavar="ENVIRONMENT")
    parser.add_argument("--coverage", action="store_true")
    # They take long, and depend little on the versions.
    parser.add_argument("--stress", action="store_true", help="with such tests, too")
    arguments = parser.parse_args()
    names = arguments.names or list(ENVIRONMENTS)
    if unknown := set(names) - set(ENVIRONMENTS):
        parser.error(f"{sorted(unknown)} not in {list(ENVIRONMENTS)}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(partial(run, options=arguments), names))
    print(f"{sum(results)} environments passed, {results.count(False)} failed")
    return 0 if all(results) else 1


def run(name: str, *, options: argparse.Namespace) -> bool:
    """Run one environment; print how it went, and all it printed if it failed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="uidgen-matrix-") as folder:
        tests = unpack_tests(Path(folder))
        log = Path(folder, "log")
        ok = all(
            succeeds(step, tests, log)
            for step in steps(ENVIRONMENTS[name], Path(folder), options)
        )
        lines = log.read_text(errors="replace").rstrip().splitlines()
    state = "passed" if ok else "FAILED"
    heading = f"=== {name}: {state} in {time.monotonic() - start:.0f} s"
    print("\n".join([heading, *(lines[-1:] if ok else lines)]), flush=True)
    return ok


def steps(
    environment: Environment, folder: Path, options: argparse.Namespace
) -> Iterator[list[str]]:
    """Give the commands that install an environment and run the suite in it."""
    python = f"{folder}/venv/bin/python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    (wheel,) = DIST.glob("*.whl")
    yield [find_python(environment.python), "-m", "venv", f"{folder}/venv"]
    yield [*pip, "install", f"{wheel}[test]", *environment.requirements]
    if environment.without:
        yield [*pip, "uninstall", "--yes", environment.without]
    yield [python, "-m", "pip", "freeze"]
    left_out = [] if options.stress else ["-m", "not stress"]
    if not environment.whole:
        left_out += [f"--ignore={path}" for path in SLOW]
    yield [
        *[python, "-m", "tools.run_tests", environment.settings],
        *(["--coverage"] if options.coverage and environment.coverage else []),
        *["--", *left_out],
    ]


def succeeds(command: list[str], folder: Path, log: Path) -> bool:
    """Run a command in a folder, with its output added to the log."""
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"COVERAGE_FILE": str(ROOT / ".coverage")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode == 0


def find_python(version: str) -> str:
    """Return the interpreter of a version; raise CalledProcessError with none."""
    command = [str(ROOT / "tools" / "find-python"), version]
    return subprocess.check_output(command, text=True).strip()


def unpack_tests(folder: Path) -> Path:
    """Unpack the sdist, take the package out, and return the folder."""
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tests,) = folder.glob("django_uidgen-*")
    shutil.rmtree(tests / "django_uidgen")
    return tests


if __name__ == "__main__":
    sys.exit(main())
