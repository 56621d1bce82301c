"""The identity of a process: from its environment, its files and its process id."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from django_uidgen import node_info
from django_uidgen.core import fork
from django_uidgen.models import WorkerNode

JPAAS = {"JPAAS_HOST": "10.26.5.7", "JPAAS_HTTP_PORT": "8080"}


def write(root, path, text):
    """Write a file below ``root``."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        file.write_bytes(text)
    else:
        file.write_text(text)


# Container or not.


@pytest.mark.parametrize(
    "environ",
    [
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"KUBERNETES_SERVICE_HOST": ""},
        JPAAS,
        JPAAS | {"HOME": "/"},
    ],
)
def test_container_by_its_environment(tmp_path, environ):
    """Kubernetes sets a variable, Baidu's JPaaS a pair."""
    assert node_info.in_container(environ, tmp_path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"JPAAS_HOST": "10.26.5.7"},
        {"JPAAS_HTTP_PORT": "8080"},
        {"JPAAS_HOST": "10.26.5.7", "JPAAS_HTTP_PORT": ""},
        {"JPAAS_HOST": "", "JPAAS_HTTP_PORT": "8080"},
        {"KUBERNETES_SERVICE_PORT": "443"},
    ],
)
def test_no_container_by_half_of_a_pair(tmp_path, environ):
    """JPaaS gives both of its pair, and neither is empty."""
    assert not node_info.in_container(environ, tmp_path)


@pytest.mark.parametrize("path", [".dockerenv", "run/.containerenv"])
def test_container_by_a_file(tmp_path, path):
    """Docker's, and Podman's."""
    write(tmp_path, path, "")
    assert node_info.in_container({}, tmp_path)


@pytest.mark.parametrize(
    "groups",
    [
        "12:pids:/docker/0f3c\n11:cpu,cpuacct:/docker/0f3c\n1:name=systemd:/docker/0f3c\n",
        "4:memory:/kubepods/besteffort/pod1/2\n",
        "0::/system.slice/docker-0f3c.scope\n",
        "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-0f.scope\n",
        "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice\n",
        "0::/machine.slice/libpod-0f3c.scope\n",
        "0::/crio-0f3c.scope\n",
        "9:devices:/lxc/web\n",
        b"0::/docker/\xff\xfe\n",
    ],
)
def test_container_by_its_control_group(tmp_path, groups):
    """Versions 1 and 2, with the names that the runtimes give."""
    write(tmp_path, "proc/self/cgroup", groups)
    assert node_info.in_container({}, tmp_path)


@pytest.mark.parametrize(
    "groups",
    [
        "",
        "0::/\n",
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        "0::/system.slice/gunicorn.service\n",
        "12:pids:/\n11:cpu,cpuacct:/\n1:name=systemd:/init.scope\n",
        b"0::/user.slice/\xff\xfe\n",
    ],
)
def test_actual_machine_by_its_control_group(tmp_path, groups):
    """No name of a container runtime in it, whatever else."""
    write(tmp_path, "proc/self/cgroup", groups)
    assert not node_info.in_container({}, tmp_path)


def test_system_without_control_groups(tmp_path):
    """Not Linux: an actual machine."""
    assert not node_info.in_container({}, tmp_path)


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    """It is only a note in the table: no reason to refuse a worker id."""

    def refuse(self, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert not node_info.in_container({}, tmp_path)


def test_environment_and_root_of_this_process(monkeypatch):
    """Where none are given."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert node_info.in_container()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    monkeypatch.delenv("JPAAS_HOST", raising=False)
    assert node_info.in_container() is node_info.in_container({}, Path("/"))


# Host name.


def test_host_name(monkeypatch):
    """The system's."""
    assert node_info.host_name({}) == socket.gethostname()
    monkeypatch.delenv("JPAAS_HOST", raising=False)
    assert node_info.host_name() == socket.gethostname()


def test_host_name_under_jpaas(monkeypatch):
    """That of the container's host, given by both of the pair only."""
    assert node_info.host_name(JPAAS) == "10.26.5.7"
    assert node_info.host_name({"JPAAS_HOST": "x"}) == socket.gethostname()
    for name, value in JPAAS.items():
        monkeypatch.setenv(name, value)
    assert node_info.host_name() == "10.26.5.7"


def test_longest_host_name(monkeypatch):
    """As long as its column in the worker table."""
    length = WorkerNode._meta.get_field("host_name").max_length
    assert node_info.host_name(JPAAS | {"JPAAS_HOST": "x" * 300}) == "x" * length
    monkeypatch.setattr(socket, "gethostname", lambda: "y" * 300)
    assert node_info.host_name({}) == "y" * length


# Time of launch.


def test_launched_at_stays():
    """One moment for one process, aware, and in the past."""
    launched_at = node_info.launched_at()
    assert launched_at == node_info.launched_at()
    assert launched_at.tzinfo is UTC
    assert datetime.now(UTC) - timedelta(hours=1) < launched_at < datetime.now(UTC)


def test_forked_child_is_a_launch_of_its_own():
    """Its time is that of its first question, later than its parent's."""
    parents = node_info.launched_at()
    before = datetime.now(UTC)
    read, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            first, second = node_info.launched_at(), node_info.launched_at()
            os.write(write_end, f"{first.isoformat()} {second.isoformat()}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read) as answer:
        first, second = map(datetime.fromisoformat, answer.read().split())
    os.waitpid(pid, 0)
    assert parents < before <= first == second <= datetime.now(UTC)
    assert node_info.launched_at() == parents


def test_launched_at_without_time_zones(settings):
    """As the database takes it: naive, in local time."""
    aware = node_info.launched_at()
    settings.USE_TZ = False
    naive = node_info.launched_at()
    assert naive.tzinfo is None
    assert naive.timestamp() == aware.timestamp()
    assert naive <= timezone.now()


# All together.


@pytest.mark.parametrize(
    ("environ", "node_type"),
    [(JPAAS, WorkerNode.NodeType.CONTAINER), ({}, WorkerNode.NodeType.ACTUAL)],
)
def test_columns_of_the_worker_table(monkeypatch, tmp_path, environ, node_type):
    """What a lease says of its process."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    # As on a machine without container files, wherever the suite runs.
    monkeypatch.setattr(node_info.in_container, "__defaults__", (None, tmp_path))
    columns = {field.name for field in WorkerNode._meta.fields}
    described = node_info.describe()
    assert described == {
        "host_name": environ.get("JPAAS_HOST", socket.gethostname()),
        "process_id": os.getpid(),
        "node_type": node_type,
        "launched_at": node_info.launched_at(),
    }
    assert set(described) <= columns


def test_launch_is_noted_at_import():
    """Not at the first claim, which may be hours later."""
    assert node_info._launches[fork.this_process()] < time.time()
