"""The generator classes under the path that settings use, and ``generators[alias]``.

``django_uidgen.generators`` is two public names in one: the module of dotted paths such
as ``"django_uidgen.generators.CachedUidGenerator"``, and the mapping of aliases to
generators that ``from django_uidgen import generators`` imports. Importing a module
sets the attribute of the package, so this module must be the mapping too.
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
    """A module that is also a mapping: ``registry.generators``."""

    def __bool__(self) -> bool:
        """Return True, as for every module, and do not read the setting."""
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
