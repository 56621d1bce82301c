"""The generators of this process, one for each alias, shared by all its threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_uidgen import bootstrap, conf, databases, databases_in_tests, moments
from django_uidgen.conf import DEFAULT_ALIAS
from django_uidgen.core import fork, process
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.generators import UidGenerator
from django_uidgen.core.hot_path import Refill, fast_uid

logger = logging.getLogger("django_uidgen")

#: The longest wait of the start-up claim for all apps to be ready, in seconds.
_START_TIMEOUT = 60.0

#: The longest wait of a fork or an exit for the start-up claim, in seconds.
_STOP_TIMEOUT = 1.0


class _Run(Enum):
    """What a generator is used for: in production, or in a test run.

    Other test runs may use the database of the third kind at the same time.
    """

    PRODUCTION = 1
    TEST = 2
    TEST_IN_SHARED_DATABASE = 3


class _Built(NamedTuple):
    """A generator, and the configuration and the run for which it was built."""

    generator: UidGenerator
    config: conf.GeneratorConfig
    run: _Run


class Generators(fork.ForkAware):
    """``generators[alias]``: built at first use, and again after a setting changed.

    Not a ``BaseConnectionHandler``, which would store one generator for each thread.

    ``_built`` is written under ``_lock``. A use reads one key without it; whoever finds
    a stale value looks again under the lock. ``_origins`` is read and written one key
    at a time. ``_assigning`` is written by single stores, at the start of a process and
    in children, and read by forks and at exit.
    """

    def __init__(self) -> None:
        self._lock = fork.ProcessLock()
        self._built: dict[str, _Built] = {}
        self._assigning: threading.Thread | None = None
        #: By alias of a database, the one that the last connection was opened to.
        self._origins: dict[str, databases.Origin] = {}
        fork.hooks.add(self)

    def __getitem__(self, alias: str) -> UidGenerator:
        """Return the generator of ``alias``.

        Raise ``InvalidSetting`` if the alias is unknown or its setting is invalid.
        """
        # Without the lock: this imports classes, and an import may run any code.
        config = conf.get_config(alias)
        run = _run_of(config)
        built = self._built.get(alias)
        if built is None or (built.config, built.run) != (config, run):
            return self._build(config, run)
        return built.generator

    def _build(self, config: conf.GeneratorConfig, run: _Run) -> UidGenerator:
        with self._lock.held():
            old = self._built.get(config.alias)
            if old is not None and old[1:] == (config, run):
                return old.generator  # another thread was first
            new = _new_generator(config, run)
            self._built[config.alias] = _Built(new, config, run)
        if old is not None:
            _close(old.generator)
        return new

    def __iter__(self) -> Iterator[str]:
        return iter(conf.aliases())

    def __len__(self) -> int:
        return len(conf.aliases())

    def __contains__(self, alias: object) -> bool:
        return alias in conf.aliases()

    def built(self) -> list[UidGenerator]:
        """Return the generators that were built so far."""
        with self._lock.held():
            return [built.generator for built in self._built.values()]

    def replace_outdated(self) -> None:
        """Replace the generators that were built for another setting or run."""
        with self._lock.held():
            aliases = list(self._built)
        for alias in aliases:
            with suppress(conf.InvalidSetting):
                self[alias]

    def reset(self) -> None:
        """Close and discard all generators. Their next use builds new ones."""
        with self._lock.held():
            stale, self._built = self._built, {}
        for built in stale.values():
            _close(built.generator)

    def connected(self, *, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        """Forget all leases of another database that was behind the same alias.

        A receiver of ``connection_created``. Projects with a database for each tenant
        may switch the name of a database at run time.
        """
        origin = databases.origin_of(connection)
        before = self._origins.get(connection.alias)
        self._origins[connection.alias] = origin
        if before in (None, origin):
            return
        for generator, config, _ in list(self._built.values()):
            if config.database != connection.alias:
                continue
            lease = generator.lease
            generator.forget_leases()
            if lease is not None and lease.origin is not None:
                logger.warning(
                    "Database %r is %r now and was %r. Generator %r claims a worker id "
                    "there. Threads that still use the other one may mint UIDs that "
                    "processes there mint, too: let the setting DATABASE of the "
                    "generator name a database that does not change.",
                    connection.alias,
                    origin.name,
                    before.name,
                    generator.alias,
                )

    # The start and the end of a process.

    def assign_in_background(self, aliases: list[str]) -> None:
        """Claim the leases of ``aliases`` in a thread, once all apps are ready.

        Log a failure: the first mint tries again.
        """
        self._assigning = threading.Thread(
            target=self._assign,
            args=(aliases,),
            name="django_uidgen-assign",
            daemon=True,
        )
        self._assigning.start()

    def _assign(self, aliases: list[str]) -> None:
        if not apps.ready_event.wait(_START_TIMEOUT):
            return
        for alias in aliases:
            try:
                self[alias].assign()
            except UidError as error:
                logger.warning(
                    "No worker id at start-up, the first mint will try: %s", error
                )
            except Exception:
                logger.exception(
                    "No worker id for generator %r at start-up, the first mint will "
                    "try.",
                    alias,
                )

    def _wait_for_assignment(self) -> None:
        """Wait for the start-up thread, unless that still waits for the apps."""
        thread = self._assigning
        if (
            thread is not None
            and apps.ready
            and thread is not threading.current_thread()
        ):
            thread.join(_STOP_TIMEOUT)

    def shut_down(self) -> None:
        """Release all leases at a clean exit, including one that is being claimed."""
        self._wait_for_assignment()
        self.reset()

    # Forks.

    def before_fork(self) -> None:
        """Wait for the start-up claim: a child would inherit the locks it holds."""
        self._wait_for_assignment()

    def after_fork_in_child(self) -> None:
        """Forget the start-up thread, which does not exist in the child."""
        self._assigning = None


def _run_of(config: conf.GeneratorConfig) -> _Run:
    if config.test_worker_id is None or not process.in_test_run():
        return _Run.PRODUCTION
    if databases_in_tests.may_be_shared(config.database):
        return _Run.TEST_IN_SHARED_DATABASE
    return _Run.TEST


def _new_generator(config: conf.GeneratorConfig, run: _Run) -> UidGenerator:
    if run is not _Run.PRODUCTION:
        return _for_tests(config, run)
    return config.generator(
        config.layout,
        config.assigner.from_config(config),
        alias=config.alias,
        options=config.generator_options,
        aware=moments.aware,
    )


def _for_tests(config: conf.GeneratorConfig, run: _Run) -> UidGenerator:
    from django_uidgen.assigners.in_shared_databases import InSharedDatabaseAssigner
    from django_uidgen.assigners.in_test_runs import InTestRunAssigner, InTestRunClock

    is_shared = run is _Run.TEST_IN_SHARED_DATABASE
    return config.generator(
        config.layout,
        InSharedDatabaseAssigner(config) if is_shared else InTestRunAssigner(config),
        alias=config.alias,
        # Tests freeze the clock and set it to any time. With no bound on the lead, the
        # position only grows.
        options=config.generator_options._replace(max_lead=None),
        clock=InTestRunClock(config.layout),
        aware=moments.aware,
    )


def _close(generator: UidGenerator) -> None:
    """Close ``generator``. Only log a failure: its lease lapses."""
    try:
        generator.close()
    except Exception:
        logger.exception("Generator %r could not be closed.", generator.alias)


generators = Generators()


def _enter_bootstrap_leases(*, database: str, nodes: Any, **kwargs: Any) -> None:
    """Enter the bootstrap leases into the table. A receiver of table_made."""
    for generator in generators.built():
        lease = generator.lease
        if lease is None:
            continue
        entered = generator.assigner.enter_bootstrap_lease(
            lease, generator.next_tick, database=database, nodes=nodes
        )
        if entered is not lease:
            # After the commit: a rollback removes the row, but not the lease in use.
            transaction.on_commit(
                partial(generator.replace_bootstrap_lease, entered), using=database
            )


bootstrap.table_made.connect(_enter_bootstrap_leases, dispatch_uid="django_uidgen")


def _test_databases_changed(**kwargs: Any) -> None:
    """Replace generators whose worker ids another test run may use."""
    generators.replace_outdated()


databases_in_tests.changed.connect(
    _test_databases_changed, dispatch_uid="django_uidgen"
)


def _refill() -> Refill:
    return generators[DEFAULT_ALIAS].refill()


#: Return one UID of the default generator.
uid = fast_uid(_refill)
# Neither pickle nor a migration with default=uid can write the name of a closure.
uid.__module__, uid.__qualname__ = "django_uidgen", "uid"


def uids(count: int) -> list[int]:
    """Return ``count`` UIDs of the default generator, in ascending order."""
    return generators[DEFAULT_ALIAS].uids(count)


async def auid() -> int:
    """Return one UID of the default generator without blocking the event loop."""
    return await generators[DEFAULT_ALIAS].auid()


async def auids(count: int) -> list[int]:
    """Return ``count`` UIDs of the default generator without blocking the loop."""
    return await generators[DEFAULT_ALIAS].auids(count)
