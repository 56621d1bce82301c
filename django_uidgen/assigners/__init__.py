"""The assigners, which lease worker ids to generators.

``WORKER_ID_ASSIGNER`` names one of the classes below. A custom assigner inherits
``django_uidgen.core.assigner.WorkerIdAssigner``, or ``TableAssigner`` to choose worker
ids from the worker table by another rule.
"""

from __future__ import annotations

from django_uidgen.assigners.disposable import DisposableWorkerIdAssigner
from django_uidgen.assigners.fixed import FixedWorkerIdAssigner
from django_uidgen.assigners.leased import LeasedWorkerIdAssigner
from django_uidgen.assigners.table import TableAssigner

__all__ = [
    "DisposableWorkerIdAssigner",
    "FixedWorkerIdAssigner",
    "LeasedWorkerIdAssigner",
    "TableAssigner",
]
