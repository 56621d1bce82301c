"""The generators of this process, one for each alias, shared by all its threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps

from django_uidgen import conf, moments
from django_uidgen.conf import DEFAULT_ALIAS
from django_uidgen.core import fork
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.generators import Refill, UidGenerator, fast_uid

logger = logging.getLogger("django_uidgen")

#: How long the start of a server may be waited for before a worker id is claimed, in s.
_START_TIMEOUT = 60.0

#: How long a fork or an exit waits for a claim of the start to end, in seconds.
_STOP_TIMEOUT = 1.0


class _Built(NamedTuple):
    """A generator, and what it was built for."""

    generator: UidGenerator
    config: conf.GeneratorConfig
    in_test_run: bool


class Generators(fork.ForkAware):
    """``generators[alias]``: built at its first use, and anew when its setting changed.

    Not a ``BaseConnectionHandler``: its storage is per thread, and three threads would
    have three generators.
    """

    def __init__(self) -> None:
        self._lock = fork.ProcessLock()
        self._built: dict[str, _Built] = {}
        self._assigning: threading.Thread | None = None
        fork.hooks.add(self)

    def __getitem__(self, alias: str) -> UidGenerator:
        """Return the generator of ``alias``. Raise ``InvalidSetting`` for others."""
        # Not under the lock: this imports classes, and an import may run any code.
        config, in_test_run = conf.get_config(alias), conf.in_test_run()
        built = self._built.get(alias)
        if built is None or (built.config, built.in_test_run) != (config, in_test_run):
            return self._build(config, in_test_run=in_test_run)
        return built.generator

    def _build(
        self, config: conf.GeneratorConfig, *, in_test_run: bool
    ) -> UidGenerator:
        with self._lock:
            old = self._built.get(config.alias)
            if old is not None and old[1:] == (config, in_test_run):
                return old.generator  # another thread was first
            new = _new_generator(config, in_test_run=in_test_run)
            self._built[config.alias] = _Built(new, config, in_test_run)
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
        """Return the generators that were used so far."""
        with self._lock:
            return [built.generator for built in self._built.values()]

    def reset(self) -> None:
        """Give all leases back, and build the generators anew at their next use."""
        with self._lock:
            stale, self._built = self._built, {}
        for built in stale.values():
            _close(built.generator)

    # The start and the end of a process.

    def assign_in_background(self, aliases: list[str]) -> None:
        """Claim the worker ids of ``aliases`` as soon as all apps are ready.

        A failure is logged: the first mint tries again.
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
        """Let the thread of the start end, unless it waits for the apps itself."""
        thread = self._assigning
        if (
            thread is not None
            and apps.ready
            and thread is not threading.current_thread()
        ):
            thread.join(_STOP_TIMEOUT)

    def shut_down(self) -> None:
        """Give all leases back, also one that is being claimed, at a clean exit."""
        self._wait_for_assignment()
        self.reset()

    # Forks.

    def before_fork(self) -> None:
        """Let a claim end: a child would inherit locks that its thread holds."""
        self._wait_for_assignment()

    def after_fork_in_child(self) -> None:
        """Forget the thread that is not here."""
        self._assigning = None


def _new_generator(config: conf.GeneratorConfig, *, in_test_run: bool) -> UidGenerator:
    if in_test_run and config.test_worker_id is not None:
        generator = _for_tests(config, config.test_worker_id)
    else:
        generator = config.generator(
            config.layout,
            config.assigner(config),
            alias=config.alias,
            options=config.generator_options,
        )
    # Moments without a zone are taken as Django takes them.
    generator.aware = moments.aware  # type: ignore[method-assign]
    return generator


def _for_tests(config: conf.GeneratorConfig, worker_id: int) -> UidGenerator:
    from django_uidgen.assigners import TestRunAssigner, TestRunClock

    return config.generator(
        config.layout,
        TestRunAssigner(config, worker_id),
        alias=config.alias,
        # Tests freeze the clock and set it to any time. The position only grows.
        options=config.generator_options._replace(max_lead=None),
        clock=TestRunClock(config.layout),
    )


def _close(generator: UidGenerator) -> None:
    """Give a lease back. Where that fails it lapses, which is no reason to stop."""
    try:
        generator.close()
    except Exception:
        logger.exception("Generator %r could not be closed.", generator.alias)


generators = Generators()


def _refill() -> Refill:
    return generators[DEFAULT_ALIAS].refill()


#: Return one UID of the default generator.
uid = fast_uid(_refill)
# A closure has a name that neither pickle nor a migration with default=uid can write.
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
