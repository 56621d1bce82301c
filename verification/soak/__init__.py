"""Mint under everything that can go wrong, and look for a UID that came twice.

    make soak [MINUTES=30] [PROCESSES=8] [HOSTS=4]

or ``python -m verification.soak --help`` where ``.[test]`` is installed. It needs Linux
and the library of the package ``faketime``.

What runs:

- ``conductor`` starts a PostgreSQL of its own and some hosts, keeps processes minting
  on them, and breaks things: it kills and suspends processes, steps the clocks of the
  hosts, cuts hosts off the network, crashes and restarts the database.
- ``minter`` is one of these processes. It mints as fast as it can, in all the ways the
  library has, in several threads, forks children and writes down every UID that it was
  handed, as soon as it has it.
- ``checker`` is a program of its own, without Django and without the library. It reads
  what was written down, and counts what is there twice.

A host has a clock of its own, by libfaketime: up to an hour off, and stepped while its
processes run, by milliseconds to hours. Where this is permitted (as root) it also has a
network and a host name of its own, as a namespace, so that it can be cut off from the
database with statements under way. Elsewhere it is some processes with that clock, and
nothing is cut.

A process that is killed between being handed UIDs and writing them down hides these.
That may hide a repeated UID, but never makes one up; the gap is some microseconds for
each batch.

All that was written is removed at the end, unless something was found or a folder was
given by ``--folder``.
"""

from __future__ import annotations
