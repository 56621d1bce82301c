"""Primary keys: unique, time-ordered, 64 bits wide, on any number of machines.

The names below are looked up at their first use, so that importing
``django_uidgen.core`` never imports Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_uidgen.moments import uid_bounds, uid_ceil, uid_floor
    from django_uidgen.parsing import parse
    from django_uidgen.registry import auid, auids, generators, uid, uids

__version__ = "0.1.0.dev0"

__all__ = [
    "auid",
    "auids",
    "generators",
    "parse",
    "uid",
    "uid_bounds",
    "uid_ceil",
    "uid_floor",
    "uids",
]


#: Where each public name lives; None for a module of that name.
_HOMES = {
    "auid": "registry",
    "auids": "registry",
    "generators": None,
    "parse": "parsing",
    "uid": "registry",
    "uid_bounds": "moments",
    "uid_ceil": "moments",
    "uid_floor": "moments",
    "uids": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES[name] or name}")
    value = getattr(home, name) if _HOMES[name] else home
    # Two threads at once store the same value; the import system has locks of its own.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
