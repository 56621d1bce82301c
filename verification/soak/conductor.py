"""Keep processes minting, break things around them, and have the outcome checked."""

from __future__ import annotations

import argparse
import ctypes
import heapq
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psycopg

from tools import hosts
from tools.postgres import CRASH_SAFE, Server, stop_cleanly_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]

PORT = 54329

#: How often things happen, on average, in seconds.
KILL_INTERVAL = 2.5
STOP_INTERVAL = 3.0
EXIT_INTERVAL = 4.0
STEP_INTERVAL = 2.5
CUT_INTERVAL = 20.0

#: Between two stops of the database, at the least and at the most.
OUTAGE_INTERVAL = (15.0, 120.0)

#: Leases in seconds, and how long things are stopped: some for longer than a lease.
LEASES = (2.0, 5.0)
LONGEST_PAUSE = 10.0

#: Which part of the steps of a clock may be as long as an hour, and the others' limit.
LONG_STEPS = 0.1
SHORT_STEP = 100.0

#: For how many seconds on end a host may be refused for want of worker ids, before its
#: clock is set on: those that hosts ahead of it have had are of no use to it.
STARVING = 20

#: Seconds that the processes have to end.
PATIENCE = 90.0

#: How a process may end: well, or killed, or by the timer of a child.
EXPECTED = {0, -signal.SIGKILL, -signal.SIGALRM}

PR_SET_CHILD_SUBREAPER = 36


class Agenda:
    """What is to be done, and when."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something once."""
        entry = time.monotonic() + seconds, next(self._numbers), action
        heapq.heappush(self._entries, entry)

    def often(self, interval: float, action: Callable[[], None]) -> None:
        """Do something again and again, at random."""

        def act() -> None:
            action()
            self.often(interval, action)

        self.after(random.expovariate(1 / interval), act)

    def do(self) -> None:
        """Do all that is due."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            heapq.heappop(self._entries)[2]()


class Events:
    """What the processes tell."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        #: Refusals of each host for want of worker ids, since they were looked at.
        self.starved: Counter[str] = Counter()
        #: The children of forks in C. CPython is not made for these.
        self.raw: set[int] = set()
        self._hung: set[int] = set()

    def read(self) -> None:
        """Read what is new."""
        # Each was written at once, so the last line is a whole one.
        for line in self._file:
            host, pid, what, *words = line.split()
            if what == "failed":
                self.failures.append(line.strip())
            elif what == "child-hung":
                self._hung.add(int(words[0]))
            elif what == "child-ended":
                self.note_end(*map(int, words))
            elif what in ("start", "refused"):
                what = f"{what} {words[0]}"
            self.counts[what] += 1
            self._note_raw(what, words[0] if what == "raw-child" else pid)
            self.starved[host] += what == "refused WorkerIdsExhausted"

    def _note_raw(self, what: str, pid: str) -> None:
        """Note a child of a fork in C.

        Both tell of it: its parent may be killed before it can, and the child as well.
        """
        if what in ("raw-child", "start raw-fork"):
            self.raw.add(int(pid))

    def note_end(self, code: int, pid: int) -> None:
        """Note how a child has ended."""
        if pid in self._hung:
            self._hung.remove(pid)
        elif code == -signal.SIGSEGV and pid in self.raw:
            self.counts["child-crashed"] += 1
        elif code in EXPECTED:
            self.counts["killed children"] += code < 0
        else:
            self.failures.append(f"child {pid} ended with status {code}")
        # The number may come again.
        self.raw.discard(pid)


class Processes:
    """Those that mint."""

    def __init__(self, folder: Path, errors: Path, events: Events) -> None:
        self._folder = folder
        self._events = events
        self._errors = errors.open("ab")
        self._all: dict[int, subprocess.Popen[bytes]] = {}
        self._suspended: set[int] = set()
        self.leaving: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    @property
    def minting(self) -> list[subprocess.Popen[bytes]]:
        """Those that have not been told to end."""
        return [one for pid, one in self._all.items() if pid not in self.leaving]

    def launch(self, host: hosts.Host) -> None:
        """Start one on ``host``."""
        variables = {
            **host.clock.environment,
            "DJANGO_SETTINGS_MODULE": "verification.soak.settings",
            "UIDGEN_SOAK_HOST": host.server,
            "UIDGEN_SOAK_PORT": str(PORT),
            "UIDGEN_SOAK_LEASE": f"{random.uniform(*LEASES):.2f}",
        }
        given = [f"{name}={value}" for name, value in variables.items()]
        program = [
            sys.executable,
            "-m",
            "verification.soak.minter",
            str(self._folder),
            host.name,
        ]
        process = subprocess.Popen(
            [*host.enter, "env", *given, *program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._all[process.pid] = process
        # The number may have been another's.
        self._events.raw.discard(process.pid)

    def kill_one(self) -> None:
        """Kill one."""
        if self.minting:
            # Not by its own kill(), which would look first whether it has ended.
            os.kill(random.choice(self.minting).pid, signal.SIGKILL)

    def stop_one(self) -> int | None:
        """Suspend one; return which."""
        awake = [one for one in self.minting if one.pid not in self._suspended]
        if not awake:
            return None
        pid = random.choice(awake).pid
        os.kill(pid, signal.SIGSTOP)
        self._suspended.add(pid)
        self.counts["stops"] += 1
        return pid

    def wake(self, pid: int) -> None:
        """Let it go on, if it is still there."""
        self._suspended.discard(pid)
        if pid in self._all:
            os.kill(pid, signal.SIGCONT)

    def let_one_leave(self) -> None:
        """Ask one to end as a program does."""
        awake = [one for one in self.minting if one.pid not in self._suspended]
        if awake:
            self._dismiss(random.choice(awake))

    def _dismiss(self, process: subprocess.Popen[bytes]) -> None:
        self.leaving.add(process.pid)
        assert process.stdin is not None
        process.stdin.close()

    def reap(self) -> None:
        """Note which have ended, and how; orphans too."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._note_end(pid, os.waitstatus_to_exitcode(status))

    def _note_end(self, pid: int, code: int) -> None:
        hosts.tidy_up_after(pid)
        process = self._all.pop(pid, None)
        if process is None:
            # An orphan. What its parent told of it comes first.
            self._events.read()
            self._events.note_end(code, pid)
            return
        assert process.stdin is not None
        process.stdin.close()
        process.returncode = code
        self.leaving.discard(pid)
        self._suspended.discard(pid)
        self.counts["clean exits"] += code == 0
        self.counts["kills"] += code < 0
        if code not in EXPECTED:
            self.failures.append(f"process {pid} ended with status {code}")

    def end(self, others: set[int]) -> None:
        """Ask all to end, and wait for that; ``others`` are no concern of this."""
        for pid in list(self._suspended):
            self.wake(pid)
        for process in self.minting:
            self._dismiss(process)
        deadline = time.monotonic() + PATIENCE
        while left := children_of_this_process() - others:
            if time.monotonic() > deadline:
                self._give_up(left)
                return
            self.reap()
            time.sleep(0.05)

    def kill_all(self) -> None:
        """End what is left, suspended or not, with the children."""
        for pid in self._all:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _give_up(self, left: set[int]) -> None:
        self._events.read()
        # Orphans that hang in CPython are no finding.
        hung = left & self._events.raw
        self._events.counts["child-hung"] += len(hung)
        for pid in left - hung:
            self.failures.append(f"process {pid} did not end")
            # It writes to the errors where each of its threads is.
            os.kill(pid, signal.SIGUSR1)
        time.sleep(1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def children_of_this_process() -> set[int]:
    """Return the children, adopted ones too."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(map(int, path.read_text().split()))


class Conductor:
    """One soak."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.agenda = Agenda()
        self.events = Events(folder / "events")
        self.counts: Counter[str] = Counter()
        #: For how many seconds each host was refused on end.
        self.starving: Counter[str] = Counter()
        networked = arguments.networks
        addresses = "*" if networked else "127.0.0.1"
        data = folder / "postgres"
        data.mkdir()
        self.server = Server(
            data,
            [*CRASH_SAFE, f"port={PORT}", f"listen_addresses={addresses}"],
            networks=[f"{hosts.NETWORK}.0.0/16"] if networked else [],
        )
        kind = hosts.NetworkedHost if networked else hosts.Host
        self.hosts = [kind(number, folder) for number in range(1, arguments.hosts + 1)]
        self.processes = Processes(folder, folder / "errors", self.events)

    def run(self) -> None:
        """Do it all, for as long as was asked for."""
        self.server.start()
        self._migrate()
        for host in self.hosts:
            host.set_clock(random.uniform(-1, 1) * hosts.FURTHEST)
        self._plan()
        end = time.monotonic() + self.arguments.minutes * 60
        while time.monotonic() < end:
            self.agenda.do()
            self.processes.reap()
            self.events.read()
            if len(self.processes.minting) < self.arguments.processes:
                self.processes.launch(random.choice(self.hosts))
            time.sleep(0.05)
        self._end()

    def _migrate(self) -> None:
        database = {"UIDGEN_SOAK_HOST": "127.0.0.1", "UIDGEN_SOAK_PORT": str(PORT)}
        command = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
        subprocess.run(
            [*command, "--settings=verification.soak.settings"],
            cwd=ROOT,
            env=os.environ | database,
            check=True,
        )

    def _plan(self) -> None:
        often = self.agenda.often
        often(KILL_INTERVAL, self.processes.kill_one)
        often(STOP_INTERVAL, self._suspend)
        often(EXIT_INTERVAL, self.processes.let_one_leave)
        often(STEP_INTERVAL, self._step)
        often(CUT_INTERVAL, self._cut)
        self.agenda.after(OUTAGE_INTERVAL[0], self._stop_server)
        self.agenda.after(1, self._help_the_starving)

    def _suspend(self) -> None:
        pid = self.processes.stop_one()
        if pid is not None:
            seconds = random.uniform(0, LONGEST_PAUSE)
            self.agenda.after(seconds, lambda: self.processes.wake(pid))

    def _step(self) -> None:
        """Step the clock of a host, by a millisecond at the least."""
        longest = hosts.FURTHEST if random.random() < LONG_STEPS else SHORT_STEP
        seconds = 0.001 * (longest / 0.001) ** random.random()
        self._step_clock(random.choice(self.hosts), random.choice([-1, 1]) * seconds)

    def _step_clock(self, host: hosts.Host, seconds: float) -> None:
        before = host.clock.offset
        host.set_clock(before + seconds)
        # At the furthest that a clock may be off, a step may be none.
        self.counts["clock steps"] += host.clock.offset != before

    def _help_the_starving(self) -> None:
        """Set a clock on to where others are, if its host gets no worker id."""
        furthest = max(host.clock.offset for host in self.hosts)
        for host in self.hosts:
            if not self.events.starved.pop(host.name, 0):
                self.starving[host.name] = 0
                continue
            self.starving[host.name] += 1
            if self.starving[host.name] >= STARVING:
                self.starving[host.name] = 0
                self._step_clock(
                    host, furthest - host.clock.offset + random.uniform(0, 5)
                )
        self.agenda.after(1, self._help_the_starving)

    def _cut(self) -> None:
        """Cut a host off from the database, with statements under way."""
        host = random.choice(self.hosts)
        if host.cut():
            self.counts["cut networks"] += 1
            self.agenda.after(random.uniform(0, LONGEST_PAUSE), host.mend)

    def _stop_server(self) -> None:
        crash = random.random() < 0.5
        self.counts["database crashes" if crash else "database restarts"] += 1
        self.server.stop(crash=crash)
        # Half of them come back at once.
        pause = max(0.0, random.uniform(-LONGEST_PAUSE, LONGEST_PAUSE))
        self.agenda.after(pause, self._start_server)

    def _start_server(self) -> None:
        self.server.start()
        self.agenda.after(random.uniform(*OUTAGE_INTERVAL), self._stop_server)

    def _end(self) -> None:
        """Mend all, let the processes end, and keep what the checker needs."""
        for host in self.hosts:
            host.mend()
        if self.server.process is None:
            self.server.start()
        assert self.server.process is not None
        others = {self.server.process.pid}
        others |= {one.holder.pid for one in self.hosts if hasattr(one, "holder")}
        self.processes.end(others)
        self.events.read()
        self._write_leases()
        self.server.stop()

    def _write_leases(self) -> None:
        """Write the worker table down, and count its rows."""
        leases = self.folder / "leases"
        leases.mkdir()
        with psycopg.connect(
            host="127.0.0.1", port=PORT, user="postgres", dbname="postgres"
        ) as connection:
            rows = connection.execute(
                "SELECT generator, worker_id, term, reserved_from, reserved_until"
                " FROM django_uidgen_workernode"
            ).fetchall()
        for generator, worker_id, term, begin, end in rows:
            self.counts["leases"] += 1
            self.counts["takeovers"] += term > 1
            with (leases / generator).open("a") as file:
                file.write(f"{worker_id} {begin} {end}\n")


def check(folder: Path) -> tuple[dict[str, int], bool]:
    """Run the checker; return its figures, and whether all is well."""
    command = [sys.executable, "-m", "verification.soak.checker", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    return json.loads(done.stdout), done.returncode == 0


def report(soak: Conductor) -> bool:
    """Print the figures; return whether all is well."""
    started = time.monotonic()
    found, is_good = check(soak.folder)
    seconds = time.monotonic() - started
    counts = soak.counts + soak.processes.counts + soak.events.counts
    counts["kills"] += counts.pop("killed children", 0)
    starts = {name: counts[f"start {name}"] for name in ("launch", "fork", "raw-fork")}
    networks = "with networks of their own" if soak.arguments.networks else "plain"
    lines = {
        "minutes": f"{soak.arguments.minutes:g}, checked in {seconds:.0f} s",
        "hosts": f"{len(soak.hosts)}, {networks}",
        "processes": f"{sum(starts.values())} ({starts['launch']} launched, "
        f"{starts['fork']} forked, {starts['raw-fork']} forked past all hooks)",
        "UIDs minted": f"{found.get('UIDs', 0):,} in {found.get('runs', 0):,} runs",
        "kills": counts["kills"],
        "clean exits": counts["clean exits"],
        "suspensions": counts["stops"],
        "leases": f"{counts['leases']}, {counts['takeovers']} of them takeovers",
        "clock steps": f"{counts['clock steps']}; generators that went back with "
        f"their clock: {counts['stepped-back']}",
        "database": f"{counts['database crashes']} crashes, "
        f"{counts['database restarts']} restarts",
        "networks cut": counts["cut networks"],
        "transactions lost": counts["lost-transaction"],
        "lost to CPython after a fork in C": f"{counts['child-hung']} hung, "
        f"{counts['child-crashed']} crashed",
    }
    for name in sorted(counts):
        if name.startswith("refused "):
            lines[f"refusals: {name.removeprefix('refused ')}"] = counts[name]
    for name in ("out of order", "not leased", "leases that overlap"):
        lines[name] = found.get(name, 0)
    failures = soak.processes.failures + soak.events.failures
    lines["unexpected ends"] = len(failures)
    lines["duplicates"] = found["duplicates"]
    print()
    for name, value in lines.items():
        print(f"{name:<40} {value}")
    for failure in failures[:20]:
        print(failure)
    stops = counts["database crashes"] + counts["database restarts"]
    shows_something = bool(counts["kills"] and counts["takeovers"] and stops)
    if not shows_something:
        print("Too little was broken for this to show anything.")
    return is_good and not failures and shows_something


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.soak", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--seed", type=int, help="for what the conductor draws")
    parser.add_argument("--folder", type=Path, help="where to write, and to keep it")
    parser.add_argument(
        "--networks",
        action=argparse.BooleanOptionalAction,
        default=hosts.networks_are_permitted(),
        help="whether each host has a network of its own (default: where permitted)",
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def go_inside() -> NoReturn:
    """Start again in a network that ends with this program."""
    again = [sys.executable, "-m", "verification.soak", *sys.argv[1:], "--inside"]
    os.execvp("unshare", ["unshare", "--net", "--uts", "--mount", *again])


def main() -> int:
    """Soak, and return the exit status."""
    arguments = parse_arguments()
    if not hosts.faketime_library(hosts.FOR_FORKS):
        print("The soak steps clocks with libfaketime, which is not installed.")
        print("On Debian and Ubuntu: apt-get install faketime")
        return 1
    if arguments.networks and not arguments.inside:
        go_inside()
    # Children of killed processes become children of this one.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    stop_cleanly_on_sigterm()
    if arguments.networks:
        hosts.set_up_inside()
    random.seed(arguments.seed)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="uidgen-soak-"))
    folder.mkdir(exist_ok=True)
    # PostgreSQL does not run as root, and must reach its data.
    folder.chmod(0o755)
    soak = Conductor(arguments, folder)
    try:
        soak.run()
        is_good = report(soak)
    finally:
        soak.processes.kill_all()
        soak.server.stop()
    if is_good and not arguments.folder:
        shutil.rmtree(folder)
    else:
        print(f"All that was written is in {folder}")
    return 0 if is_good else 1
