"""Keep processes minting on a cluster, break things, and have the outcome checked."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from tools import galera
from tools.postgres import stop_cleanly_on_sigterm
from verification.galera.balancer import Balancer

ROOT = Path(__file__).resolve().parents[2]

#: Seconds between two bursts, in each of which a part of the processes is replaced.
BURST_INTERVAL = 4.0
BURST_SHARE = 0.4

#: Seconds between the return of one node and the kill of the next, and of its absence.
NODE_INTERVAL = 10.0
ABSENCE = 5.0

#: Seconds that the processes have to end.
PATIENCE = 60.0

#: What counts of a node's own figures.
FIGURES = {
    "wsrep_local_cert_failures": "failed certifications",
    "wsrep_local_bf_aborts": "transactions aborted by another node's",
}


#: Let a node answer when it has all that the others have committed.
CAUSAL = "SET SESSION wsrep_sync_wait = 1"

LEASES = (
    "SELECT generator, worker_id, reserved_from, reserved_until, term "
    "FROM django_uidgen_workernode ORDER BY id"
)


class Scenario:
    """A cluster, and the processes that mint on it.

    ``balanced``: whether all of them use the balancer, or some use one node each.
    """

    def __init__(
        self, cluster: galera.Cluster, folder: Path, processes: int, *, balanced: bool
    ) -> None:
        self._cluster = cluster
        self._folder = folder
        self._count = processes
        self._balanced = balanced
        self._absent: set[galera.Node] = set()
        self.balancer = Balancer(self._ports_up)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._launched = 0
        self.counts: Counter[str] = Counter()
        #: What a node had counted when it was last asked.
        self._asked: dict[tuple[str, str], int] = {}
        self.unexpected: list[str] = []

    def _ports_up(self) -> list[int]:
        nodes = self._cluster.nodes
        return [node.port for node in nodes if node not in self._absent]

    # Processes.

    def launch(self, count: int) -> None:
        """Start processes, and let them claim at once."""
        ports = [self.balancer.port]
        if not self._balanced:
            ports += [node.port for node in self._cluster.nodes]
        started = []
        for _ in range(count):
            port = ports[self._launched % len(ports)]
            started.append(self._start(port))
            self._launched += 1
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        self._processes += started
        self.counts["processes"] += count

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "verification.galera.minter"]
        return subprocess.Popen(
            [*command, str(self._folder)],
            cwd=ROOT,
            env=os.environ | environment(port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def burst(self) -> None:
        """Kill some processes, let others exit, and launch as many at once."""
        count = round(len(self._processes) * BURST_SHARE)
        leaving = random.sample(self._processes, count)
        for process in leaving:
            if random.random() < 0.5:
                kill(process)
                self.counts["processes killed"] += 1
        self._end([one for one in leaving if one.poll() is None])
        for process in leaving:
            self._processes.remove(process)
        self.launch(self._count - len(self._processes))

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Let processes exit, and see that they do."""
        for process in processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        give_up = time.monotonic() + PATIENCE
        for process in processes:
            try:
                status = process.wait(max(give_up - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                kill(process)
                self.unexpected.append("a process did not end")
            else:
                if status:
                    self.unexpected.append(f"a process ended with {status}")

    # Nodes.

    def kill_node(self, node: galera.Node) -> None:
        """End a node as a crash does."""
        self.ask(node)
        self._absent.add(node)
        node.kill()
        self.counts["nodes killed"] += 1

    def bring_back(self, node: galera.Node) -> None:
        """Start the node again, and wait until it is one of the cluster."""
        self._cluster.bring_back(node)
        node.wait_until_ready()
        for name in FIGURES:  # it counts from 0 again
            self._asked[node.name, name] = 0
        self._absent.discard(node)
        self.counts["nodes that came back"] += 1

    def ask(self, node: galera.Node) -> None:
        """Add what a node has counted since it was last asked."""
        status = node.status()
        for name, what in FIGURES.items():
            value = int(status.get(name, 0))
            self.counts[what] += max(value - self._asked.get((node.name, name), 0), 0)
            self._asked[node.name, name] = value

    # The run.

    def run(self, seconds: float) -> None:
        """Keep processes minting for so long while nodes go and come."""
        end = time.monotonic() + seconds
        self.launch(self._count)
        turn = 0
        while time.monotonic() < end:
            self._bursts(NODE_INTERVAL)
            node = self._cluster.nodes[turn % len(self._cluster.nodes)]
            turn += 1
            self.kill_node(node)
            self._bursts(ABSENCE)
            self.bring_back(node)
        self._bursts(NODE_INTERVAL)
        self._end(self._processes)
        self._processes.clear()
        for node in self._cluster.nodes:
            self.ask(node)

    def _bursts(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(BURST_INTERVAL, max(end - time.monotonic(), 0)))
            self.burst()

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self._processes:
            kill(process)
        self.balancer.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment(port: int) -> dict[str, str]:
    """Return what a process needs to use the node, or the balancer, at ``port``."""
    return {
        "DJANGO_SETTINGS_MODULE": "verification.galera.settings",
        "UIDGEN_GALERA_PORT": str(port),
    }


def prepare(cluster: galera.Cluster, folder: Path) -> None:
    """Make the database with the worker table, and the folders of the logs."""
    from verification.galera.settings import WORKER_IDS

    cluster.nodes[0].query("CREATE DATABASE uidgen")
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env=os.environ | environment(cluster.nodes[0].port),
        check=True,
    )
    for alias in WORKER_IDS:
        (folder / "logs" / alias).mkdir(parents=True)
    (folder / "events").touch()


def write_leases(cluster: galera.Cluster, folder: Path) -> Counter[str]:
    """Write the rows of the worker table for the checker, and count them."""
    tables = [node.query(CAUSAL, LEASES, database="uidgen") for node in cluster.nodes]
    rows = tables[0]
    (folder / "leases").mkdir()
    for alias in {row[0] for row in rows}:
        lines = [" ".join(map(str, row[1:4])) + "\n" for row in rows if row[0] == alias]
        (folder / "leases" / alias).write_text("".join(lines))
    takeovers = sum(row[4] > 1 for row in rows)
    differing = sum(table != rows for table in tables)
    return Counter(
        {
            "leases": len(rows),
            "of them takeovers": takeovers,
            "nodes whose table differs": differing,
        }
    )


def main() -> int:
    """Run the scenario, print its figures, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m verification.galera")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--balanced", action="store_true", help="by a balancer alone")
    arguments = parser.parse_args()
    if not galera.is_installed():
        parser.exit(2, "Galera is missing (Debian: mariadb-server galera-4 rsync)\n")
    stop_cleanly_on_sigterm()
    os.environ |= environment(0)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="uidgen-soak-"))
        )
        began = time.monotonic()
        cluster = stack.enter_context(galera.running())
        print(f"Three nodes are up after {time.monotonic() - began:.0f} s.", flush=True)
        prepare(cluster, folder)
        count, balanced = arguments.processes, arguments.balanced
        scenario = Scenario(cluster, folder, count, balanced=balanced)
        stack.callback(scenario.stop)
        scenario.run(60 * arguments.minutes)
        figures = scenario.counts
        figures += Counter((folder / "events").read_text().splitlines())
        leases = write_leases(cluster, folder)
        checked = subprocess.run(
            [sys.executable, "-m", "verification.soak.checker", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=False,
        )
        found = json.loads(checked.stdout)
    figures.update(leases)
    for what, count in [*figures.items(), *found.items()]:
        print(f"{what}: {count:,}")
    for what in scenario.unexpected:
        print(f"unexpected: {what}")
    good = checked.returncode == 0 and not scenario.unexpected
    return 0 if good and not figures["nodes whose table differs"] else 1
