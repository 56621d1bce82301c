"""The generator classes under the name that settings use, and ``generators[alias]``.

``django_uidgen.generators`` is two public names in one: the module that a dotted path
such as ``"django_uidgen.generators.CachedUidGenerator"`` looks into, and the mapping of
aliases to generators that ``from django_uidgen import generators`` gives. Importing the
module puts it in the package under that name, so it has to be the mapping as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

from django_uidgen import registry
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    UidGenerator,
)

__all__ = ["CachedUidGenerator", "DefaultUidGenerator", "UidGenerator"]


class _GeneratorsModule(ModuleType):
    """A module that answers as ``registry.generators`` when it is subscripted."""

    def __bool__(self) -> bool:
        """Return True, as every module: not by its length, which a setting decides."""
        return True

    def __getitem__(self, alias: str) -> UidGenerator:
        return registry.generators[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(registry.generators)

    def __len__(self) -> int:
        return len(registry.generators)

    def __contains__(self, alias: object) -> bool:
        return alias in registry.generators


sys.modules[__name__].__class__ = _GeneratorsModule
