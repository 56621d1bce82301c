"""The programs that serve projects, each driven as its users drive it."""

from __future__ import annotations
