"""Keep processes minting, fail their database over, and have the outcome checked."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django_uidgen.conf_validation import validated
from django_uidgen.generator_config import InvalidSetting
from tools import mariadb, replication
from tools.postgres import stop_cleanly_on_sigterm
from verification.failover import ALIAS, SETTINGS
from verification.failover.outcome import Outcome, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

#: The kinds of servers.
SERVERS: dict[str, Callable[[Path], replication.Nodes]] = {
    "postgres": replication.PostgresNodes,
    "mariadb": mariadb.MariadbNodes,
}

#: Few worker ids, so that what was forgotten is soon leased again.
WORKER_IDS = [0, 11]
FAILOVER_WORKER_IDS = [12, 59]

#: Short leases. A quarantine lasts LEASE + MAX_LEAD + 3 * MAX_CLOCK_SKEW: 8 s.
OPTIONS = {"LEASE": 6.0, "MAX_LEAD": 0.5, "MAX_CLOCK_SKEW": 0.5, "MAX_WAIT": 2.0}
QUARANTINE = 8.0

#: So many rows of the worker table are lost at each failover, at the least.
LOST_ROWS = 12

#: Seconds that the processes have to end.
PATIENCE = 90.0


def uidgen(*, quarantine: bool) -> dict[str, Any]:
    """Return the setting UIDGEN, with or without the quarantine after a failover."""
    reserve = FAILOVER_WORKER_IDS if quarantine else None
    options: dict[str, Any] = {**OPTIONS, "FAILOVER_WORKER_IDS": reserve}
    if not quarantine and not quarantine_is_known():
        del options["FAILOVER_WORKER_IDS"]
    return {ALIAS: {"WORKER_IDS": WORKER_IDS, "OPTIONS": options}}


def quarantine_is_known() -> bool:
    """Tell whether this version of the package has a quarantine after failovers."""
    try:
        validated(ALIAS, uidgen(quarantine=True)[ALIAS], ["default"])
    except InvalidSetting:
        return False
    return True


class Run:
    """One run on a replication, with everything that it writes in one folder."""

    def __init__(
        self, replicated: replication.Replication, folder: Path, setting: dict[str, Any]
    ) -> None:
        self._replication = replicated
        self._folder = folder
        given = {"DATABASE": replicated.database, "UIDGEN": setting}
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "verification.failover.settings",
            SETTINGS: json.dumps(given),
        }
        self._promotions = 0
        self._lost_rows = 0

    def migrate(self) -> None:
        """Make the worker table."""
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
            cwd=ROOT,
            env=self._environment,
            timeout=PATIENCE,
            check=True,
        )

    @contextmanager
    def minting(self, processes: int) -> Iterator[None]:
        """Have so many processes mint in the block, and end in good order with it."""
        program = ["verification.failover.minter", str(self._folder), str(processes)]
        with (self._folder / "errors").open("wb") as errors:
            minter = subprocess.Popen(
                [sys.executable, "-m", *program],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            yield
            assert minter.stdin is not None
            minter.stdin.close()
            if minter.wait(PATIENCE):
                said = (self._folder / "errors").read_text()
                raise RuntimeError(f"The processes that mint failed:\n{said}")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(minter.pid, signal.SIGKILL)
            minter.wait()

    def fail_over(self) -> None:
        """Let the standby miss some leases, and promote it."""
        servers = self._replication
        servers.add_standby()
        self._wait_for_claims(LOST_ROWS)
        servers.lose_what_follows()
        standby = servers.standby
        assert standby is not None
        kept = self._rows(standby)
        self._wait_for_claims(LOST_ROWS)
        self._lost_rows += self._rows(servers.primary) - kept
        servers.fail_over()
        self._promotions += 1
        self._wait_for_claims(LOST_ROWS)

    def _wait_for_claims(self, count: int) -> None:
        """Wait until so many more rows are in the worker table."""
        primary = self._replication.primary
        enough = self._rows(primary) + count
        replication.wait_until(
            lambda: self._rows(primary) >= enough, "processes claim worker ids"
        )

    def _rows(self, node: replication.Node) -> int:
        database = self._replication.database["NAME"]
        schema = "public" if database == "postgres" else database
        table = f"{schema}.django_uidgen_workernode"
        return int(node.query(f"SELECT count(*) FROM {table}"))

    def outcome(self) -> Outcome:
        """Return what came of it."""
        return gather(
            self._folder, promotions=self._promotions, lost_rows=self._lost_rows
        )


def run(
    kind: str,
    folder: Path,
    *,
    quarantine: bool,
    processes: int = 8,
    minutes: float = 0.0,
    promotions: int = 2,
) -> Outcome:
    """Fail over for so long, and at least so often; return what came of it.

    ``folder``: a new one, which other users may reach.
    """
    nodes = SERVERS[kind](folder)
    with replication.running(nodes) as replicated:
        one = Run(replicated, folder, uidgen(quarantine=quarantine))
        one.migrate()
        end = time.monotonic() + minutes * 60
        done = 0
        with one.minting(processes):
            while done < promotions or time.monotonic() < end:
                one.fail_over()
                done += 1
                # Sometimes the next failover comes within the quarantine.
                time.sleep(random.uniform(0, 1.5 * QUARANTINE))
        return one.outcome()


def available() -> list[str]:
    """Return the kinds of servers that can be run here."""
    driver = importlib.util.find_spec("MySQLdb")
    return ["postgres", *(["mariadb"] if driver and mariadb.is_installed() else [])]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.failover", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=2, help="of each run")
    parser.add_argument("--promotions", type=int, default=3, help="at the least")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--servers", choices=SERVERS, nargs="+", default=available())
    parser.add_argument(
        "--quarantine",
        choices=["with", "without"],
        nargs="+",
        default=["with", "without"],
        help="whether claims after a failover take reserved worker ids",
    )
    return parser.parse_args()


def report(kind: str, quarantine: str, arguments: argparse.Namespace) -> bool:
    """Do one run, print its figures, and tell whether they are as they should be.

    Without the quarantine duplicates are found: else the run shows nothing.
    """
    print(f"\n{kind}, {quarantine} the quarantine", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="uidgen-failover-"))
    # The servers do not run as root, and must reach their data.
    folder.chmod(0o755)
    outcome = run(
        kind,
        folder,
        quarantine=quarantine == "with",
        processes=arguments.processes,
        minutes=arguments.minutes,
        promotions=arguments.promotions,
    )
    for name, value in outcome.lines().items():
        print(f"{name:<32} {value}")
    is_good = outcome.good if quarantine == "with" else outcome.duplicates > 0
    if is_good:
        shutil.rmtree(folder)
    else:
        print(f"All that was written is in {folder}")
    return is_good


def main() -> int:
    """Do all runs that were asked for; return the exit status."""
    arguments = parse_arguments()
    stop_cleanly_on_sigterm()
    if "with" in arguments.quarantine and not quarantine_is_known():
        print("This version of the package knows no quarantine.")
        arguments.quarantine.remove("with")
    ways = product(arguments.servers, arguments.quarantine)
    results = [report(kind, quarantine, arguments) for kind, quarantine in ways]
    return 0 if all(results) else 1
