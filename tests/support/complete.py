"""Tests that need a tool which a newcomer's machine may lack."""

from __future__ import annotations

import os

import pytest

#: Set where all tools are there and no test may be left out, as in the whole check.
VARIABLE = "UIDGEN_TEST_COMPLETE"


def require(found: object, what: str) -> None:
    """Skip the test where ``what`` is missing, or fail in a complete run."""
    if found:
        return
    if os.environ.get(VARIABLE) == "1":
        pytest.fail(f"{what} is missing, and {VARIABLE} is set.")
    pytest.skip(f"{what} is missing.")
