"""Show the example project at work.

    python demo.py            run it through its paces, check what comes of it, end
    python demo.py --serve    the same site, left on until Ctrl-C

Everything happens in a new folder below ``var``, which is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
CALLBACKS = HERE / "data" / "srs-callbacks.jsonl"

SITE_WORKERS = 2
MINTERS = 4
UIDS = 100_000
PORT = 8000  # of --serve, unless it is taken
PATIENCE = 60  # seconds for one step
GRACE = 10.0  # seconds to end after SIGTERM
DEADLINE = 240  # seconds for all steps together

EXPECTED_ROWS = {
    "Stream": 2,
    "Connection": 6,
    "PublishSession": 2,
    "PlaySession": 4,
    "HlsSegment": 12,
    "Recording": 2,
}


class DemoFailed(Exception):
    """Something is not as it must be; the message says what."""


# Processes


@contextmanager
def running(
    command: Sequence[str | Path], environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside this one; stop it and its children at the end."""
    # A session of its own: Ctrl-C reaches this process alone, which stops the others.
    child = subprocess.Popen(
        command, env=environment, text=True, start_new_session=True, **options
    )
    try:
        yield child
    finally:
        _stop(child)


def _stop(child: subprocess.Popen[str]) -> None:
    try:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):  # as a rule, none of them is left
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def manage(environment: dict[str, str], *arguments: str) -> None:
    """Run a management command of the project to its end."""
    command: list[str | Path] = [sys.executable, HERE / "manage.py", *arguments]
    with running(command, environment) as child:
        if child.wait(timeout=PATIENCE):
            raise DemoFailed(f"'manage.py {arguments[0]}' ended with an error.")


class Site:
    """The site under gunicorn, at ``url``."""

    def __init__(self, url: str, process: subprocess.Popen[str], log: Path) -> None:
        self.url = url
        self.process = process
        self._log = log
        # No proxy of the environment stands between this process and its own site.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, body: dict[str, Any]) -> Any:
        """Send one callback, as SRS does, and return the answer."""
        request = urllib.request.Request(
            f"{self.url}/live/hooks/",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=PATIENCE) as response:
                return json.load(response)
        except (OSError, ValueError) as error:
            raise DemoFailed(
                f"{body['action']} was not answered: {error}\n{self.log_tail()}"
            ) from error

    def log_tail(self) -> str:
        """Return the last lines that gunicorn wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"gunicorn: {line}" for line in lines[-20:])


@contextmanager
def site(
    folder: Path, environment: dict[str, str], listener: socket.socket
) -> Iterator[Site]:
    """Run the site on a socket that listens already, so that no port is lost.

    Whoever connects before gunicorn is ready waits in the socket's queue.
    """
    host, port = listener.getsockname()
    command: list[str | Path] = [sys.executable, "-m", "gunicorn", "config.wsgi"]
    command += ["--preload", "--workers", str(SITE_WORKERS)]
    command += ["--bind", f"fd://{listener.fileno()}", "--log-level", "warning"]
    command += ["--chdir", HERE, "--config", HERE / "gunicorn.conf.py"]
    log = folder / "gunicorn.log"
    with (
        log.open("w") as stderr,
        running(
            command,
            environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        ) as process,
    ):
        # gunicorn holds it now: if gunicorn ends, those who wait hear of it.
        listener.close()
        yield Site(f"http://{host}:{port}", process, log)


def listen(port: int) -> socket.socket:
    """Return a socket at this port of this machine, or at any if it is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def environment_in(folder: Path, *, debug: bool) -> dict[str, str]:
    """Return the environment of all processes of the demo."""
    strangers = {"GUNICORN_CMD_ARGS", "LIVE_PUBLISH_TOKENS", "EXAMPLE_ALLOWED_HOSTS"}
    kept = {name: text for name, text in os.environ.items() if name not in strangers}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EXAMPLE_DB": str(folder / "example.sqlite3"),
        "EXAMPLE_SECRET_KEY": secrets.token_urlsafe(40),
        "EXAMPLE_DEBUG": "1" if debug else "0",
    }


# The steps


def send_callbacks(site: Site) -> int:
    """Send the recorded callbacks in their order; return how many there are."""
    lines = CALLBACKS.read_text().splitlines()
    for line in lines:
        body = json.loads(line)["body"]
        answer = site.call(body)
        if answer != {"code": 0}:
            raise DemoFailed(f"{body['action']} was answered with {answer!r}.")
    return len(lines)


def mint_in_processes(environment: dict[str, str]) -> dict[int, list[int]]:
    """Mint ``UIDS`` UIDs in ``MINTERS`` processes at once; return them by PID."""
    command = [sys.executable, __file__, "--mint", str(UIDS // MINTERS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ExitStack() as stack:
        children = [
            stack.enter_context(running(command, environment, **pipes))
            for _ in range(MINTERS)
        ]
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise DemoFailed("A minting process ended before it began.")
        # All have started and hold a worker id: now they mint side by side.
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=PATIENCE)[0] for child in children]
        if any(child.returncode for child in children):
            raise DemoFailed("A minting process ended with an error.")
    return {
        child.pid: [int(line) for line in output.splitlines()]
        for child, output in zip(children, outputs, strict=True)
    }


def mint(count: int) -> None:
    """Be one of the minting processes: half one by one, half as a batch."""
    import django

    django.setup()
    from django_uidgen import uid, uids

    minted = [uid()]
    print("ready", flush=True)
    sys.stdin.readline()
    minted += [uid() for _ in range(count // 2)]
    minted += uids(count - len(minted))
    print("\n".join(map(str, minted)))


def stored_keys() -> dict[str, set[int]]:
    """Return the keys of all rows of the app, by model."""
    from django.apps import apps

    return {
        model.__name__: set(model._default_manager.values_list("pk", flat=True))
        for model in apps.get_app_config("live").get_models()
    }


# What is shown


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned text; columns of numbers are flush right."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [bool(rows) and isinstance(value, int) for value in (rows or [head])[0]]
    lines = [
        "  ".join(
            cell.rjust(width) if flush_right else cell.ljust(width)
            for cell, width, flush_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [head, *cells]
    ]
    return "\n".join(f"  {line}" for line in lines)


def clock(moment: datetime | None) -> str:
    """Return the time of day to the millisecond."""
    return "" if moment is None else moment.strftime("%H:%M:%S.%f")[:-3]


def show_sessions() -> None:
    """Print the sessions with what is read from their UIDs."""
    from live.models import PlaySession, PublishSession

    from django_uidgen import parse

    rows = []
    for kind, model in (("publish", PublishSession), ("play", PlaySession)):
        for session in model._default_manager.select_related(
            "stream", "connection"
        ).order_by("pk"):
            parts = parse(session.pk)
            rows.append(
                (
                    kind,
                    session.pk,
                    str(session.stream),
                    str(session.connection),
                    f"{parts.minted_at:%Y-%m-%d} {clock(parts.minted_at)}",
                    parts.worker_id,
                )
            )
    print("\nSessions, with the time (UTC) and the worker id read from their UIDs\n")
    head = ("session", "UID", "stream", "client", "minted at", "worker id")
    print(table(head, rows))


def show_workers(uids: Sequence[int], names: dict[int, str]) -> None:
    """Print the worker table with how many of the UIDs each lease accounts for.

    ``names`` says what the processes are, by PID; others are workers of the site.

    Raise ``DemoFailed`` if a UID is not covered by exactly one lease.
    """
    from django_uidgen import parse
    from django_uidgen.models import WorkerNode

    nodes = list(WorkerNode.objects.order_by("pk"))
    counts = dict.fromkeys(range(len(nodes)), 0)
    for uid in uids:
        parts = parse(uid)
        holders = [
            index
            for index, node in enumerate(nodes)
            if node.worker_id == parts.worker_id
            and node.reserved_from <= parts.tick
            and (node.reserved_until is None or parts.tick < node.reserved_until)
        ]
        if len(holders) != 1:
            raise DemoFailed(f"{uid} is covered by {len(holders)} leases, not by 1.")
        counts[holders[0]] += 1
    rows = [
        (
            node.worker_id,
            node.term,
            node.state,
            node.process_id,
            names.get(node.process_id, "site, worker"),
            clock(node.launched_at),
            clock(node.reserved_until_at),
            counts[index],
        )
        for index, node in enumerate(nodes)
    ]
    print("\nWorker table: who may mint with which worker id (host", end=" ")
    print(f"{socket.gethostname()!r}, times in UTC)\n")
    head = (
        "worker id",
        "term",
        "state",
        "PID",
        "process",
        "launched",
        "leased until",
        "UIDs",
    )
    print(table(head, rows))


def check_times(keys: Sequence[int], began: datetime) -> None:
    """Raise ``DemoFailed`` if a key tells a time at which the demo did not run."""
    from django_uidgen import parse

    slack = timedelta(seconds=2)
    for key in keys:
        minted_at = parse(key).minted_at
        if not began - slack <= minted_at <= datetime.now(UTC) + slack:
            raise DemoFailed(f"{key} tells {minted_at}, when the demo did not run.")


def check_sessions_ended() -> None:
    """Raise ``DemoFailed`` if a session is open: the recording ends them all."""
    from live.models import PlaySession, PublishSession

    for model in (PublishSession, PlaySession):
        open_now = model._default_manager.filter(ended_at=None).count()
        if open_now:
            raise DemoFailed(f"{model.__name__}: {open_now} are open.")


# The two ways to run it


def run_through(folder: Path) -> None:
    """Migrate, serve, send, mint, show and check."""
    began = datetime.now(UTC)
    environment = environment_in(folder, debug=False)
    manage(environment, "migrate", "--verbosity=0")
    with site(folder, environment, listen(0)) as example:
        print(f"The example runs at {example.url} on SQLite: ", end="")
        print(f"gunicorn --preload with {SITE_WORKERS} workers.")
        sent = send_callbacks(example)
        print(f"Sent it {sent} recorded callbacks of a media server.")
        set_up_django(environment)
        keys = stored_keys()
        rows = {name: len(found) for name, found in keys.items()}
        if rows != EXPECTED_ROWS:
            raise DemoFailed(f"Rows are {rows}, not {EXPECTED_ROWS}.")
        send_callbacks(example)
        if stored_keys() != keys:
            raise DemoFailed("The same callbacks, sent again, changed the rows.")
        check_sessions_ended()
        print("Sent them again: every row is as it was.")
        show_sessions()
        minted_by = mint_in_processes(environment)
        minted = [uid for uids in minted_by.values() for uid in uids]
        of_rows = [key for found in keys.values() for key in found]
        check_times(of_rows, began)
        names = dict.fromkeys(minted_by, "minting")
        names[example.process.pid] = "site, parent"
        show_workers([*minted, *of_rows], names)
    duplicates = len(minted) + len(of_rows) - len({*minted, *of_rows})
    print(f"\nMinted {len(minted):,} UIDs in {MINTERS} processes at once; ", end="")
    print(f"with {len(of_rows)} keys of rows: {duplicates} duplicates.")
    if duplicates or len(minted) != UIDS:
        raise DemoFailed(f"It had to be {UIDS:,} UIDs and 0 duplicates.")


def set_up_django(environment: dict[str, str]) -> None:
    """Let this process read the site's database."""
    os.environ.update(environment)
    import django

    django.setup()


def serve(folder: Path) -> None:
    """Migrate, load the callbacks and leave the site on."""
    environment = environment_in(folder, debug=True)
    password = secrets.token_urlsafe(9)
    manage(environment, "migrate", "--verbosity=0")
    manage(
        environment | {"DJANGO_SUPERUSER_PASSWORD": password},
        *("createsuperuser", "--noinput", "--verbosity=0"),
        *("--username=demo", "--email=demo@example.com"),
    )
    with site(folder, environment, listen(PORT)) as example:
        sent = send_callbacks(example)
        signal.alarm(0)
        print(f"The example is on, with {sent} recorded callbacks of a media server.\n")
        addresses = [
            ("back office", f"{example.url}/admin/"),
            ("log in as", f"demo, password {password}"),
            ("REST endpoints", f"{example.url}/live/"),
            ("mint and parse", f"{example.url}/api/uids/"),
            ("for your SRS", f"{example.url}/live/hooks/"),
        ]
        for name, address in addresses:
            print(f"  {name:<16}{address}")
        print("\nCtrl-C ends it and removes its database.", flush=True)
        example.process.wait()
        raise DemoFailed(f"gunicorn ended by itself.\n{example.log_tail()}")


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    if number == signal.SIGALRM:
        raise DemoFailed(f"It took longer than {DEADLINE} seconds.")
    raise SystemExit(128 + number)


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--serve", action="store_true", help="leave the site on")
    parser.add_argument("--mint", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mint is not None:
        mint(arguments.mint)
        return 0
    # Ended from outside, it still stops what it started.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, _on_signal)
    signal.alarm(DEADLINE)
    (HERE / "var").mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="demo-", dir=HERE / "var") as folder:
            (serve if arguments.serve else run_through)(Path(folder))
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 0 if arguments.serve else 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
