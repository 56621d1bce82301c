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

from django_uidgen import conf_validation
from tools import mariadb, patroni, replication
from tools.postgres import stop_cleanly_on_sigterm
from verification.failover import ALIAS, SETTINGS
from verification.failover.outcome import Outcome, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

#: The kinds of clusters.
CLUSTERS = ["postgres", "mariadb", "patroni"]

#: Enough worker ids for eight processes, and for those that crashed during one lease;
#: and a reserve that takes what is claimed during a quarantine.
WORKER_IDS, FAILOVER_WORKER_IDS = [0, 11], [12, 63]

#: The lengths of leases, in seconds: short, but longer than a failover takes.
LEASES = {"postgres": 6.0, "mariadb": 6.0, "patroni": 20.0}

#: The other options. The clock is that of one machine.
MAX_LEAD, MAX_CLOCK_SKEW, MAX_WAIT = 0.5, 0.5, 2.0

#: So many rows of the worker table are lost at each failover, at the least.
LOST_ROWS = 12

#: Seconds that the processes have to end.
PATIENCE = 90.0


def uidgen(lease: float, *, quarantine: bool) -> dict[str, Any]:
    """Return the setting UIDGEN, with or without the quarantine after a failover.

    There are few worker ids, so that what was forgotten is soon leased again.
    """
    options: dict[str, Any] = {
        "LEASE": lease,
        "MAX_LEAD": MAX_LEAD,
        "MAX_CLOCK_SKEW": MAX_CLOCK_SKEW,
        "MAX_WAIT": MAX_WAIT,
    }
    if quarantine:
        options["FAILOVER_WORKER_IDS"] = FAILOVER_WORKER_IDS
    elif quarantine_is_known():
        options["FAILOVER_WORKER_IDS"] = None
    return {ALIAS: {"WORKER_IDS": WORKER_IDS, "OPTIONS": options}}


def quarantine_is_known() -> bool:
    """Tell whether this version of the package has a quarantine after failovers."""
    return "FAILOVER_WORKER_IDS" in conf_validation._OPTIONS


def new_cluster(kind: str, folder: Path, standbys: int) -> replication.Cluster:
    """Return a cluster that is not started yet."""
    if kind == "patroni":
        return patroni.PatroniCluster(folder)
    nodes: replication.Nodes
    if kind == "mariadb":
        nodes = mariadb.MariadbNodes(folder)
    else:
        nodes = replication.PostgresNodes(folder)
    return replication.Replication(nodes, standbys=standbys)


class Run:
    """One run on a replication, with everything that it writes in one folder."""

    def __init__(
        self, cluster: replication.Cluster, folder: Path, setting: dict[str, Any]
    ) -> None:
        self._cluster = cluster
        self._folder = folder
        given = {"DATABASE": cluster.database, "UIDGEN": setting}
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "verification.failover.settings",
            SETTINGS: json.dumps(given),
        }
        self.promotions = 0
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

    def fail_over(self, standbys: int) -> None:
        """Let the standbys miss some leases, and promote one after the other."""
        cluster = self._cluster
        cluster.add_standbys()
        self._wait_for_claims(LOST_ROWS)
        cluster.lose_what_follows()
        for _ in range(standbys):
            self._wait_for_claims(LOST_ROWS)
            self._lost_rows += self._rows(cluster.primary) - self._rows(cluster.standby)
            cluster.fail_over()
            self.promotions += 1
        self._wait_for_claims(LOST_ROWS)

    def _wait_for_claims(self, count: int) -> None:
        """Wait until so many more rows are in the worker table."""
        primary = self._cluster.primary
        enough = self._rows(primary) + count
        replication.wait_until(
            lambda: self._rows(primary) >= enough, "processes claim worker ids"
        )

    def _rows(self, server: replication.Server) -> int:
        database = self._cluster.database["NAME"]
        schema = "public" if database == "postgres" else database
        table = f"{schema}.django_uidgen_workernode"
        return int(server.query(f"SELECT count(*) FROM {table}"))

    def outcome(self) -> Outcome:
        """Return what came of it."""
        return gather(
            self._folder, promotions=self.promotions, lost_rows=self._lost_rows
        )


def run(
    kind: str,
    folder: Path,
    *,
    quarantine: bool,
    processes: int = 8,
    standbys: int = 1,
    enough: Callable[[Run], bool],
) -> Outcome:
    """Fail over until ``enough`` says so; return what came of it.

    ``folder``: a new one, which other users may reach. ``standbys``: so many failovers
    follow each other at once.
    """
    lease = LEASES[kind]
    longest_pause = 1.5 * (lease + MAX_LEAD + 3 * MAX_CLOCK_SKEW)
    cluster = new_cluster(kind, folder, standbys)
    with replication.running(cluster):
        one = Run(cluster, folder, uidgen(lease, quarantine=quarantine))
        one.migrate()
        with one.minting(processes):
            one.fail_over(standbys)
            while not enough(one):
                # Sometimes the next failover comes within the quarantine.
                time.sleep(random.uniform(0, longest_pause))
                one.fail_over(standbys)
        return one.outcome()


def available() -> list[str]:
    """Return the kinds of clusters that are run where none is named."""
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
    parser.add_argument(
        "--standbys", type=int, choices=[1, 2], default=1, help="not with Patroni"
    )
    parser.add_argument("--clusters", choices=CLUSTERS, nargs="+", default=available())
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
    promotions: int = arguments.promotions
    end: float = time.monotonic() + arguments.minutes * 60

    def enough(one: Run) -> bool:
        return one.promotions >= promotions and time.monotonic() >= end

    outcome = run(
        kind,
        folder,
        quarantine=quarantine == "with",
        processes=arguments.processes,
        standbys=1 if kind == "patroni" else arguments.standbys,
        enough=enough,
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
    if "patroni" in arguments.clusters and not patroni.is_installed():
        print("Patroni or what it needs is not installed.")
        print("On Debian: apt-get install postgresql patroni etcd-server")
        return 1
    if "with" in arguments.quarantine and not quarantine_is_known():
        print("This version of the package knows no quarantine.")
        arguments.quarantine.remove("with")
    ways = product(arguments.clusters, arguments.quarantine)
    results = [report(kind, quarantine, arguments) for kind, quarantine in ways]
    return 0 if all(results) else 1
