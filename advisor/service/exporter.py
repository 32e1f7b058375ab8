"""Answers Prometheus over HTTP, within bounds: whoever reaches the port needs no token."""

from __future__ import annotations

import asyncio
import errno
import socket
from http.client import HTTPException, parse_headers
from io import BytesIO

from prometheus_client.exposition import choose_encoder

from advisor.service.address import AddressRefused
from advisor.service.metrics import Metrics

_MAX_CONNECTIONS = 32
"""Beyond, the oldest is closed: Prometheus's own is answered at once, and is the newest."""

_REQUEST_S = 5.0
"""Within which a request must have come and its answer be taken."""

_MAX_HEAD_BYTES = 8 << 10


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


class Exporter:
    """Serves the metrics; in plain text, since they contain only counts and times.

    Any path is answered, a connection at a time with one answer.
    """

    def __init__(self, metrics: Metrics, listen: str | None) -> None:
        """Make an exporter that does not listen yet.

        Args:
            metrics: What it serves.
            listen: ``host:port``; None to serve nothing.
        """
        self._metrics = metrics
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}

    async def start(self) -> None:
        """Begin to answer. Raises AddressRefused."""
        if self._listen is None:
            return
        host, _, port = self._listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._serve, host.strip("[]"), int(port), limit=_MAX_HEAD_BYTES
            )
        except OSError as error:
            raise AddressRefused(f"cannot listen on {self._listen}: {error}") from error

    @property
    def port(self) -> int:
        """The port on which it answers."""
        if self._server is None:
            raise RuntimeError("the exporter does not listen")
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Answer no more. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, HTTPException):
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)

    def _response(self, head: bytes) -> bytes:
        line, _, fields = head.partition(b"\r\n")
        if not line.startswith(b"GET "):
            return _message(b"405 Method Not Allowed", b"text/plain", b"")
        accept = parse_headers(BytesIO(fields)).get("Accept", "")
        encode, content_type = choose_encoder(accept)
        return _message(b"200 OK", content_type.encode(), encode(self._metrics.registry))


def _message(status: bytes, content_type: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (status, content_type, len(body), body)
    )
