"""What holds for every test of the suite."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.test import TransactionTestCase

from tests.support.emptying import delete_rows

# Folders whose tests need Django REST framework. They are left out only by the settings
# made for its absence: with any other, its absence is an error.
NEEDS_DRF = ["example", "rest_framework"]

#: Folders with tests of what the rest of the suite does without: an option for each.
OPTIONAL = {Path(__file__).parent / name: name for name in ("edges", "servers")}

#: Where the stacks of a test that hangs are shown, whatever is captured.
STDERR = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that ask for the tests in the folders ``OPTIONAL``."""
    for name in OPTIONAL.values():
        parser.addoption(
            f"--{name}",
            action="store_true",
            help=f"collect tests/{name}, which need the extra {name!r} (make {name})",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run with no settings, which would mean: with no known database."""
    if not settings.configured:
        message = "Name a database: `make test` or `pytest --ds=tests.settings.sqlite`."
        raise pytest.UsageError(message)
    config.stash[STDERR] = os.dup(2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("stress") is None)


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """Leave the names of the databases alone: ``tools.databases`` has them by worker.

    The processes that tests start find them by the same rule.
    """


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node) -> None:
    """Watch over the end of a test that failed, too.

    pytest's own watch stops here, in case a debugger is to follow.
    """
    config = node.config
    if config.getoption("usepdb"):
        return
    faulthandler.dump_traceback_later(
        float(config.getini("faulthandler_timeout")),
        file=config.stash[STDERR],
        exit=config.getini("faulthandler_exit_on_timeout"),
    )


def pytest_ignore_collect(collection_path, config: pytest.Config) -> bool | None:
    """Leave out what needs packages that are absent on purpose."""
    option = OPTIONAL.get(collection_path)
    if option is not None and not config.getoption(option):
        return True
    folder_left_out = collection_path.parent == config.rootpath / "tests" and (
        collection_path.name in NEEDS_DRF
    )
    if folder_left_out and not apps.is_installed("rest_framework"):
        return True
    return None


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """Empty the databases in the way of ``tests.support.emptying``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_rows)
        yield


@pytest.fixture
def movers(transactional_db):
    """Return an app that has no models but those of its migrations."""
    from tests.support.movers import Movers, drop

    movers = Movers()
    yield movers
    drop(movers)


@pytest.fixture
def things(movers):
    """Return the app of ``movers`` with a table of ten rows, the newest first."""
    from tests.support.things import make_things

    return make_things(movers)
