"""Build the documentation: ``make docs``."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "django_uidgen"
author = "django_uidgen contributors"
version = release = installed_version("django-uidgen")

extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"{project} {version}"
nitpicky = True
