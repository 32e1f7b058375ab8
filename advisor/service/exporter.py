"""Answers Prometheus over HTTP, from a thread of its own."""

from __future__ import annotations

import errno
import socket
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from advisor.ports.clock import Clock
from advisor.service.address import AddressRefused
from advisor.service.metrics import Metrics


def is_free(listen: str) -> bool:
    """Return whether nobody listens on ``host:port``. Raises AddressRefused: nobody can."""
    host, _, port = listen.rpartition(":")
    try:
        family, *_, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise AddressRefused(f"cannot listen on {listen}: {error}") from error
    return True


_PERIOD_S = 5.0


class Exporter:
    """Serves the metrics; in plain text, since they contain only counts and times."""

    def __init__(self, metrics: Metrics, listen: str | None) -> None:
        """Make an exporter that does not listen yet.

        Args:
            metrics: What it serves.
            listen: ``host:port``; None to serve nothing.
        """
        self._metrics = metrics
        self._listen = listen
        self._running: tuple[WSGIServer, Thread] | None = None

    def start(self) -> None:
        """Begin to answer. Raises AddressRefused."""
        if self._listen is None:
            return
        host, _, port = self._listen.rpartition(":")
        try:
            self._running = start_http_server(
                int(port), host.strip("[]"), registry=self._metrics.registry
            )
        except OSError as error:
            raise AddressRefused(f"cannot listen on {self._listen}: {error}") from error

    async def watch(self, clock: Clock) -> None:
        """Begin to answer again whenever its thread has ended, until cancelled.

        Raises:
            AddressRefused: It cannot.
        """
        while True:
            await clock.sleep(_PERIOD_S)
            if self._running is not None and not self._running[1].is_alive():
                server, _ = self._running
                server.server_close()
                self.start()
                raise RuntimeError("the thread that answers Prometheus had ended")

    @property
    def port(self) -> int:
        """The port on which it answers."""
        if self._running is None:
            raise RuntimeError("the exporter does not listen")
        return int(self._running[0].server_port)

    def stop(self) -> None:
        """Answer no more. Idempotent."""
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            server.server_close()
            thread.join()
            self._running = None
