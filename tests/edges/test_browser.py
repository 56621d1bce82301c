"""UIDs in a real browser."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils import timezone
from live.models import Connection, PublishSession, Stream
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.urls("tests.edges.urls")

# Odd, so that no double of 53 bits is equal to one of them.
STREAM = 2**63 - 1
SESSIONS = [118268539986373293, 2**53 + 1]

FLAGS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"],
    *["--no-first-run", "--disable-background-networking"],
    *["--disable-component-update", "--disable-sync"],
]


@pytest.fixture
def stored(transactional_db):
    """Two sessions at one stream."""
    stream = Stream.objects.create(pk=STREAM, vhost="v", app="live", name="camera1")
    for pk in SESSIONS:
        connection = Connection.objects.create(client_id=str(pk), ip="127.0.0.1")
        PublishSession.objects.create(
            pk=pk, connection=connection, stream=stream, started_at=timezone.now()
        )


@pytest.fixture
def cookie(stored, live_server, client, django_user_model):
    """Someone has logged in."""
    client.force_login(django_user_model.objects.create_user("ada"))
    value = client.cookies["sessionid"].value
    return {"name": "sessionid", "value": value, "url": live_server.url}


def read(address, cookie, screenshot):
    """Return what the page shows in Debian's Chromium, by the id of the row."""
    program = shutil.which("chromium")
    assert program, "Install it: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context()
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#page-state")
        page.screenshot(path=screenshot)
        rows = page.locator("tr[id]").all()
        shown = {
            row.get_attribute("id"): row.locator("td").nth(2).inner_text()
            for row in rows
        }
        browser.close()
    return shown


def test_uids_survive_json_parse(cookie, live_server, tmp_path):
    """As a key, as a foreign key and in a list: as in the database, to the last digit.

    A number does not: that is why they are strings.
    """
    screenshot = tmp_path / "uids.png"
    # Playwright leaves a thread without the trace of coverage, and with an event loop
    # in which Django refuses to work. So it has one of its own.
    with ThreadPoolExecutor(1) as pool:
        address = f"{live_server.url}/page/"
        shown = pool.submit(read, address, cookie, screenshot).result()
    stored = [str(pk) for pk in PublishSession.objects.values_list("pk", flat=True)]
    key, foreign_key = max(stored, key=int), str(Stream.objects.get().pk)
    assert len(stored) == 2
    assert min(map(int, stored)) > 2**53
    assert shown.pop("page-state") == "loaded"
    assert sorted(shown.pop("rest-list").split()) == sorted(stored)
    assert sorted(shown.pop("plain-list").split()) == sorted(stored)
    assert shown == {
        "rest-key": key,
        "rest-foreign-key": foreign_key,
        "plain-key": key,
        "plain-foreign-key": foreign_key,
        "number-key": "118268539986373300",
    }
    assert key == "118268539986373293"
    assert screenshot.read_bytes().startswith(b"\x89PNG")
