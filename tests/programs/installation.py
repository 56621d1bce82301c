"""A program that fills a database, as an installation with worker ids of its own does.

    python -m tests.programs.installation DATABASE FIRST LAST

No test run is set up, so worker ids from FIRST to LAST are leased from the worker table
of DATABASE, an alias. They are released at the end.
"""

from __future__ import annotations

import sys

import django


def main(database: str, first: int, last: int) -> None:
    """Fill the database."""
    django.setup()

    from django.conf import settings

    settings.UIDGEN = uidgen(database, (first, last))
    fill(database)


def uidgen(database, worker_ids):
    """Return the setting of an installation."""
    values = {
        "DATABASE": database,
        "WORKER_IDS": worker_ids,
        "TEST": False,
        # On a busy machine a claim may take longer than the default.
        "OPTIONS": {"MAX_WAIT": 60},
    }
    return {"default": values, "orders": values}


def fill(database):
    """Make rows of every model, with relations of every kind."""
    from tests.testapp import models

    def make(model, **values):
        return model.objects.using(database).create(**values)

    tags = [make(models.Tag, name=f"{database} {number}") for number in range(3)]
    orders = [make(models.Order, name=f"{database} {number}") for number in range(9)]
    orders.append(make(models.GiftOrder, name=f"{database} gift", message="m"))
    for number, order in enumerate(orders):
        order.tags.add(*tags[: number % 4])
        make(models.OrderLine, order_id=order.pk, product=f"{database} {number}")
        make(models.Receipt, order_id=order.pk, text=f"{database} {number}")
    events = [make(models.Event, name=f"{database} {number}") for number in range(5)]
    events.append(make(models.LoudEvent, name=f"{database} loud", volume=3))
    for event in events:
        make(models.EventNote, event_id=event.pk, text=database)
        parcel = make(
            models.Parcel, name=database, event_id=event.pk, order_id=orders[0].pk
        )
        parcel.seen_at.add(event, events[0])
        make(models.Seal, parcel_id=parcel.pk)
    make(models.Crate, name=database)
    ticket = make(models.Ticket, seat=database)
    make(models.Invoice, ticket_id=ticket.number, text=database)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
