"""Try every order of events over failovers, up to some bounds, and print what is found.

``python -m verification.model.check`` runs this after the model of one incarnation. The
protocol must have no duplicate, and one without each of its safeguards.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

from verification.model.explore import Found, search, walk
from verification.model.failover import Model
from verification.model.failover_rules import (
    EVEN,
    MUTATIONS,
    ODD,
    ORDINARY,
    Bounds,
)

SEED = 11


class Size(NamedTuple):
    """How much is searched."""

    models: list[Model]
    #: How many walks at random for each kind of worker id.
    walks: int


def _halves(bounds: Bounds) -> list[Model]:
    return [Model(bounds, EVEN), Model(bounds, ODD)]


def _short(bounds: Bounds) -> Model:
    """Return the model of one reserve with short leases; no number has any effect."""
    return Model(bounds, ODD, number="table", reserve="short")


#: Ordinary leases of 3 ticks: shorter ones are never renewed over a failover.
QUICK = Size(
    [
        Model(Bounds(2, 1, watched=8, lease=3, lead=1), ORDINARY),
        Model(Bounds(2, 2, watched=6, lease=3, lead=0), ORDINARY),
        *_halves(Bounds(2, 2, watched=6, lease=2, lead=0)),
        *_halves(Bounds(2, 3, watched=5, lease=2, lead=0)),
        _short(Bounds(2, 3, watched=6, lease=2, lead=0)),
    ],
    walks=2_000,
)
USUAL = Size(
    [
        *QUICK.models,
        Model(Bounds(2, 2, watched=8, lease=3, lead=1), ORDINARY),
        Model(Bounds(3, 2, watched=7, lease=3, lead=0), ORDINARY),
        Model(Bounds(2, 3, watched=6, lease=2, lead=0), ORDINARY),
        *_halves(Bounds(3, 3, watched=6, lease=2, lead=0)),
        *_halves(Bounds(2, 3, watched=7, lease=3, lead=0)),
        _short(Bounds(3, 3, watched=7, lease=3, lead=0)),
    ],
    walks=20_000,
)
FULL = Size(
    [
        *USUAL.models,
        Model(Bounds(3, 3, watched=7, lease=3, lead=0), ORDINARY),
        *_halves(Bounds(3, 3, watched=8, lease=3, lead=1)),
    ],
    walks=100_000,
)

#: With the figures that the library uses, and more of everything.
FOR_WALKS = Bounds(
    3, 4, watched=24, lease=4, lead=1, in_quarantine=3, in_margin=3, short=2
)


def walked_models() -> list[Model]:
    """Return a model for each kind of worker id, to be walked at random."""
    return [Model(FOR_WALKS, ORDINARY), *_halves(FOR_WALKS), _short(FOR_WALKS)]


def without(mutation: str) -> Model:
    """Return the smallest model in which a missing safeguard shows."""
    case = MUTATIONS[mutation]
    return Model(case.bounds, case.kind, case.number, case.reserve, mutation)


def run(size: Size) -> tuple[bool, list[bool]]:
    """Search and print. Return whether the protocol holds, and what was refuted."""
    print("\nOver failovers:")
    with ProcessPoolExecutor() as pool:
        found = pool.map(search, size.models)
        holds = [_print_search(*each) for each in zip(size.models, found, strict=True)]
        walked = walked_models()
        found = pool.map(partial(walk, walks=size.walks, seed=SEED), walked)
        holds += [
            _print_walks(model, each, size.walks)
            for model, each in zip(walked, found, strict=True)
        ]
        print("\nOver failovers, without one safeguard:")
        found = pool.map(search, map(without, MUTATIONS))
        refuted = [
            _print_mutation(*each) for each in zip(MUTATIONS, found, strict=True)
        ]
    return all(holds), refuted


def _print_search(model: Model, found: Found) -> bool:
    _print_model(model)
    print(
        f"    {found.states:,} states, {found.steps:,} steps, depth {found.depth}, "
        f"{found.seconds:.1f} s: {_outcome(found)}",
        flush=True,
    )
    _print_trace(found)
    return found.trace is None


def _print_walks(model: Model, found: Found, walks: int) -> bool:
    _print_model(model)
    print(
        f"    {walks:,} walks at random (seed {SEED}), {found.steps:,} steps, at most "
        f"{found.depth} in a walk, {found.seconds:.1f} s: {_outcome(found)}",
        flush=True,
    )
    _print_trace(found)
    return found.trace is None


def _print_mutation(mutation: str, found: Found) -> bool:
    print(f"{mutation}: {MUTATIONS[mutation].text}")
    if found.trace is None:
        print("  NOT REFUTED")
        return False
    failovers = MUTATIONS[mutation].failovers
    print(f"  refuted in {len(found.trace)} steps, failovers: {failovers}")
    _print_trace(found)
    return True


def _print_model(model: Model) -> None:
    bounds = model.bounds
    kind = model.kind if model.kind == ORDINARY else f"reserved ({model.kind})"
    if model.reserve == "short":
        kind = "reserved (short leases)"
    print(
        f"  {kind} worker ids, {bounds.processes} processes, failovers: "
        f"{bounds.failovers}, ticks 0 to {bounds.watched}, leases of {bounds.lease}, "
        f"lead {bounds.lead}, clocks {bounds.skew} apart, which counts "
        f"{bounds.in_quarantine} times in a quarantine and {bounds.in_margin} times at "
        "a renewal"
    )


def _outcome(found: Found) -> str:
    return "no duplicate" if found.trace is None else "DUPLICATE"


def _print_trace(found: Found) -> None:
    for number, line in enumerate(found.trace or [], 1):
        print(f"    {number:2} {line}")
