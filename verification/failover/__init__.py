"""Mint while databases fail over and forget, and look for a UID that came twice.

    make failover [ARGS="--minutes 30 --quarantine with"]

or ``python -m verification.failover --help`` where ``.[test]`` is installed. It needs
Linux; for MariaDB also its server on the machine, and ``.[mariadb]``; for Patroni
(``make patroni``) the packages ``postgresql``, ``patroni`` and ``etcd-server``.

What runs:

- ``conductor`` starts a primary and an asynchronous standby of its own. Again and
  again it stops the standby from receiving, waits until leases were claimed that the
  standby lacks, kills the primary, promotes the standby, and starts a new standby.
  Clients know one address, that of a proxy which leads to the present primary. Under
  Patroni, which promotes the standby by itself, they know both servers.
- ``minter`` forks processes that mint flat out, write every UID down as soon as they
  have it, and leave, crash, sleep beyond their leases or close their generators, all of
  them with short leases and few worker ids.
- ``outcome`` adds up what they wrote. ``verification.soak.checker`` counts the
  duplicates; it shares no code with the library.

A process that is killed between being handed UIDs and writing them down hides these.
That may hide a repeated UID, but never makes one up.
"""

from __future__ import annotations

#: The alias that mints.
ALIAS = "default"

#: The environment variable with the settings that vary, in JSON.
SETTINGS = "UIDGEN_FAILOVER_SETTINGS"
