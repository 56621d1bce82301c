"""UIDs in URLs: what resolves, what is 404, and what is written."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.http import HttpResponse
from django.urls import NoReverseMatch, Resolver404, path, resolve, reverse
from django.urls.converters import get_converters

from django_uidgen import converters, uid
from django_uidgen.converters import Uid32Converter, Uid62Converter, UidConverter
from django_uidgen.core.text import to_base32, to_base62

LARGEST = 2**63 - 1
UID = 118_268_539_986_373_293


class OrderConverter(Uid32Converter):
    """As in the documentation."""

    prefix = "ord_"


class TicketConverter(UidConverter):
    """Digits may have a prefix as well."""

    prefix = "t.7-"


def register(name, converter):
    """Register a converter of the tests, unless it is."""
    if name not in get_converters():
        converters.register_converter(converter, name)


register("uidgen_order", OrderConverter)
register("uidgen_ticket", TicketConverter)


def view(request, pk):
    """Answer with the UID."""
    return HttpResponse(f"{type(pk).__name__} {pk}")


urlpatterns = [
    path("digits/<uid:pk>/", view, name="uid"),
    path("short/<uid32:pk>/", view, name="uid32"),
    path("shorter/<uid62:pk>/", view, name="uid62"),
    path("orders/<uidgen_order:pk>", view, name="order"),
    path("tickets/<uidgen_ticket:pk>", view, name="ticket"),
    path("digits/<str:pk>/", view, name="other"),
]

pytestmark = pytest.mark.urls(__name__)

NAMES = ["uid", "uid32", "uid62", "order", "ticket"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1, 2**53 + 1, UID, LARGEST])
def test_there_and_back(name, number):
    """The view gets the int that the URL was made of."""
    for value in (number, str(number)):
        url = reverse(name, args=[value])
        match = resolve(url)
        assert (match.url_name, match.kwargs) == (name, {"pk": number})


def test_fresh_uid(client):
    """By a request."""
    number = uid()
    response = client.get(reverse("uid62", args=[number]))
    assert response.content.decode() == f"int {number}"


def test_urls_are_canonical():
    """One UID has one URL that is written."""
    assert reverse("uid", args=[UID]) == f"/digits/{UID}/"
    assert reverse("uid32", args=[UID]) == "/short/0391CKH4ZVTND/"
    assert reverse("uid62", args=[UID]) == "/shorter/08jfby637vx/"
    assert reverse("order", args=[UID]) == "/orders/ord_0391CKH4ZVTND"
    assert reverse("ticket", args=[UID]) == f"/tickets/t.7-{UID}"


@pytest.mark.parametrize("text", ["0391ckh4zvtnd", "o39ickh4zvtnd", "O39LCKH4ZVTND"])
def test_base32_by_hand(text):
    """Lower case and look-alikes resolve."""
    assert resolve(f"/short/{text}/").kwargs == {"pk": UID}
    assert resolve(f"/orders/ord_{text}").kwargs == {"pk": UID}


@pytest.mark.parametrize(
    "url",
    [
        *["/short/0391CKH4ZVTN/", "/short/0391CKH4ZVTND0/", "/short/0391CKH4ZVTNU/"],
        *["/short/8000000000000/", "/short/0000000000000/", "/short/0391-CKH4ZVTN/"],
        *[f"/short/{UID}/", "/short/0391CKH4ZVTND/x"],
        *["/shorter/08jfby637v/", "/shorter/08jfby637vx0/", "/shorter/08jfby637v_/"],
        *["/shorter/AzL8n0Y58m8/", "/shorter/00000000000/", "/shorter/zzzzzzzzzzz/"],
        *["/orders/0391CKH4ZVTND", "/orders/inv_0391CKH4ZVTND"],
        *["/orders/ORD_0391CKH4ZVTND", f"/orders/ord_{UID}", "/orders/ord_"],
        *["/tickets/t.7-0", "/tickets/tx7-5", f"/tickets/t.7-{2**63}"],
    ],
)
def test_url_of_no_uid(client, url):
    """404, not an error."""
    with pytest.raises(Resolver404):
        resolve(url)
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    "text",
    ["0", "01", "-1", "+1", "1.0", str(2**63), "9" * 19, "9" * 20, "\u0661", "1 ", "x"],
)
def test_other_routes_get_what_is_no_uid(text):
    """As for every converter that refuses."""
    assert resolve(f"/digits/{text}/").url_name == "other"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", [None, 0, -1, 2**63, True, 1.5, "", "x", "01", b"1", object()]
)
def test_no_url_for_what_is_no_uid(name, value):
    """Django's own error."""
    with pytest.raises(NoReverseMatch):
        reverse(name, args=[value])


@pytest.mark.parametrize("converter", [UidConverter, Uid32Converter, Uid62Converter])
def test_patterns_are_not_slow(converter):
    """They repeat a bounded number of times, and nothing within that."""
    repeats = re.findall(r"[*+]|\{[^}]*\}", converter().regex)
    assert repeats in (["{0,18}"], ["{12}"], ["{10}"])


def test_prefix_that_cannot_be():
    """It is refused when the converter is registered."""
    with pytest.raises(ValueError, match="prefix is 'a/b'"):
        type("Wrong", (UidConverter,), {"prefix": "a/b"})()


def test_texts_are_those_of_the_functions():
    """The converters add nothing."""
    assert Uid32Converter().to_url(UID) == to_base32(UID)
    assert Uid62Converter().to_url(UID) == to_base62(UID)


# Registration.


def test_registered_by_the_app():
    """``INSTALLED_APPS`` is enough."""
    found = get_converters()
    assert type(found["uid"]) is UidConverter
    assert type(found["uid32"]) is Uid32Converter
    assert type(found["uid62"]) is Uid62Converter


def test_registered_twice():
    """Nothing changes, and no warning is given, which would be an error here."""
    before = dict(get_converters())
    converters.register()
    assert get_converters() == before


def test_names_that_are_taken_are_left(monkeypatch):
    """A project may have had a converter of that name before."""
    made = SimpleNamespace(registered=[])
    monkeypatch.setattr(converters, "get_converters", lambda: {"uid": "the project's"})
    monkeypatch.setattr(
        converters,
        "register_converter",
        lambda converter, name: made.registered.append((name, converter)),
    )
    converters.register()
    assert made.registered == [("uid32", Uid32Converter), ("uid62", Uid62Converter)]


PROGRAM = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS={apps}, ROOT_URLCONF="__main__")
{early}
django.setup()
from django.urls import path, resolve
urlpatterns = [path("<uid:a>/<uid32:b>/<uid62:c>/", print)]
print(resolve("/5/0000000000007/00000000009/").kwargs)
"""


@pytest.mark.parametrize(
    ("apps", "early"),
    [
        (["django_uidgen"], ""),
        (["django_uidgen"], "from django_uidgen import converters as c; c.register()"),
        ([], "from django_uidgen import converters as c; c.register()"),
    ],
    ids=["by the app", "before the app", "without the app"],
)
def test_in_a_process_of_its_own(apps, early):
    """Where no test has registered anything."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(apps=apps, early=early)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "{'a': 5, 'b': 7, 'c': 9}"
