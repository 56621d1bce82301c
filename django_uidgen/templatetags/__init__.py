"""Template tags. ``{% load uidgen %}``."""

from __future__ import annotations
