"""Have the master of gunicorn mint right before each fork."""

from __future__ import annotations

import django

from tests.servers.project import parent


def on_starting(server):
    """Load the project in the master, which gunicorn does with --preload only."""
    django.setup()
    parent.mint()


def pre_fork(server, worker):
    """Mint, so that each worker finds a stock in its copy of the memory."""
    parent.mint()
