"""Check what was built in dist/: what the wheel holds, and that it works by itself.

The wheel is installed with nothing but Django in a new virtual environment, and a small
project is made around it in an empty folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "django_uidgen"
REQUIREMENTS = ["Django>=5.2"]
IN_SDIST = ["LICENSE", "README.md", "example_project/manage.py", "tests/conftest.py"]
# A checkout or a coverage run must not leak into the small project.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}

PROJECT = {
    "settings.py": """
from pathlib import Path

SECRET_KEY = "smoke"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django_uidgen", "shop"]
DEFAULT_AUTO_FIELD = "django_uidgen.fields.UidAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).with_name("db.sqlite3"),
    }
}
""",
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
""",
    "shop/__init__.py": "",
    "shop/migrations/__init__.py": "",
    "shop/models.py": """
from django.db import models

from django_uidgen.fields import UidField


class Order(models.Model):
    number = UidField(unique=True)
""",
    "orders.py": """
import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django_uidgen import parse
from django_uidgen.models import WorkerNode
from shop.models import Order

orders = [Order.objects.create() for _ in range(10)]
orders += Order.objects.bulk_create(Order() for _ in range(1000))
uids = [uid for order in orders for uid in (order.pk, order.number)]
assert Order.objects.count() == 1010
assert len(set(uids)) == 2020, "duplicates"
assert min(uids) > 0
assert Order._meta.pk.__class__.__name__ == "UidAutoField"
worker = parse(orders[0].pk).worker_node
assert worker == WorkerNode.objects.get(), worker
""",
    "imports.py": """
import importlib
import importlib.util
import os
import pkgutil

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
import django_uidgen

OPTIONAL = ("django_uidgen.rest_framework", "django_uidgen.admin")
assert importlib.util.find_spec("rest_framework") is None
for module in pkgutil.walk_packages(django_uidgen.__path__, "django_uidgen."):
    # The admin is imported by projects that have it among their apps.
    if not module.name.startswith(OPTIONAL):
        importlib.import_module(module.name)
""",
}


def main() -> int:
    """Check the one sdist and the one wheel in dist/."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    (sdist,) = (ROOT / "dist").glob("*.tar.gz")
    check_contents(wheel)
    check_metadata(wheel)
    check_sdist(sdist)
    with tempfile.TemporaryDirectory(prefix="uidgen-wheel-") as folder:
        try_out(wheel, Path(folder))
    print(f"{wheel.name} holds what it should, and works by itself.")
    return 0


def check_contents(wheel: Path) -> None:
    """See that the wheel holds the whole package, and nothing beside it."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name for name in names if ".dist-info/" not in name}
    require(not expected - shipped, "missing", expected - shipped)
    require(not shipped - expected, "not part of the package", shipped - expected)
    require(any(name.endswith("/LICENSE") for name in names), "no licence", names)


def check_metadata(wheel: Path) -> None:
    """See that the package asks for Django alone."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    require(required == REQUIREMENTS, "requirements", required)
    require(metadata["License-Expression"] == "BSD-3-Clause", "licence", metadata)


def check_sdist(sdist: Path) -> None:
    """See that the tests can be run from the sdist."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in IN_SDIST if name not in names]
    require(not missing, "missing in the sdist", missing)


def require(condition: object, problem: str, found: object) -> None:
    """End with a message if the condition does not hold."""
    if not condition:
        sys.exit(f"{problem}: {found}")


def try_out(wheel: Path, folder: Path) -> None:
    """Use the wheel in a project of its own."""
    venv.create(folder / "venv", with_pip=True)
    python = f"{folder}/venv/bin/python"
    subprocess.run([python, "-m", "pip", "--quiet", "install", wheel], check=True)
    project = folder / "project"
    write_project(project)
    for arguments in [
        ["manage.py", "check", "--fail-level=WARNING"],
        ["manage.py", "makemigrations", "shop"],
        ["manage.py", "makemigrations", "--check", "--dry-run"],
        ["manage.py", "migrate", "--verbosity=0"],
        ["orders.py"],
        ["imports.py"],
        ["manage.py", "uidgen", "workers"],
    ]:
        run(python, arguments, project)
    lines = run(python, ["manage.py", "uidgen", "generate", "-n", "5"], project).split()
    require(len({int(line) for line in lines}) == 5, "generate -n 5 printed", lines)


def write_project(folder: Path) -> None:
    """Write the files of the small project."""
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(python: str, arguments: list[str], folder: Path) -> str:
    """Run a script of the project and return what it printed."""
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    require(done.returncode == 0, " ".join(arguments), done.stdout)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
