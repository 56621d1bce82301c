"""Work in a thread that its caller may stop waiting for."""

from __future__ import annotations

import threading

from django_uidgen.core.background_work import BackgroundWork


def test_thread_that_cannot_be_joined():
    """CPython may lose threads of a child that was forked in C. The work is done."""

    class Lost(threading.Thread):
        def join(self, timeout=None):
            raise RuntimeError("Failed joining thread")

    work = BackgroundWork(lambda: "done", name="work")
    work._thread = Lost(target=work._run)
    work.start()
    assert work.result(30) == "done"
    assert not work.is_running
