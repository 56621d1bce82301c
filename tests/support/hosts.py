"""Processes under command, each on a host of its own, and what must hold for them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

from django_uidgen import conf
from django_uidgen.models import WorkerNode
from tests.programs.host import GENERATORS
from tools.hosts import Clock, tidy_up_after

#: Seconds that a test waits for what must come. Far more than it takes.
PATIENCE = 120

#: How each generator class is called here.
KINDS = {"cached": "CachedUidGenerator", "exact": "DefaultUidGenerator"}


class Batch(NamedTuple):
    """What one command minted, and the clock of the process around it, in ns."""

    before: int
    after: int
    runs: list[tuple[int, int]]


class Minted(NamedTuple):
    """What one thread minted, and how often it was refused, by the error's name."""

    alias: str
    batches: list[Batch]
    refusals: dict[str, int]


class Refused(Exception):
    """The process raised an error, called ``name``, instead of minting."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def generators(
    aliases: Iterable[str] = ("",), worker_ids: tuple[int, int] = (0, 1023), **options
) -> dict[str, Any]:
    """Return UIDGEN with each of ``aliases`` in both kinds, at whatever time."""
    return {
        kind + alias: {
            "GENERATOR": f"django_uidgen.generators.{name}",
            "WORKER_IDS": worker_ids,
            # On a busy machine a claim may take longer than the default MAX_WAIT.
            "OPTIONS": {"MAX_CLOCK_SKEW": None, "MAX_WAIT": 30.0, **options},
        }
        for kind, name in KINDS.items()
        for alias in aliases
    }


class Host:
    """A process under command. See ``tests.programs.host`` for the commands."""

    def __init__(
        self, settings_module: str, uidgen: dict[str, Any], clock: Clock | None
    ) -> None:
        self.clock = clock
        #: What the library warned of.
        self.warnings: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.programs.host"],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": settings_module,
                GENERATORS: json.dumps(uidgen),
                **(clock.environment if clock else {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid

    def send(self, command: str, *arguments: Any) -> None:
        """Give a command. Its answer is to be received."""
        line = json.dumps([command, *arguments]) + "\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Return the answer to the last command; raise ``Refused`` for an error."""
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert readable, "The process gives no answer."
        answer = json.loads(self._process.stdout.readline())
        self.warnings += answer["warnings"]
        if "error" in answer:
            raise Refused(*answer["error"])
        return answer["result"]

    def do(self, command: str, *arguments: Any) -> Any:
        """Give a command, and return its answer."""
        self.send(command, *arguments)
        return self.receive()

    def send_mint(
        self, alias: str, *, batch: int = 20, runs: int = 200_000, singly: int = 20
    ) -> None:
        """Have UIDs minted; by default all of some dozens of ticks."""
        self.send("mint", alias, batch, runs, singly)

    def receive_batch(self) -> Batch:
        """Return what the last command minted."""
        return as_batch(self.receive())

    def mint(self, alias: str, **how: int) -> Batch:
        """Have UIDs minted, and return them."""
        self.send_mint(alias, **how)
        return self.receive_batch()

    def settle(self, alias: str) -> Batch:
        """Have UIDs minted until they tell the time of the clock."""
        return as_batch(self.do("settle", alias))

    def start_threads(self, aliases: Iterable[str], count: int = 4) -> None:
        """Let threads mint with each of ``aliases``, and await their first rounds."""
        self.do("start_threads", list(aliases), count)
        self.await_rounds()

    def await_rounds(self, count: int = 3) -> None:
        """Wait until each of the threads has done so many rounds more."""
        before = self.do("rounds")

        def are_done() -> bool:
            done = zip(before, self.do("rounds"), strict=True)
            return all(now >= then + count for then, now in done)

        await_true(are_done)

    def stop_threads(self) -> list[Minted]:
        """Return what each thread minted, by alias, and why it was refused."""
        return [
            Minted(alias, [as_batch(one) for one in batches], refusals)
            for alias, batches, refusals in self.do("stop_threads")
        ]

    def exit(self) -> None:
        """Let the process end of itself, and see that it ended well."""
        self._process.stdin.close()
        assert self._process.wait(PATIENCE) == 0

    def kill(self) -> None:
        """End the process, in whatever state it is."""
        self._process.kill()
        self._process.wait()
        tidy_up_after(self.pid)
        self._process.stdout.close()
        # What was not read any more does not matter.
        self._process.stdin.close()

    def stop(self) -> None:
        """Suspend the process."""
        os.kill(self.pid, signal.SIGSTOP)
        self.await_stop()

    def await_stop(self) -> None:
        """Wait until the process is suspended."""
        await_true(self._is_stopped)

    def _is_stopped(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
        assert not pid or os.WIFSTOPPED(status)
        return bool(pid)

    def wake(self) -> None:
        """Let the suspended process go on."""
        os.kill(self.pid, signal.SIGCONT)


class Hosts:
    """The processes of one test, which do not outlive it."""

    def __init__(self, settings_module: str, folder: Path) -> None:
        self._settings_module = settings_module
        self._folder = folder
        self._all: list[Host] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for host in self._all:
            host.kill()

    def start(
        self, uidgen: dict[str, Any], offset: float | None = None, rate: float = 1.0
    ) -> Host:
        """Start a process, with a clock that is off by ``offset`` or the true one."""
        clock = None
        if offset is not None:
            path = self._folder / f"clock-{len(self._all)}"
            clock = Clock(path, offset, rate=rate)
        self._all.append(Host(self._settings_module, uidgen, clock))
        return self._all[-1]


def as_batch(answer: Any) -> Batch:
    """Return the answer to a command that mints as what it is."""
    before, after, runs = answer
    return Batch(before, after, [(first, last) for first, last in runs])


def await_true(condition: Any) -> None:
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def mint_when_free(host: Host, alias: str) -> Batch:
    """Have ``host`` mint as soon as a worker id can be leased."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return host.mint(alias)
        except Refused as refused:
            # The second: no answer within MAX_WAIT, on a busy machine.
            expected = {"WorkerIdsExhausted", "WorkerIdUnavailable"}
            if refused.name not in expected or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


# What must hold.


def assert_distinct(batches: Iterable[Batch]) -> None:
    """No UID was handed out twice."""
    runs = sorted(run for batch in batches for run in batch.runs)
    for (_, last), (first, _) in pairwise(runs):
        assert last < first


def breaks(batches: Iterable[Batch]) -> int:
    """Return how often a UID was not larger than the one before it."""
    runs = [run for batch in batches for run in batch.runs]
    return sum(first <= last for (_, last), (first, _) in pairwise(runs))


def assert_true(batch: Batch, *, max_lead: float = 1.0, max_age: float = 1.0) -> None:
    """The time in each UID was that of the clock, as far as is promised."""
    layout = conf.get_config("default").layout
    before = _tick(layout, batch.before) - layout.ticks(max_age)
    after = _tick(layout, batch.after) + layout.ticks(max_lead)
    for run in batch.runs:
        for uid in run:
            assert before <= layout.decompose(uid).tick <= after


def _tick(layout: Any, moment: int) -> int:
    return moment // 1_000_000 - round(layout.epoch.timestamp() * 1000)


def assert_leased(host: Host, alias: str, batches: Iterable[Batch]) -> None:
    """Each UID lies in a lease that this process had."""
    rows = WorkerNode.objects.filter(generator=alias, process_id=host.pid)
    leases = list(rows.values_list("worker_id", "reserved_from", "reserved_until"))
    layout = conf.get_config("default").layout
    for batch in batches:
        for run in batch.runs:
            for uid in run:
                tick, worker_id, _ = layout.decompose(uid)
                assert any(
                    worker_id == leased and since <= tick < until
                    for leased, since, until in leases
                )
