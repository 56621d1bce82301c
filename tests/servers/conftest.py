"""Servers for a test."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.servers.server import running


@pytest.fixture
def start(tmp_path, settings, transactional_db):
    """Return a function that starts a program, which does not outlive the test."""
    with ExitStack() as stack:

        def start_(command, **environ):
            return stack.enter_context(
                running(tmp_path, settings.SETTINGS_MODULE, command, environ)
            )

        yield start_
