"""A TCP proxy before a database server, which fails on command."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Bytes that are forwarded at a time. Every statement of the suite is shorter.
CHUNK = 65536


class Fault:
    """What is to happen to the next statement that contains some bytes."""

    def __init__(self, statement: bytes) -> None:
        self.statement = statement
        #: Set when it has happened.
        self.happened = threading.Event()


class LostRequest(Fault):
    """The server never sees the statement; the connection is cut."""


class LostAnswer(Fault):
    """The server carries the statement out; the answer is lost with the connection."""


class LateRequest(Fault):
    """The server sees the statement only after ``go_on`` is set."""

    def __init__(self, statement: bytes) -> None:
        super().__init__(statement)
        self.go_on = threading.Event()


class Connection:
    """One client, and its connection to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        #: Cleared while nothing is forwarded. New connections of a proxy have another.
        self.flowing = proxy.flowing
        self.server: socket.socket | None = None
        self.losing: LostAnswer | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            self.flowing.wait()
            self.server = self.proxy.connect()
            threading.Thread(target=self._answers, daemon=True).start()
            self._requests(self.server)
        self.cut()

    def _requests(self, server: socket.socket) -> None:
        while data := self.client.recv(CHUNK):
            self.flowing.wait()
            fault = self.proxy.take_fault(data)
            if isinstance(fault, LostAnswer):
                self.losing = fault
            elif fault is not None:
                fault.happened.set()
            if isinstance(fault, LostRequest):
                self.cut()
            elif isinstance(fault, LateRequest):
                fault.go_on.wait()
            server.sendall(data)

    def _answers(self) -> None:
        with suppress(OSError):
            while self.server is not None and (data := self.server.recv(CHUNK)):
                self.flowing.wait()
                if self.losing is not None:
                    self.losing.happened.set()
                    self.cut()
                self.client.sendall(data)
        self.cut()

    @property
    def is_open(self) -> bool:
        """Whether it was not cut."""
        return self.client.fileno() >= 0

    def cut(self) -> None:
        """Close both ends, from whichever thread."""
        for end in (self.client, self.server):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


class Proxy:
    """Listens on a port of its own and forwards to ``address``.

    ``address`` is a host and a port, or the path of a Unix socket.
    """

    def __init__(self, address: tuple[str, int] | str) -> None:
        self.address = address
        self.port = 0
        self.flowing = threading.Event()
        self.flowing.set()
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._faults: list[Fault] = []
        self._listener: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Return a new connection to the server."""
        if isinstance(self.address, tuple):
            return socket.create_connection(self.address)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.address)
        except OSError:
            server.close()
            raise
        return server

    @property
    def connections(self) -> list[Connection]:
        """The connections that are open."""
        with self._lock:
            return [one for one in self._connections if one.is_open]

    # The server is up and down.

    def start(self) -> None:
        """Take connections, on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._lock:
                    self._connections.append(Connection(self, client))

    def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Else the thread in accept() keeps it open.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._cut_all()

    def lead_to(self, address: tuple[str, int] | str) -> None:
        """Cut what is open, and forward new connections to another server."""
        self.address = address
        self._cut_all()

    def _cut_all(self) -> None:
        for connection in self.connections:
            connection.cut()

    def end(self) -> None:
        """Stop, and let go of the threads that wait."""
        self.stop()
        for connection in self._connections:
            connection.flowing.set()

    # The server hangs.

    def stall(self) -> None:
        """Take connections, but forward nothing."""
        self.flowing.clear()

    def resume(self) -> None:
        """Forward again, also what was held back."""
        self.flowing.set()

    def strand(self) -> None:
        """Hold what is open for ever, without a word, and serve new connections."""
        self.flowing.clear()
        self.flowing = threading.Event()
        self.flowing.set()

    # The network loses something.

    def inject(self, fault: Fault) -> Fault:
        """Let ``fault`` happen to the next statement that it is meant for."""
        self._faults.append(fault)
        return fault

    def take_fault(self, data: bytes) -> Fault | None:
        """Return the fault that is to happen to ``data``, once."""
        with self._lock:
            for fault in self._faults:
                if fault.statement in data:
                    self._faults.remove(fault)
                    return fault
        return None


@contextmanager
def running(address: tuple[str, int] | str) -> Iterator[Proxy]:
    """Run a proxy that ends with the block."""
    proxy = Proxy(address)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()
