"""The site under a real gunicorn, with the machinery of the demo."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import demo
import pytest
from demo import DemoFailed, Site, environment_in, listen, manage, running, site, table
from live.views import BODY_LIMIT

import django_uidgen
from tests.example.samples import RECORDED, body_of

PACKAGE = str(Path(django_uidgen.__file__).parents[1])


def environment(folder: Path) -> dict[str, str]:
    return environment_in(folder, debug=False) | {"PYTHONPATH": PACKAGE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the database of a site."""
    folder = tmp_path_factory.mktemp("site")
    manage(environment(folder), "migrate", "--verbosity=0")
    return folder


@pytest.fixture(scope="module")
def running_site(folder):
    """The site under gunicorn, with tokens on."""
    tokens = json.dumps({"live/camera1": "abc", "live/camera2": None})
    settings = environment(folder) | {"LIVE_PUBLISH_TOKENS": tokens}
    with site(folder, settings, listen(0)) as example:
        yield example


def send(example: Site, body: bytes, method: str = "POST", **head: str):
    """Return status and answer."""
    host, port = example.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        head = {"Content-Type": "application/json"} | head
        # The server may answer, and close, before it has read the body.
        with suppress(BrokenPipeError):
            connection.request(method, "/live/hooks/", body, head)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def count(folder: Path, model: str) -> int:
    """Return the number of rows, read by another process."""
    code = f"from live.models import {model}; print({model}.objects.count())"
    result = subprocess.run(
        [sys.executable, demo.HERE / "manage.py", "shell", "--command", code],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"garbage"),
        (400, b"[" * 60_000),
        (400, b"\xff\x00\xfe"),
        (400, json.dumps(body_of("on_publish", stream=None)).encode()),
        (400, json.dumps(body_of("on_publish", stream="a\0")).encode()),
        (403, json.dumps(body_of("on_publish", param="?token=x")).encode()),
        (413, b"x" * (BODY_LIMIT + 1)),
        (200, json.dumps(body_of("on_publish")).encode()),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_each_body_is_answered(running_site, status, body):
    """The server goes on after each of them."""
    answer = send(running_site, body)
    assert answer[0] == status
    assert answer[1]["code"] == (0 if status == 200 else status)
    assert running_site.call(body_of("on_play")) == {"code": 0}


def test_a_body_in_pieces_without_a_length(running_site):
    """Django reads none of it, so it is refused; SRS sends a length."""
    body = iter([json.dumps(body_of("on_play")).encode()])
    assert send(running_site, body)[0] == 400
    assert running_site.call(body_of("on_play")) == {"code": 0}


def test_a_body_that_is_shorter_than_it_says(running_site):
    """A sender that goes away is no error of the server's."""
    host, port = running_site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            b"POST /live/hooks/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
    assert not answer or b" 400 " in answer
    assert running_site.call(body_of("on_play")) == {"code": 0}


def test_callbacks_at_once_and_again(running_site, folder):
    """Two workers on one SQLite file store events that come at once, each once."""
    bodies = [delivery.body for delivery in RECORDED] * 3
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(running_site.call, bodies))
    assert answers == [{"code": 0}] * len(bodies)
    assert count(folder, "HlsSegment") == 12
    assert count(folder, "PlaySession") == 4


def test_a_wrong_token_is_a_failure_of_the_caller(running_site):
    """call() tells what was refused, with the status."""
    with pytest.raises(DemoFailed, match=r"on_publish was not answered: .*403"):
        running_site.call(body_of("on_publish", param=""))


def test_a_site_that_cannot_start(tmp_path):
    """Who waits for it hears why, and does not wait on."""
    broken = environment(tmp_path) | {"EXAMPLE_DB": "nonsense://x"}
    with (
        site(tmp_path, broken, listen(0)) as example,
        pytest.raises(DemoFailed, match="EXAMPLE_DB has the scheme 'nonsense'"),
    ):
        example.call(body_of("on_play"))


def test_a_command_that_fails(tmp_path):
    """It is named."""
    with pytest.raises(DemoFailed, match=r"'manage.py migrate' ended with an error"):
        manage(environment(tmp_path) | {"EXAMPLE_DB": "nonsense://x"}, "migrate")


def test_a_taken_port():
    """Another one is found."""
    with listen(0) as first, listen(first.getsockname()[1]) as second:
        assert second.getsockname()[1] not in (0, first.getsockname()[1])


def test_a_process_is_stopped_with_its_children(monkeypatch):
    """Also when they take no notice of SIGTERM."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork(): print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    # Reading ends when no process holds the other end any more.
    reading, writing = os.pipe()
    options = {"stdout": subprocess.PIPE, "pass_fds": [writing]}
    monkeypatch.setattr(demo, "GRACE", 0.2)
    command = [sys.executable, "-c", code]
    with suppress(ZeroDivisionError), running(command, {}, **options) as process:
        os.close(writing)
        assert process.stdout.readline() == "ready\n"
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL
    assert select.select([reading], [], [], 30)[0] == [reading]
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_table():
    """Words are flush left and numbers flush right."""
    assert table(("name", "n"), [("a", 7), ("longer", 12345)]).split("\n") == [
        "  name        n",
        "  a           7",
        "  longer  12345",
    ]


def test_the_sample_data_is_what_the_demo_expects():
    """The counts in its check are those of the recording."""
    assert demo.EXPECTED_ROWS["HlsSegment"] == sum(
        delivery.body["action"] == "on_hls" for delivery in RECORDED
    )
    assert demo.CALLBACKS.read_text().count("\n") == len(RECORDED) == 36
