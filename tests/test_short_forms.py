"""The examples of docs/short-forms.md, run as they stand, in their order."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from django.template import Context, Template
from django.urls import Resolver404, clear_url_caches, converters, resolve, reverse
from django.utils import translation
from hypothesis import example, given
from hypothesis import strategies as st

from django_uidgen import parse
from tests.test_forms import separators

PAGE = (Path(__file__).parents[1] / "docs" / "short-forms.md").read_text()
UID = 118_268_539_986_373_293
LARGEST = 2**63 - 1


def examples():
    """Return the language and the text of each example of the page."""
    return re.findall(r"^```([\w+]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page():
    """The module that the examples make, and the results of those with a prompt."""
    module = ModuleType("short_forms")
    runner = doctest.DocTestRunner(verbose=False)
    failures = []
    registered = dict(converters.REGISTERED_CONVERTERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.ROOT_URLCONF", module)
        clear_url_caches()
        for language, text in examples():
            if language == "python":
                exec(text, vars(module))
                # Django may have read a part of the URLs already.
                clear_url_caches()
            elif language == "pycon":
                test = doctest.DocTestParser().get_doctest(
                    text, {}, "short-forms.md", None, 0
                )
                test.globs = vars(module)  # not a copy: one example uses another
                runner.run(test, out=failures.append, clear_globs=False)
        yield SimpleNamespace(module=module, runner=runner, failures=failures)
    clear_url_caches()
    converters.REGISTERED_CONVERTERS.clear()
    converters.REGISTERED_CONVERTERS.update(registered)
    converters.get_converters.cache_clear()


def test_examples_with_a_prompt(page):
    """They print what the page says."""
    assert page.failures == []
    assert page.runner.tries > 15


def test_urls_of_the_page(page, client):
    """Each leads to the view, which gets an int."""
    for name in ("digits", "short", "shortest", "order", "hidden"):
        response = client.get(reverse(name, args=[UID]))
        assert response.content.decode() == f"This is {UID}."
    assert client.get("/orders/inv_0391CKH4ZVTND/").status_code == 404


def test_template_of_the_page():
    """It gives the HTML that follows, where separators would be written."""
    texts = dict(examples())
    with separators, translation.override("de"):
        made = Template(texts["html+django"]).render(
            Context({"order": SimpleNamespace(pk=UID)})
        )
    assert made.lstrip() == texts["html"]


def test_two_uids_tell_how_many_were_minted_between():
    """What the page warns of."""
    from django_uidgen import uid

    first = parse(uid())
    for _ in range(99):
        uid()
    last = parse(uid())
    assert (last.sequence - first.sequence) % first.layout.sequence_size == 100


# sqids.


@given(uid=st.integers(1, LARGEST))
@example(1)
@example(LARGEST)
def test_sqids_takes_every_uid(page, uid):
    """In 12 characters, there and back."""
    converter = page.module.SqidConverter()
    text = converter.to_url(uid)
    assert re.fullmatch(converter.regex, text)
    assert converter.to_python(text) == uid


@given(text=st.from_regex(r"[0-9A-Za-z]{12}\Z", fullmatch=True))
@example("000000000000")
def test_sqids_that_is_none_is_no_match(page, text):
    """Nor one that is not as it would be written."""
    try:
        number = page.module.SqidConverter().to_python(text)
    except ValueError:
        return
    assert page.module.SqidConverter().to_url(number) == text


def test_sqids_in_another_writing(page):
    """It reads as the number, but leads nowhere."""
    sqids = page.module.sqids
    written = sqids.encode([5])
    # The last characters only fill up.
    other = written[:-1] + ("A" if written[-1] != "A" else "B")
    assert sqids.decode(other) == [5]
    with pytest.raises(Resolver404):
        resolve(f"/hidden/{other}/")
    assert resolve(f"/hidden/{written}/").kwargs == {"pk": 5}
