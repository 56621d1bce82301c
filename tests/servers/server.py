"""Start a program that serves the project, ask it for UIDs, and compare them all."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import combinations, count, pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.request import ProxyHandler, build_opener

from django_uidgen import conf
from django_uidgen.models import WorkerNode
from tests.servers.project import parent

ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which something that is waited for will not come any more.
PATIENCE = 60

#: How many clients ask at a time, how often all together, and for how many UIDs.
CLIENTS = 6
REQUESTS = 60
COUNT = 100

_open = build_opener(ProxyHandler({})).open


class Answer(NamedTuple):
    """UIDs that a process handed out between two moments."""

    begin: float
    end: float
    pid: int
    uids: list[int]


class Server:
    """A program that runs, and all that it has answered."""

    def __init__(self, folder: Path, process: subprocess.Popen, log: Path) -> None:
        self.process = process
        self.answers: list[Answer] = []
        self.address = ""
        self._minted = folder
        self._log = log

    # What the program does.

    @property
    def log(self) -> str:
        """All that the program and its children have written."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, times: int = 1) -> list[str]:
        """Return what ``pattern`` found in the log, as soon as it is there so often."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = re.findall(pattern, self.log)
            return len(found) >= times

        self.wait_until(is_there, f"{pattern!r} in the log")
        return found

    def wait_until(self, condition, what: str) -> None:
        """Return as soon as ``condition`` holds, while the program runs."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"ended, with no {what}"
            assert time.monotonic() < deadline, f"no {what}"
            time.sleep(0.02)

    # What it answers.

    @property
    def pids(self) -> set[int]:
        """The processes that have answered."""
        return {answer.pid for answer in self.answers}

    @property
    def pid(self) -> int:
        """The process that was started, and that has forked the others."""
        return self.process.pid

    def minted(self) -> dict[int, list[int]]:
        """Return what processes kept that minted before a fork, or while loading."""
        return {
            int(file.name): [int(line) for line in file.read_text().splitlines()]
            for file in self._minted.iterdir()
        }

    def ask(self, path: str) -> None:
        """Ask for UIDs over HTTP."""
        begin = time.monotonic()
        with _open(f"{self.address}/{path}?count={COUNT}", timeout=PATIENCE) as answer:
            self.note(begin, json.load(answer))

    def note(self, begin: float, answer: dict) -> None:
        """Keep an answer to what was asked at ``begin``."""
        uids = [int(uid) for uid in answer["uids"]]
        self.answers.append(Answer(begin, time.monotonic(), answer["pid"], uids))

    def drive(self, *paths: str, pids: int = 1, requests: int = REQUESTS) -> None:
        """Have clients ask so often, and on until so many processes have answered."""
        deadline = time.monotonic() + PATIENCE
        wanted = len(self.answers) + requests

        def ask_on(client: int) -> None:
            for turn in count(client):
                if len(self.answers) >= wanted and len(self.pids) >= pids:
                    return
                assert time.monotonic() < deadline, f"only {self.pids} answer"
                self.ask(paths[turn % len(paths)])

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(ask_on, range(CLIENTS)))

    # What must hold.

    def assert_nothing_repeats(self, *, parent_minted: bool = True) -> None:
        """Compare all that was handed out, and with the leases in the table."""
        minted = self.minted()
        if parent_minted:
            assert len(minted[self.pid]) > parent.COUNT
            assert self.pid not in self.pids
        parts = [answer.uids for answer in self.answers] + list(minted.values())
        uids = [uid for part in parts for uid in part]
        assert len(set(uids)) == len(uids)
        self._assert_in_order()
        self._assert_leases_are_their_own(minted)

    def _assert_in_order(self) -> None:
        by_pid = defaultdict(list)
        for answer in self.answers:
            assert all(one < other for one, other in pairwise(answer.uids))
            by_pid[answer.pid].append(answer)
        for answers in by_pid.values():
            answers.sort()
            for one, other in combinations(answers, 2):
                # Else they were under way at the same time.
                assert one.end >= other.begin or one.uids[-1] < other.uids[0]

    def _assert_leases_are_their_own(self, minted: dict[int, list[int]]) -> None:
        """No process mints with what it inherited, even where nothing repeats yet."""
        layout = conf.get_config("default").layout
        leases = defaultdict(list)
        for node in WorkerNode.objects.all():
            leases[node.worker_id].append(node)
        by_pid = defaultdict(set)
        for pid, uids in [(one.pid, one.uids) for one in self.answers] + [
            *minted.items()
        ]:
            by_pid[pid].update(layout.decompose(uid)[:2] for uid in uids)
        for pid, places in by_pid.items():
            owners = {
                node.process_id
                for tick, worker_id in places
                for node in leases[worker_id]
                if node.reserved_from <= tick < node.reserved_until
            }
            assert owners == {pid}

    @staticmethod
    def unreleased_leases() -> set[int]:
        """Return the processes that have not released their lease."""
        leases = WorkerNode.objects.filter(sealed=False, released_at=None)
        return set(leases.values_list("process_id", flat=True))

    @staticmethod
    def owners() -> set[int]:
        """Return the processes that have leased a worker id."""
        return set(WorkerNode.objects.values_list("process_id", flat=True))

    def stop(self) -> None:
        """End the program as its service manager does, and wait for it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


@contextmanager
def running(
    folder: Path, settings: str, command: list[str], environ: dict[str, str]
) -> Iterator[Server]:
    """Run a program, and end it with all its children, whatever happens."""
    log, minted = folder / "log", folder / "minted"
    minted.mkdir()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "tests.servers.project.settings",
                "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
                "PYTHONUNBUFFERED": "1",
                "UIDGEN_TEST_SETTINGS": settings,
                parent.FOLDER: str(minted),
            }
            | environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(minted, process, log)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(server.log)  # noqa: T201 - shown with a test that fails


def free_address() -> str:
    """Return an address for a program that has to be told one."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        host, port = one.getsockname()
    return f"{host}:{port}"


def program(name: str) -> str:
    """Return the program that is installed beside this Python."""
    path = Path(sys.executable).parent / name
    assert path.exists(), f"{name} is missing: make servers"
    return str(path)
