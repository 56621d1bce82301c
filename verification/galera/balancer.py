"""A balancer before the nodes: each connection goes to any node that is up."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that are forwarded at a time.
CHUNK = 65536


class Balancer:
    """Listens on a port of its own. ``ports`` returns those of the nodes."""

    def __init__(self, ports: Callable[[], list[int]]) -> None:
        self._ports = ports
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(
                    target=self._serve, args=(client,), daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        ports = self._ports()
        random.shuffle(ports)
        for port in ports:
            with suppress(OSError):
                node = socket.create_connection(("127.0.0.1", port))
                threading.Thread(
                    target=forward, args=(node, client), daemon=True
                ).start()
                forward(client, node)
                return
        client.close()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def forward(source: socket.socket, target: socket.socket) -> None:
    """Forward all that comes from ``source``, then cut both."""
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
