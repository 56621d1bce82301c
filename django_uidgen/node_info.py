"""The identity of this process: host, process id, container or not, time of launch."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from django_uidgen.core import fork

#: Words that container runtimes put into the path of a control group.
_CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "crio", "libpod", "lxc")

#: The variables of Baidu's JPaaS: the host of the container, and its port there.
_JPAAS = ("JPAAS_HOST", "JPAAS_HTTP_PORT")

#: By process, the time of the launch in seconds since 1970, taken when this module
#: is imported. A forked child counts as another launch.
_launches: dict[fork.ForkGuard, float] = {fork.this_process(): time.time()}


def in_container(
    environ: Mapping[str, str] | None = None, root: Path = Path("/")
) -> bool:
    """Return whether this process runs in a container.

    Kubernetes and Baidu's JPaaS set environment variables, Docker and Podman create a
    file, and most runtimes name the control group. ``root`` is the root directory for
    these files.
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
    """Return when this process was launched, or first called this after its fork.

    Aware and in UTC if USE_TZ is on, else naive, like ``timezone.now()``.
    """
    # Atomic: two threads of a child receive the same time.
    launch = _launches.setdefault(fork.this_process(), time.time())
    return datetime.fromtimestamp(launch, timezone.now().tzinfo)


def describe() -> dict[str, Any]:
    """Return the columns of the worker table that identify this process."""
    from django_uidgen.models import WorkerNode

    node_type = WorkerNode.NodeType
    return {
        "host_name": host_name(),
        "process_id": os.getpid(),
        "node_type": node_type.CONTAINER if in_container() else node_type.ACTUAL,
        "launched_at": launched_at(),
    }
