"""Processes that lease from the three nodes of a Galera cluster at once.

    make galera MINUTES=2

Some of the processes use one node each, some a balancer, by which each step of theirs
may reach another node. They claim in bursts from few worker ids, renew, rest for longer
than a lease, exit and are killed. One node after another is killed and comes back. At
the end ``verification.soak.checker`` looks for duplicates in what they wrote down.
"""
