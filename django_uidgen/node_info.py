"""Who this process is: host, process id, container or not, time of launch."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

#: Words in a control group's path that container runtimes put there.
_CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "crio", "libpod", "lxc")

#: Baidu's pair: the host of the container, and its port there.
_JPAAS = ("JPAAS_HOST", "JPAAS_HTTP_PORT")

#: By process id, the time of its launch, in seconds since 1970, noted by the import of
#: this module. A forked child is a launch of its own.
_launches: dict[int, float] = {os.getpid(): time.time()}


def in_container(
    environ: Mapping[str, str] | None = None, root: Path = Path("/")
) -> bool:
    """Tell whether this process runs in a container.

    Kubernetes and Baidu's JPaaS say so in the environment, Docker and Podman with a
    file, and most runtimes in the name of the control group. ``root`` is where the
    files are looked for.
    """
    environ = os.environ if environ is None else environ
    if "KUBERNETES_SERVICE_HOST" in environ or all(map(environ.get, _JPAAS)):
        return True
    try:
        if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
            return True
        groups = (root / "proc/self/cgroup").read_text(errors="replace")
    except OSError:
        return False
    return any(word in groups for word in _CONTAINER_GROUPS)


def host_name(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of this host; under JPaaS that of the container's host."""
    environ = os.environ if environ is None else environ
    if all(map(environ.get, _JPAAS)):
        return environ[_JPAAS[0]][:255]
    return socket.gethostname()[:255]


def launched_at() -> datetime:
    """Return when this process was launched, or first asked after its fork.

    Aware and in UTC if USE_TZ is on, else naive, as ``timezone.now()``.
    """
    # Of two threads of a child, the second gets what the first has noted.
    launch = _launches.setdefault(os.getpid(), time.time())
    return datetime.fromtimestamp(launch, timezone.now().tzinfo)


def describe() -> dict[str, Any]:
    """Return the columns of the worker table that say who this process is."""
    from django_uidgen.models import WorkerNode

    node_type = WorkerNode.NodeType
    return {
        "host_name": host_name(),
        "process_id": os.getpid(),
        "node_type": node_type.CONTAINER if in_container() else node_type.ACTUAL,
        "launched_at": launched_at(),
    }
