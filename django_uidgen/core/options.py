"""The limits of a generator."""

from __future__ import annotations

from typing import NamedTuple


class GeneratorOptions(NamedTuple):
    """The limits of a generator.

    ``max_lead``: seconds that a UID's tick may lead the clock, None for no bound.
    ``max_age``: seconds that it may lag, None for no bound. ``max_wait``: seconds that
    a caller waits for its next UID. ``boost_power``: a padded stock holds at most
    ``sequence size << boost_power`` UIDs. ``padding_factor``: the stock is padded when
    it falls below this percentage of the stock that the demand requires.
    """

    max_lead: float | None = 1.0
    max_age: float | None = 1.0
    max_wait: float = 5.0
    boost_power: int = 3
    padding_factor: int = 50
