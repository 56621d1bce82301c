"""The documentation names what there is, and nothing that is not there."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path

import pytest
from django.core.management import load_command_class

from django_uidgen import conf, conf_validation
from django_uidgen.core import exceptions
from django_uidgen.core.layout import PRESETS
from django_uidgen.generator_config import DEFAULTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
] + sorted((ROOT / "docs").rglob("*.md"))
# In the matrix the package is not beside the tests.
PACKAGE = Path(conf.__file__).parent
SOURCES = "\n".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))
CHECK_IDS = sorted(set(re.findall(r"django_uidgen\.[EW]\d{3}", SOURCES)))


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_setting_is_documented(key):
    """In the table of settings."""
    assert re.search(rf"^\| `{key}` \|", README, re.MULTILINE)


@pytest.mark.parametrize("option", conf_validation._OPTIONS)
def test_every_option_is_documented(option):
    """In the table of options."""
    assert re.search(rf"^\| .*`{option}`.* \|", README, re.MULTILINE)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_documented(preset):
    """With its bits."""
    assert f'`"{preset}"`' in README


@pytest.mark.parametrize("check", CHECK_IDS)
def test_every_check_is_documented(check):
    """Its id is what a user searches for."""
    assert f"`{check}`" in README


def test_check_ids_were_found():
    """Else the test above would test nothing."""
    assert "django_uidgen.E001" in CHECK_IDS


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type)
        and issubclass(value, exceptions.UidError)
        # Callers never see these: one is turned into InvalidSetting, one is answered.
        and name not in {"LayoutError", "LeaseLost"}
    ],
)
def test_every_error_is_documented(name):
    """With what it says."""
    assert f"`{name}`" in README or f".{name}`" in README


def test_every_subcommand_is_documented():
    """With an example."""
    parser = load_command_class("django_uidgen", "uidgen").create_parser("", "uidgen")
    [subcommands] = [action for action in parser._actions if action.dest == "action"]
    for name in subcommands.choices:
        assert f"manage.py uidgen {name}" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """To files that are in the repository."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page):
    """A promise is worth what its test is."""
    text = page.read_text()
    for path, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text):
        assert (ROOT / path).exists(), path
        if "/migrations/" in path:
            continue  # shown by a page, not a test
        assert f"def {name or 'test_'}" in (ROOT / path).read_text(), name
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name


def example(heading, language="python"):
    """Return the first example under a heading of the README."""
    section = README.split(f"\n## {heading}\n")[1]
    return section.split(f"```{language}\n")[1].split("```")[0]


def test_settings_of_the_readme_are_valid(settings):
    """And are the defaults."""
    names = {}
    exec(example("Settings"), names)
    settings.UIDGEN = {}
    defaults = conf.get_config("default")
    settings.UIDGEN = names["UIDGEN"]
    assert conf.get_config("default") == defaults


@pytest.mark.django_db
def test_names_of_the_readme_work():
    """As they stand."""
    code = README.split("Without a model:\n")[1].split("```python\n")[1]
    exec(code.split("```")[0], {})


def words_of_the_code():
    """Return the names and strings of the package, as one line of lower-case words."""
    words = []
    for path in sorted(PACKAGE.rglob("*.py")):
        with path.open("rb") as file:
            words += [
                re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", token.string)
                for token in tokenize.tokenize(file.readline)
                if token.type in {tokenize.NAME, tokenize.STRING}
            ]
    return " ".join(re.findall(r"[a-z0-9]+", " ".join(words).lower()))


CODE = words_of_the_code()
GLOSSARY = re.findall(
    r"^\| ([\w ]+) \| [^-]", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
)[1:]


@pytest.mark.parametrize("word", GLOSSARY)
def test_words_of_the_glossary_are_those_of_the_code(word):
    """As part of a name, or in a docstring or a message."""
    assert re.search(rf"\b{word.lower()}s?\b", CODE)


def test_words_of_the_glossary_were_found():
    """Else the test above would test nothing."""
    assert {"UID", "lease keeper", "backdated lease"} <= set(GLOSSARY)


def modules_and_folders():
    """Return the modules that the page of the architecture has to name."""
    paths = [
        path
        for folder in ("", "core", "assigners")
        for path in (PACKAGE / folder).glob("*.py")
    ]
    return sorted(
        str(path.relative_to(PACKAGE)) for path in paths if path.stem != "__init__"
    )


@pytest.mark.parametrize("module", modules_and_folders())
def test_every_module_is_on_the_page_of_the_architecture(module):
    """With one line that says what it is."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert re.search(rf"^\| .*`{module}`.* \|", page, re.MULTILINE)


def test_what_the_page_of_the_architecture_names_is_there():
    """Modules by their path, functions by their name."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    for path in re.findall(r"`((?:core/|assigners/|rest_framework/)?\w+\.py)`", page):
        assert list(PACKAGE.rglob(path)), path
    paths = page.split("## The path of one UID")[1].split("## The lease")[0]
    for name in re.findall(r"(\w+)\(\)`", paths):
        assert re.search(rf"\bdef {name}\(|\b{name} =", SOURCES), name


def test_what_the_page_of_threads_names_is_there():
    """Each name is in the module that stands beside it."""
    page = (ROOT / "docs" / "threads.md").read_text()
    rows = re.findall(r"^\|[^|]+\| (.*`.*) \| (.*\.py.*) \|$", page, re.MULTILINE)
    assert len(rows) > 15
    for names, modules in rows:
        sources = "\n".join(
            (PACKAGE / module).read_text()
            for module in re.findall(r"`([\w/]+\.py)`", modules)
        )
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^(class |def )?{name}\b", sources, re.MULTILINE), name
