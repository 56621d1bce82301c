"""Run the suite against the wheel in dist/, with each Python and each Django.

    make matrix [ENVS="lowest py312-django52"] [STRESS=1] [COVERAGE=1]

builds the wheel and calls ``nox [-s ENVIRONMENT ...] [-- [--stress] [--coverage]]``.

The tests come from the sdist, without the package beside them, so that only the wheel
can be what they import. The environment on PostgreSQL uses the server at
UIDGEN_TEST_POSTGRES_URL, or else a temporary one. Each Python and each Django meets the
whole suite in one environment, and a part of it in the others: the newest of both in
``make test``.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from configparser import ConfigParser
from pathlib import Path
from typing import NamedTuple

import nox

ROOT = Path(__file__).resolve().parent
WORKERS = 3

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True

# Before the shims of pyenv, which stand for versions that are not selected as well.
_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
_pythons = sorted(_pyenv.glob("versions/3.*/bin"), reverse=True)
os.environ["PATH"] = os.pathsep.join([*map(str, _pythons), os.environ["PATH"]])


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
    "lowest-postgres": Environment("3.11", lower_bounds(), settings="postgres"),
    "py312-django52": Environment("3.12", ["Django~=5.2.0"]),
    "py312-django60": Environment("3.12", ["Django~=6.0.0"], whole=True),
    "py312-django61": Environment("3.12", ["Django~=6.1.0"]),
    "py313-django52": Environment("3.13", ["Django~=5.2.0"]),
    "py313-django60": Environment("3.13", ["Django~=6.0.0"]),
    "without-drf": Environment(
        "3.13",
        ["Django~=6.1.0"],
        settings="sqlite_without_drf",
        without="djangorestframework",
    ),
}

#: Tests that take most of the time, for they start processes or many threads, and those
#: of code without Django. What they find depends on a Python or on a Django, hardly on
#: the pair.
LEFT_OUT_OF_PAIRS = [
    "tests/assigners/test_worked_example.py",
    "tests/core",
    "tests/example",
    "tests/fields/test_default_auto_field.py",
    "tests/management/test_command.py",
    "tests/scenarios",
    "tests/test_apps.py",
    "tests/test_benchmarks.py",
    "tests/test_bootstrap.py",
    "tests/test_databases_in_tests.py",
    "tests/test_moments.py",
    "tests/verification",
]


def run_suite(session: nox.Session, environment: Environment) -> None:
    """Install the wheel in an environment, and run the tests of the sdist there."""
    (wheel,) = ROOT.glob("dist/*.whl")
    session.install(f"{wheel}[test]", *environment.requirements)
    if environment.without:
        pip = ["uv", "pip"] if session.venv_backend == "uv" else ["pip"]
        session.run(*pip, "uninstall", "--yes", environment.without)
    left_out = [] if "--stress" in session.posargs else ["-m", "not stress"]
    if not environment.whole:
        left_out += [f"--ignore={path}" for path in LEFT_OUT_OF_PAIRS]
    covered = environment.coverage and "--coverage" in session.posargs
    with tempfile.TemporaryDirectory(prefix="uidgen-matrix-") as folder:
        session.chdir(unpack_tests(Path(folder)))
        session.run(
            *["python", "-m", "tools.run_tests", f"--workers={WORKERS}"],
            *(["--coverage"] if covered else []),
            *[environment.settings, "--", *left_out],
            env={"COVERAGE_FILE": str(ROOT / ".coverage")},
        )


def unpack_tests(folder: Path) -> Path:
    """Unpack the sdist, take the package out, and return the folder."""
    (sdist,) = ROOT.glob("dist/*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tests,) = folder.glob("django_uidgen-*")
    shutil.rmtree(tests / "django_uidgen")
    return tests


for _name, _environment in ENVIRONMENTS.items():

    @nox.session(name=_name, python=_environment.python)
    def suite(session: nox.Session, environment: Environment = _environment) -> None:
        """Run the suite in one environment."""
        run_suite(session, environment)
