"""The command ``uidgen``."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_uidgen import generators, parse
from django_uidgen.models import WorkerNode
from tests.settings.base import ROOT
from tests.support.leases import add_lease, uid_of

#: No UID is in any of them.
NO_UIDS = [
    "abc",
    "",
    " ",
    "0",
    "-5",
    "+5",
    "1.5",
    "-1.5",
    "1e5",
    "0x1f",
    "1_000",
    "٣",
    "007",
    "None",
    str(2**63),
    "9" * 10_000,
    "-" + "9" * 10_000,
]
NO_COUNTS = [*NO_UIDS, "1.0", str(10**18), None, True, 1.5, 0, -1]


def uidgen(*arguments: str, **options) -> str:
    """Run the command in this process and return what it prints."""
    out = io.StringIO()
    call_command("uidgen", *arguments, stdout=out, **options)
    return out.getvalue()


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "django", "uidgen", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def no_table(transactional_db):
    """A database in which the worker table is missing."""
    table = connection.ops.quote_name(WorkerNode._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
        yield
        cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")


class Terminal(io.StringIO):
    """A stream that says that someone is watching."""

    def isatty(self) -> bool:
        return True


# generate


def test_generate_prints_one_uid():
    """Without arguments it is one UID of the default generator."""
    before = generators["default"].uid()
    (line,) = uidgen("generate").splitlines()
    assert int(line) > before


@pytest.mark.parametrize("count", [1, 2, 9_999, 10_000, 10_001, 20_000, 25_000])
@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("plain", str.splitlines),
        ("json", json.loads),
        ("csv", lambda text: text.removeprefix("uid\n").splitlines()),
    ],
)
def test_generate_prints_as_many_as_asked_for(form, read, count):
    """Each form holds the UIDs as text, in ascending order, whatever their number."""
    text = uidgen("generate", "-n", str(count), "--format", form)
    assert text.endswith("\n")
    uids = read(text)
    assert len(uids) == count
    numbers = [int(uid) for uid in uids]
    assert [str(number) for number in numbers] == uids
    assert all(a < b for a, b in pairwise(numbers))


def test_csv_has_a_header():
    """Its one column is named."""
    assert uidgen("generate", "--format", "csv").startswith("uid\n")


def test_generate_uses_the_generator_that_was_named(settings):
    """It need not be the default one."""
    settings.UIDGEN = {"default": {}, "orders": {"TEST": {"WORKER_ID": 7}}}
    uid = uidgen("generate", "--generator", "orders")
    assert parse(uid.strip(), "orders").worker_id == 7
    assert parse(uidgen("generate").strip()).worker_id == 0


def test_generate_takes_options_from_code():
    """call_command gives them as values, past the parser of the command line."""
    assert len(uidgen("generate", count=3).splitlines()) == 3


def test_generate_holds_few_uids_at_a_time(monkeypatch):
    """What is minted is written before more is minted: memory stays flat."""
    asked: list[int] = []
    generator = generators["default"]
    real = generator.uids

    def uids(count: int) -> list[int]:
        asked.append(count)
        assert out.getvalue().count("\n") >= sum(asked[:-1]) - 1
        return real(count)

    monkeypatch.setattr(generator, "uids", uids)
    out = io.StringIO()
    call_command("uidgen", "generate", "-n", "35000", stdout=out)
    assert asked == [10_000, 10_000, 10_000, 5_000]


def test_progress_is_shown_on_a_terminal():
    """The count goes to stderr, and ends with a new line."""
    err = Terminal()
    uidgen("generate", "-n", "25000", stderr=err)
    assert err.getvalue() == (
        "10,000 of 25,000 UIDs\r20,000 of 25,000 UIDs\r25,000 of 25,000 UIDs\n"
    )


@pytest.mark.parametrize(
    ("count", "out", "err"),
    [
        ("25000", io.StringIO, io.StringIO),
        ("25000", Terminal, Terminal),
        ("10000", io.StringIO, Terminal),
    ],
)
def test_no_progress(count, out, err):
    """Not in a file, not among UIDs on the same terminal, not for a moment's work."""
    stderr = err()
    call_command("uidgen", "generate", "-n", count, stdout=out(), stderr=stderr)
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("count", NO_COUNTS, ids=lambda count: repr(count)[:12])
def test_a_count_that_is_none(count):
    """The error names the option, the value and the range, in short."""
    with pytest.raises(CommandError) as caught:
        uidgen("generate", count=count)
    message = str(caught.value)
    assert message.startswith("--count is ")
    assert "1 to 10**18 - 1" in message
    assert len(message) < 150


def test_an_unknown_generator():
    """The error names those that there are."""
    for action in (["generate"], ["parse", "5"], ["workers"], ["layout"]):
        with pytest.raises(
            CommandError, match=r"^There is no generator 'nope'.*'orders'"
        ):
            uidgen(*action, "--generator", "nope")


@pytest.mark.django_db(transaction=True)  # the mint looks from another connection
@pytest.mark.parametrize("form", ["plain", "json", "csv"])
def test_a_generator_that_cannot_mint(settings, form):
    """The error is that of the mint, and nothing is printed."""
    settings.UIDGEN = {"default": {"TEST": False, "WORKER_IDS": (3, 3)}}
    add_lease(3)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"1 worker ids .* 1 leases are live"):
        call_command("uidgen", "generate", "--format", form, stdout=out)
    assert out.getvalue() == ""


def test_a_closed_stream_of_the_caller():
    """Whoever passes a stream learns that it is closed."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        call_command("uidgen", "generate", stdout=Closed())


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_has_enough():
    """``uidgen generate | head -n 1`` ends at once, without a word."""
    with subprocess.Popen(
        [sys.executable, "-m", "django", "uidgen", "generate", "-n", str(10**15)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert int(child.stdout.readline()) > 0
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0
    # It went in the ordinary way, and gave its worker id back.
    assert WorkerNode.objects.get().state == "free"


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_wants_nothing():
    """It has gone before the first UID: Python's own last words are held back too."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "django", "uidgen", "generate"],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": ""},  # else it has no last words
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


# parse


@pytest.mark.django_db
def test_parse_tells_all(settings):
    """The parts of a UID, and the process that minted it."""
    node = add_lease(5, host_name="db-2", node_type=WorkerNode.NodeType.ACTUAL)
    uid = uid_of(node, sequence=17)
    parts = parse(uid)
    assert uidgen("parse", str(uid)).splitlines() == [
        f"uid              {uid}",
        "generator        default",
        f"minted at        {parts.minted_at.isoformat(timespec='milliseconds')}",
        f"tick             {node.reserved_from}",
        "worker id        5",
        "sequence         17",
        "host             db-2",
        "PID              4711",
        "node type        actual",
        f"launched at      {node.launched_at.isoformat(timespec='milliseconds')}",
    ]


@pytest.mark.django_db
def test_parse_as_json():
    """A list, with UIDs as text, and null where no lease covers one."""
    node = add_lease(5)
    uid = uid_of(node, sequence=17)
    answer = json.loads(uidgen("parse", str(uid), "5", "--format", "json"))
    assert answer == [
        {
            "uid": str(uid),
            "generator": "default",
            "minted_at": parse(uid).minted_at.isoformat(timespec="milliseconds"),
            "tick": node.reserved_from,
            "worker_id": 5,
            "sequence": 17,
            "worker_node": {
                "term": 1,
                "host_name": "web-1.example.org",
                "process_id": 4711,
                "node_type": "container",
                "launched_at": node.launched_at.isoformat(timespec="milliseconds"),
            },
        },
        {
            "uid": "5",
            "generator": "default",
            "minted_at": "2026-01-01T00:00:00.000+00:00",
            "tick": 0,
            "worker_id": 0,
            "sequence": 5,
            "worker_node": None,
        },
    ]


@pytest.mark.django_db
def test_parse_uses_the_layout_of_the_generator(settings):
    """The same number has other parts in another layout."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "baidu"}}
    (answer,) = json.loads(
        uidgen("parse", str(3 << 35 | 2 << 13 | 1), generator="orders", format="json")
    )
    assert answer["minted_at"] == "2026-01-01T00:00:03.000+00:00"
    assert (answer["tick"], answer["worker_id"], answer["sequence"]) == (3, 2, 1)


@pytest.mark.django_db
def test_parse_of_a_uid_that_nobody_minted():
    """It says so, and gives the parts."""
    blocks = uidgen("parse", "5", "6").split("\n\n")
    assert len(blocks) == 2
    for block in blocks:
        assert "host             unknown: no lease in the worker table" in block
        assert "launched at      unknown" in block


@pytest.mark.usefixtures("no_table")
def test_parse_without_a_table():
    """The parts are in the UID; what is not, is said to be unknown, and why."""
    text = uidgen("parse", "5", "6")
    assert text.count("worker id        0\n") == 2
    assert text.count("host             unknown: ") == 2
    assert WorkerNode._meta.db_table in text
    err = io.StringIO()
    answer = json.loads(uidgen("parse", "5", format="json", stderr=err))
    assert answer[0]["worker_node"] is None
    assert err.getvalue().startswith("worker_node is unknown: ")
    assert WorkerNode._meta.db_table in err.getvalue()


@pytest.mark.parametrize("text", NO_UIDS, ids=lambda text: text[:12])
def test_parse_of_what_is_no_uid(text):
    """The error says so in short, and nothing is printed, of the good ones neither."""
    out = io.StringIO()
    with pytest.raises(CommandError, match="is not a UID") as caught:
        call_command("uidgen", "parse", "--", "5", text, stdout=out)
    assert len(str(caught.value)) < 150
    assert out.getvalue() == ""


def test_parse_of_a_uid_with_more_bits_than_the_layout(settings):
    """It cannot be of that generator."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}}
    with pytest.raises(CommandError, match=r"2\*\*53"):
        uidgen("parse", str(2**53))


# workers


@pytest.mark.django_db
def test_workers_lists_leases():
    """Counts of each state, then the leases, newest first."""
    add_lease(1, sealed=True)
    add_lease(1, term=2, until=-30, host_name="a")
    live = add_lease(2, process_id=9)
    eternal = add_lease(3, reserved_until=2**41, alias="orders")
    text = uidgen("workers")
    counts, leases = text.split("\n\n")
    assert [line.split() for line in counts.splitlines()] == [
        ["generator", "live", "free", "sealed"],
        ["default", "1", "1", "1"],
        ["orders", "1", "0", "0"],
    ]
    head, *rows = (line.split() for line in leases.splitlines())
    assert head[:6] == ["generator", "worker", "id", "term", "state", "host"]
    assert [row[:4] for row in rows] == [
        ["default", "2", "1", "live"],
        ["default", "1", "2", "free"],
        ["default", "1", "1", "sealed"],
        ["orders", "3", "1", "live"],
    ]
    until = live.reserved_until_at.isoformat(timespec="milliseconds")
    launched = live.launched_at.isoformat(timespec="milliseconds")
    assert rows[0][4:] == ["web-1.example.org", "9", "container", launched, until]
    assert rows[1][4] == "a"
    assert eternal.reserved_until_at is None
    assert rows[3][-1] == "-"


@pytest.mark.django_db
def test_columns_are_aligned():
    """Numbers are flush right, words flush left."""
    add_lease(7, host_name="a", process_id=1)
    add_lease(1000, host_name="abc", process_id=99_999)
    lines = uidgen("workers", "--generator", "default").split("\n\n")[1].splitlines()
    assert lines[0].startswith("generator  worker id  term  state  host    PID  node")
    assert lines[1].startswith("default         1000     1  live   abc   99999  cont")
    assert lines[2].startswith("default            7     1  live   a         1  cont")


@pytest.mark.django_db
def test_workers_chooses():
    """By generator, by state, and no more than a limit."""
    for number in range(5):
        add_lease(number)
        add_lease(number, alias="orders", until=-30)
    text = uidgen("workers", "--generator", "orders")
    assert "default" not in text
    assert text.count("free  ") == 5 + 1
    text = uidgen("workers", "--state", "live", "--limit", "2")
    assert text.splitlines()[1].split() == ["default", "5", "0", "0"]
    assert text.splitlines()[2].split() == ["orders", "0", "5", "0"]
    rows = text.split("\n\n")[1].splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["default", "4"], ["default", "3"]]
    assert text.endswith("\n\n3 more: raise --limit to see them.\n")
    assert "more" not in uidgen("workers", "--limit", "5")
    assert "\n6 more" in uidgen("workers", "--limit", "2")


@pytest.mark.django_db
def test_workers_of_a_table_without_leases():
    """Zero of each, and no second table."""
    assert [line.split() for line in uidgen("workers").splitlines()] == [
        ["generator", "live", "free", "sealed"],
        ["default", "0", "0", "0"],
        ["orders", "0", "0", "0"],
    ]


@pytest.mark.django_db(databases=["default", "other"])
def test_workers_reads_the_database_of_each_generator(settings):
    """The worker table is in each database that a generator names."""
    settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
    add_lease(1, host_name="here")
    add_lease(1, alias="orders", host_name="there")
    text = uidgen("workers")
    assert text.count("here") == 2
    assert text.count("there") == 1


@pytest.mark.parametrize("limit", ["0", "-1", "all", "9" * 5000])
def test_a_limit_that_is_none(limit):
    """As for a count."""
    with pytest.raises(CommandError, match=r"--limit is .*1 to"):
        uidgen("workers", f"--limit={limit}")


@pytest.mark.usefixtures("no_table")
def test_workers_without_a_table():
    """The error says what to do."""
    with pytest.raises(CommandError, match=r"(?s)cannot be read: .*migrate"):
        uidgen("workers")


# layout


@pytest.mark.django_db
def test_layout_tells_what_it_holds(settings):
    """Widths, rate, end, worker ids and those that are left."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "baidu"}}
    add_lease(1)
    add_lease(2, until=-30)
    text = uidgen("layout", "--generator", "default")
    assert text.splitlines() == [
        "generator        default",
        "time             41 bits, ticks of 1 ms",
        "worker id        10 bits",
        "sequence         12 bits",
        "in all           63 bits",
        "epoch            2026-01-01T00:00:00.000+00:00",
        "end of life      2095-09-07T15:47:35.552+00:00",
        "rate             4,096,000 UIDs/s for each worker id",
        "                 4,128,768,000 UIDs/s in all",
        "worker ids       0 to 1007: 1,008",
        "worker ids left  1,007: 1,006 never used, 1 free again",
        "backdated        1008 to 1023: 16",
        "lease            600 s",
    ]


@pytest.mark.django_db
def test_layout_of_every_generator(settings):
    """One after the other, each with its own settings."""
    settings.UIDGEN = {
        "default": {},
        "slow": {
            "LAYOUT": {
                "time_bits": 30,
                "worker_bits": 2,
                "sequence_bits": 1,
                "tick_ms": 5000,
            },
            "WORKER_IDS": [1, 2],
            "OPTIONS": {"LEASE": 30.5, "MAX_WAIT": 10},
        },
    }
    default, slow = uidgen("layout").split("\n\n")
    assert default.startswith("generator        default\n")
    assert "time             30 bits, ticks of 5,000 ms\n" in slow
    assert "rate             0.4 UIDs/s for each worker id\n" in slow
    assert "                 0.8 UIDs/s in all\n" in slow
    assert "worker ids       1 to 2: 2\n" in slow
    assert "worker ids left  2: 2 never used, 0 free again\n" in slow
    assert "backdated        no worker ids: set BACKDATED_WORKER_IDS\n" in slow
    assert slow.endswith("lease            30.5 s\n")


@pytest.mark.usefixtures("no_table")
def test_layout_without_a_table():
    """Only what the table holds is not known."""
    text = uidgen("layout")
    assert "rate             4,096,000 UIDs/s" in text
    assert "worker ids left  unknown: " in text


# As a process of its own.


@pytest.mark.django_db(transaction=True)
def test_one_process_reads_what_another_minted():
    """The table tells host, PID and launch of the process that minted a UID."""
    start = datetime.now(UTC)
    minted = process("generate", "-n", "3", "--format", "json")
    assert (minted.returncode, minted.stderr) == (0, "")
    uids = json.loads(minted.stdout)
    read = process("parse", *uids, "--format", "json")
    assert (read.returncode, read.stderr) == (0, "")
    node = WorkerNode.objects.get()
    assert [answer["uid"] for answer in json.loads(read.stdout)] == uids
    for answer in json.loads(read.stdout):
        assert answer["worker_node"]["process_id"] == node.process_id != os.getpid()
        assert answer["worker_node"]["host_name"] == node.host_name
        launched_at = datetime.fromisoformat(answer["worker_node"]["launched_at"])
        minted_at = datetime.fromisoformat(answer["minted_at"])
        assert start < launched_at < minted_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "arguments",
    [
        ["parse", "abc"],
        ["parse", "-5"],
        ["parse", "-1e5"],
        ["parse", "5", "-1e5"],
        ["parse", "9" * 10_000],
        ["generate", "-n", "0"],
        ["generate", "-n", "9" * 10_000],
        ["generate", "--generator", "nope"],
        ["generate", "--format", "xml"],
        ["nonsense"],
        [],
    ],
    ids=lambda arguments: " ".join(arguments)[:24],
)
def test_a_wrong_command_line(arguments):
    """Status 1, and a reason on stderr, short and without a traceback."""
    done = process(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "rror: " in done.stderr
    assert len(done.stderr) < 1000


def test_a_project_without_its_database(tmp_path):
    """A UID is read, no worker id can be leased: status 1, and no traceback."""
    absent = {"UIDGEN_TEST_RUN": "absent", "UIDGEN_TEST_SQLITE_FOLDER": str(tmp_path)}
    read = process("parse", "5", **absent)
    assert (read.returncode, read.stderr) == (0, "")
    assert "minted at        2026-01-01T00:00:00.000+00:00\n" in read.stdout
    assert "host             unknown: " in read.stdout
    minted = process("generate", **absent)
    assert (minted.returncode, minted.stdout) == (1, "")
    assert "received no worker id from database 'default'" in minted.stderr
    assert "Traceback" not in minted.stderr
