"""The bounds of the model of failovers, its designs, and its mutations."""

from __future__ import annotations

from typing import NamedTuple

#: The kinds of worker ids: any but the reserve, and the two halves of the reserve.
ORDINARY, EVEN, ODD = "ordinary", "even", "odd"
KINDS = (ORDINARY, EVEN, ODD)

#: Where the number of an incarnation, whose parity decides, comes from.
NUMBERS = {
    "counter": "a counter of all promotions, which no failover loses",
    "timeline": "one more than the promoted standby knew, as PostgreSQL's timeline",
    "table": "one more than the last that is noted in the table",
}

#: How claims go on during a quarantine.
RESERVES = {
    "halves": "one half of the reserve for even incarnations, one for odd ones",
    "short": "the whole reserve, in short leases, after a wait for the length of these",
}


class Bounds(NamedTuple):
    """How large the model is. All but the first two are ticks."""

    processes: int
    failovers: int
    #: The watched tick, and the last one of time.
    watched: int
    lease: int
    lead: int
    #: What the protocol takes for the bound of the differences between clocks.
    skew: int = 1
    #: How often it is part of a quarantine, and of the margin of a renewal.
    in_quarantine: int = 2
    in_margin: int = 1
    #: The length of a reserved lease, for the reserve that is used in short leases.
    short: int = 1


class Case(NamedTuple):
    """A safeguard that is missing, where that shows, and what is done in its place."""

    kind: str
    failovers: int
    text: str
    number: str = "counter"
    reserve: str = "halves"
    #: The watched tick and the length of a lease: the least that show it.
    watched: int = 4
    lease: int = 2

    @property
    def bounds(self) -> Bounds:
        """How large the model is that shows it."""
        return Bounds(2, self.failovers, self.watched, self.lease, lead=0)


#: The safeguards, each with what is done in its place.
MUTATIONS = {
    "no_quarantine": Case(ORDINARY, 1, "a new incarnation begins no quarantine"),
    "no_skew": Case(ORDINARY, 1, "the quarantine is LEASE + MAX_LEAD long"),
    "ordinary_in_quarantine": Case(
        ORDINARY, 1, "ordinary worker ids are claimed in a quarantine too"
    ),
    "early_clock": Case(
        ORDINARY, 1, "an incarnation is noted with a tick read before it was asked for"
    ),
    "first_is_free": Case(
        ORDINARY, 1, "the first note begins no quarantine, though a process wrote it"
    ),
    "lapsed_renewed": Case(
        ORDINARY, 1, "a lapsed lease is renewed over a failover, if its row is there"
    ),
    "renewed_without_skew": Case(
        ORDINARY, 1, "a lease is renewed over a failover while now is before its end"
    ),
    "early_clock_renewal": Case(
        ORDINARY,
        1,
        "there, its end is compared with a tick read before the incarnation was",
        lease=3,
    ),
    "any_row_released": Case(
        ORDINARY, 1, "a release changes any row of the worker id after a failover"
    ),
    "known_by_number": Case(
        ORDINARY,
        2,
        "a lease knows its incarnation by the number of the timeline alone",
        number="timeline",
        watched=6,
        lease=3,
    ),
    "one_reserve": Case(ODD, 2, "both parities claim from one reserve"),
    "parity_of_table": Case(
        ODD, 2, "parity is that of a count in the table", number="table"
    ),
    "parity_of_timeline": Case(
        ODD,
        2,
        "parity is that of the timeline, and a standby has not seen the last one",
        number="timeline",
    ),
    "third_at_once": Case(ODD, 3, "a third incarnation within Q claims at once"),
    "third_by_notes": Case(
        ODD, 3, "a third one is one that finds two notes within Q in the table"
    ),
    "reserved_over_failover": Case(
        ODD,
        3,
        "a reserved id is renewed over a failover, as an ordinary one",
        watched=5,
        lease=3,
    ),
    "reserved_kept": Case(ODD, 3, "a reserved id is renewed beyond its quarantine"),
    "reserved_uncapped": Case(
        ODD, 3, "a reserved lease may end later than its quarantine"
    ),
    "short_at_once": Case(
        ODD, 2, "short leases of one reserve are claimed at once", "table", "short"
    ),
    "short_without_skew": Case(
        ODD, 2, "they are claimed after SHORT + MAX_LEAD", "table", "short"
    ),
    "short_long": Case(
        ODD,
        2,
        "they are as long as other leases",
        "table",
        "short",
        watched=6,
        lease=3,
    ),
}
