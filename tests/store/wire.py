"""The network between the bot and a PostgreSQL: a relay on loopback that may lose an answer, freeze, or be cut.

Bytes go through threads, since that is also where the store's connections live.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from buildbot.sandbox.serving import listen

PIECE = 65536


class Wire:
    """The relay. `url` leads through it to the database of `to`."""

    def __init__(self, listening: socket.socket, to: str) -> None:
        listening.listen()
        self._listening = listening
        place, _, self._database = to.rpartition("/")
        self._port = int(place.rpartition(":")[2])
        port = listening.getsockname()[1]
        self.url = f"{place.rpartition(':')[0]}:{port}/{self._database}"
        self._passes = threading.Event()
        self._passes.set()
        self._loses_next_commit = False
        self.lost_commits = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose_answer_to_commit(self) -> None:
        """The next COMMIT reaches the database and is done; its answer is lost, and the connection with it."""
        self._loses_next_commit = True

    def freeze(self) -> None:
        """Nothing goes through any more, and nobody is told."""
        self._passes.clear()

    def thaw(self) -> None:
        """What was held up goes on."""
        self._passes.set()

    def close(self) -> None:
        """End every connection and the relay."""
        self._passes.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for one in self._sockets:
            _end(one)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [client, server]
            for way in ((client, server, True), (server, client, False)):
                self._threads.append(threading.Thread(target=self._pass_on, args=way, daemon=True))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_asking: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._passes.wait()
                if is_asking and self._loses_next_commit and b"COMMIT" in piece:
                    self._loses_next_commit = False
                    _end(source)
                    target.sendall(piece)
                    self.lost_commits += 1
                    continue
                target.sendall(piece)
        _end(target)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """A relay to the database of that URL while the block lasts."""
    with listen() as listening:
        wire = Wire(listening, url)
        try:
            yield wire
        finally:
            wire.close()
