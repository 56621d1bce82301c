"""UIDs in pages: no separators, short forms, and loud mistakes."""

from __future__ import annotations

import pytest
from django.template import Context, Template
from django.utils import translation

from django_uidgen.core.exceptions import InvalidUid
from tests.test_forms import separators

UID = 118_268_539_986_373_293

TEXTS = {"uid": str(UID), "uid32": "0391CKH4ZVTND", "uid62": "08jfby637vx"}
every_filter = pytest.mark.parametrize(("name", "text"), TEXTS.items())


def render(expression, **names):
    """Return what a template makes of an expression."""
    return Template("{% load uidgen %}{{ " + expression + " }}").render(Context(names))


@every_filter
def test_text_of_a_uid(name, text):
    """Of an int, or its digits."""
    assert render(f"value|{name}", value=UID) == text
    assert render(f"value|{name}", value=str(UID)) == text


@every_filter
def test_prefix(name, text):
    """It comes before."""
    assert render(f'value|{name}:"ord_"', value=UID) == f"ord_{text}"
    assert render(f"value|{name}:prefix", value=UID, prefix="x") == f"x{text}"


@every_filter
def test_no_separators(name, text):
    """Where the page would write them by itself."""
    with separators, translation.override("de"):
        assert render("value", value=UID) == "118.268.539.986.373.293"
        assert render(f"value|{name}", value=UID) == text


@every_filter
@pytest.mark.parametrize("value", [None, ""])
def test_nothing(name, text, value):
    """The page goes on, with a prefix or without one."""
    assert render(f"value|{name}", value=value) == ""
    assert render(f'value|{name}:"ord_"', value=value) == ""


@every_filter
def test_missing_variable(name, text):
    """As for every filter."""
    assert render(f"nothing.at.all|{name}") == ""


@every_filter
@pytest.mark.parametrize("value", [0, -1, 2**63, 1.5, True, "x", "1,000", [], object()])
def test_what_is_no_uid(name, text, value):
    """A link with a wrong key would hide the mistake."""
    with pytest.raises(InvalidUid, match="is not a UID"):
        render(f"value|{name}", value=value)


@every_filter
def test_prefix_that_cannot_be(name, text):
    """Refused, as by all that take one."""
    with pytest.raises(ValueError, match="prefix is '<b>'"):
        render(f'value|{name}:"<b>"', value=UID)
