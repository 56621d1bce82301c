"""A project that mints for whoever asks, and tells which process did."""

from __future__ import annotations
