"""How much is taken from callers: from those who are not known yet, and from each principal.

gRPC bounds the connections of each address, what a connection may have open, and how long it may
be silent. What is called over them is bounded here: before anybody is known in number alone, for
a call is refused, its body unread, as soon as it has shown nothing; then for each principal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bsadvise.model.token import Scope

from advisor.application.sharing import InFlight
from advisor.domain.access import Caller
from advisor.service.context import Context

RESERVED_DESCRIPTORS = 384
"""Files that are not connections: the database, workers' pipes and output, sources."""

_ADDRESSES = 2
"""The unix socket and TCP: neither may take what the other needs."""

_HEALTH_WATCHES_OF_A_HOST = 32
"""A load balancer keeps one a connection; nobody else needs to watch."""

_HEALTH_WATCHES = 512
"""Of all hosts."""

_WATCH = "WatchRecommendation"
_EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """The bounds of what callers may have open at a time.

    Attributes:
        max_connections: Connections of each address that is listened on, at least 1.
        max_connection_streams: Calls at a time on one connection, at least 1.
        connection_idle_s: Seconds after which a connection without a call is closed.
        handshake_s: Seconds that a connection's handshake may take.
        request_s: Seconds within which each message of a request must have come.
        max_unknown_calls: Calls that are being authenticated, all together, each for about a
            millisecond; a burst waits in memory, some 50 KiB a call.
        max_calls: Calls of a principal under way, watches not counted.
        max_watches: Watches of a principal.
    """

    max_connections: int = 10_000
    max_connection_streams: int = 256
    connection_idle_s: float = 60.0
    handshake_s: float = 10.0
    request_s: float = 30.0
    max_unknown_calls: int = 4096
    max_calls: int = 64
    max_watches: int = 256

    def server_options(self, open_file_limit: int) -> tuple[tuple[str, int], ...]:
        """Return what gRPC is told; its documentation is ``grpc/impl/channel_arg_names.h``.

        Connections leave ``RESERVED_DESCRIPTORS`` of the process's files to everything else, so
        that it is a connection that is refused and never a file that cannot be opened.

        Args:
            open_file_limit: How many files this process may have open.
        """
        spare = max(_ADDRESSES, open_file_limit - RESERVED_DESCRIPTORS) // _ADDRESSES
        return (
            # Counted for each address from accept(2) on, before any handshake.
            ("grpc.max_allowed_incoming_connections", min(self.max_connections, spare)),
            ("grpc.max_concurrent_streams", self.max_connection_streams),
            ("grpc.max_connection_idle_ms", round(1000 * self.connection_idle_s)),
            # Who connects and says nothing holds a descriptor; 120 s is gRPC's own limit.
            ("grpc.server_handshake_timeout_ms", round(1000 * self.handshake_s)),
        )


class Admission:
    """Counts the calls under way, and refuses those beyond the bounds with QuotaExceeded."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._unknown = InFlight(
            "max_unknown_calls",
            limits.max_unknown_calls,
            "too many calls are being authenticated; call again in a moment",
        )
        self._health_watches = InFlight(
            "health_watches",
            _HEALTH_WATCHES_OF_A_HOST,
            "your host watches this daemon's health often enough; share one watch, or use Check",
        )
        self._all_health_watches = InFlight(
            "health_watches",
            _HEALTH_WATCHES,
            "this daemon's health is watched by too many already; use Check",
        )
        self._calls = InFlight(
            "max_calls",
            limits.max_calls,
            f"{limits.max_calls} of your calls are under way already, and no more may be; "
            "wait until one has ended",
        )
        self._watches = InFlight(
            "max_watches",
            limits.max_watches,
            f"you watch {limits.max_watches} recommendations already, and no more may be; "
            "end a watch, or ask for the state instead",
        )

    @contextmanager
    def unknown(self) -> Iterator[None]:
        """Count a call of which nobody knows yet whose it is. Raises QuotaExceeded."""
        with self._unknown.hold(_EVERYBODY) as hold:
            hold.add(1)
            yield

    @contextmanager
    def known(self, caller: Caller, method: str) -> Iterator[None]:
        """Count a call of a principal; who may administer has no limit. Raises QuotaExceeded."""
        if caller.may(Scope.ADMIN):
            yield
            return
        kind = self._watches if method.endswith(f"/{_WATCH}") else self._calls
        with kind.hold(caller.principal) as hold:
            hold.add(1)
            yield

    @contextmanager
    def health(self, context: Context, method: str) -> Iterator[None]:
        """Count a question about the daemon's health, which anybody may ask.

        Raises:
            QuotaExceeded: There are as many checks, or watches, as there may be.
        """
        if not method.endswith("/Watch"):
            with self.unknown():
                yield
            return
        with (
            self._all_health_watches.hold(_EVERYBODY) as total,
            self._health_watches.hold(_host(context.peer())) as own,
        ):
            own.add(1)
            total.add(1)
            yield


def _host(peer: str) -> str:
    """Return a peer without its port: ``ipv4:10.0.0.1`` of ``ipv4:10.0.0.1:50000``."""
    return peer.rpartition(":")[0]
