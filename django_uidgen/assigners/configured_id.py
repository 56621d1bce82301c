"""The worker id that the operator configured for this process."""

from __future__ import annotations

import os
import re

from django_uidgen import node_info
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core.exceptions import WorkerIdUnavailable


def configured_worker_id(config: GeneratorConfig) -> int:
    """Return the worker id configured for this process.

    It is the option ``WORKER_ID``, or the value of the environment variable that
    ``WORKER_ID_ENV`` names, or the ordinal at the end of the host name of a pod in a
    StatefulSet. Raise ``WorkerIdUnavailable`` if that is not a number within
    ``WORKER_IDS``.
    """
    options = config.assigner_options
    if options.worker_id is not None:
        return options.worker_id
    source, text = _source_and_text(options.worker_id_env)
    first, last = config.worker_ids
    if re.fullmatch(r"\d{1,10}", text, re.ASCII) and first <= int(text) <= last:
        return int(text)
    raise WorkerIdUnavailable(
        f"Generator {config.alias!r} reads its worker id from the {source}, which "
        f"is {text!r}; it must be a number from {first} to {last}."
    )


def _source_and_text(variable: str | None) -> tuple[str, str]:
    if variable is not None:
        return f"environment variable {variable!r}", os.environ.get(variable, "")
    host = node_info.host_name()
    ordinal = re.search(r"-(\d{1,10})$", host)
    source = f"ordinal at the end of the host name {host!r}"
    return source, ordinal[1] if ordinal else ""
