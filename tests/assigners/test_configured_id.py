"""Where a fixed worker id comes from: the environment or the host name."""

from __future__ import annotations

import pytest

from django_uidgen.core.exceptions import WorkerIdUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


def test_fixed_worker_id_of_the_environment(make, monkeypatch):
    """As Kubernetes can set it."""
    monkeypatch.setenv("POD_INDEX", "3")
    assert make("Fixed", OPTIONS={"WORKER_ID_ENV": "POD_INDEX"}).claim(1).worker_id == 3


@pytest.mark.parametrize("text", [None, "", "4", "-1", "1.0", "²", "9" * 5000, "one"])
def test_environment_without_a_worker_id(make, monkeypatch, text):
    """The message names the variable, the value and the range."""
    if text is not None:
        monkeypatch.setenv("POD_INDEX", text)
    assigner = make("Fixed", OPTIONS={"WORKER_ID_ENV": "POD_INDEX"})
    with pytest.raises(WorkerIdUnavailable, match=r"'POD_INDEX'.* from 0 to 3"):
        assigner.claim(1)


@pytest.mark.parametrize(("host", "worker_id"), [("web-2", 2), ("a-7-b-0", 0)])
def test_fixed_worker_id_of_a_stateful_set(make, monkeypatch, host, worker_id):
    """The ordinal at the end of the host name."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert make("Fixed").claim(1).worker_id == worker_id


@pytest.mark.parametrize("host", ["web", "web2", "web-", "web-4", "web-2x"])
def test_host_name_without_an_ordinal(make, monkeypatch, host):
    """The message names the host."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with pytest.raises(WorkerIdUnavailable, match=f"host name '{host}'"):
        make("Fixed").claim(1)
