"""Path converters: ``<uid:pk>``, ``<uid32:pk>``, ``<uid62:pk>``.

The app registers them. What is no UID matches no route, so it is answered with 404.
"""

from __future__ import annotations

from typing import ClassVar

from django.urls import register_converter
from django.urls.converters import get_converters

from django_uidgen.core.text import UidText


class UidConverter:
    """UIDs as decimal digits, without leading zeros.

    A subclass may name a ``prefix``, of letters, digits and ``._~-``::

        class OrderConverter(Uid32Converter):
            prefix = "ord_"

        register_converter(OrderConverter, "order")
    """

    base: ClassVar[int] = 10
    prefix: ClassVar[str] = ""

    def __init__(self) -> None:
        self._text = UidText(self.base, self.prefix)
        #: What Django asks a converter for.
        self.regex = self._text.pattern

    def to_python(self, value: str) -> int:
        """Return the UID. Raise ``InvalidUid``, a ``ValueError``, for no match."""
        return self._text.parse(value)

    def to_url(self, value: int | str) -> str:
        """Return the one text for ``value``, an int or its decimal digits.

        Raise ``InvalidUid``, a ``ValueError``: Django makes it a ``NoReverseMatch``.
        """
        return self._text.format(value)


class Uid32Converter(UidConverter):
    """UIDs in base 32. Lower case and look-alikes are read, upper case is written."""

    base = 32


class Uid62Converter(UidConverter):
    """UIDs in base 62."""

    base = 62


_CONVERTERS = {"uid": UidConverter, "uid32": Uid32Converter, "uid62": Uid62Converter}


def register() -> None:
    """Register the three, but none whose name is taken. Harmless when repeated.

    The app does so when it is ready. A URLconf that is imported before, as by the
    ``ready()`` of an app that is listed earlier, calls this first.
    """
    for name, converter in _CONVERTERS.items():
        # Django refuses a name that is taken, or warns, also for the same class.
        if name not in get_converters():
            register_converter(converter, name)
