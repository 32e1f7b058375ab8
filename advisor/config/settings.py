"""What a daemon can be told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

LOG_FORMATS = ("auto", "console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
SANDBOXES = ("auto", "off", "landlock", "bwrap", "namespaces")

SHORTEST_LEASE_S = 1.0


class ConfigError(Exception):
    """A setting is wrong; the message says which and where it was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a daemon is told at its start.

    Attributes:
        state_dir: Directory of the database, the sources and the checkpoints.
        socket: Unix socket to listen on.
        listen: ``host:port`` to listen on beside the socket; None for none. Without TLS it must
            be on loopback.
        tls_cert: The daemon's certificate for ``listen``, PEM.
        tls_key: Its private key, PEM.
        tls_client_ca: The authority whose certificates clients must show; None for tokens alone.
        tls_revoked: The list of their certificates that open nothing any more; None for none.
        trust_loopback: Whether every process of this machine may do all over ``listen`` without
            TLS, with no token.
        reflection: Whether clients may ask for the contract.
        max_connections: Connections at a time to each of ``socket`` and ``listen``, 1 to
            1,000,000; fewer where the process may not have as many files open.
        max_connection_streams: Calls at a time on one connection, 1 to 10,000.
        connection_idle_s: Seconds, 1 to 86,400, after which a connection without a call is
            closed.
        handshake_s: Seconds, 0.1 to 120, that a connection's handshake may take.
        request_s: Seconds, 0.1 to 3600, within which each message of a request must have come.
        max_calls: Calls that a principal may have under way, watches not counted, 1 to 100,000.
        max_watches: Recommendations that a principal may watch at a time, 1 to 100,000.
        max_estimates: Estimates that a principal may wait for at a time, 1 to 1000.
        max_budget_s: The largest budget of a recommendation, in seconds, 1 to 31,536,000.
        max_estimate_budget_s: The largest budget of an estimate, in seconds, 1 to 86,400.
        max_queued: Recommendations that a principal may have waiting.
        device_s_per_day: Seconds of devices that a principal may use within 24 hours.
        upload_bytes_per_day: Bytes of new sources that a principal may send within 24 hours.
        kept_bytes: Bytes of requests, logs and answers that are kept of a principal, beyond which
            it may ask for nothing new.
        cache_is_shared: Whether an answer that was found for one principal is given to others.
        private: Whether the daemon serves the client that started it alone.
        database: URL of a database that several daemons share, as SQLAlchemy writes it; None for
            an SQLite file in the state directory.
        host_name: Whose devices these are in a database that several machines share. Daemons of
            one name take over each other's work, and need one state directory.
        metrics_listen: ``host:port`` on which Prometheus is answered; None for none.
        otel_endpoint: Where a collector takes traces, OTLP over HTTP, such as
            ``http://localhost:4318``; None for what OpenTelemetry's own variables say.
        keep_days: Days after which a recommendation that has ended is removed.
        keep_count: The most recommendations that have ended to keep, divided evenly between
            those who keep more than their share.
        keep_source_bytes: The most bytes of uploaded sources to keep, divided likewise.
        sandbox: What confines user code: "off", "landlock", "bwrap", "namespaces", or "auto" for
            the strongest that works here.
        accept_weak_sandbox: Whether a daemon that listens beyond loopback may run with "off" or
            "landlock", under which model files share its user and its local sockets.
        data_paths: What strangers' model files may read in a sandbox. The user's own may read
            all but keys and tokens.
        allow_network: Whether user code in a sandbox may open connections.
        pythons: The interpreters that requests may name; a private daemon's may name any.
        worker_memory_bytes: The machine's memory that one request's processes may take; None for
            most of it.
        worker_scratch_bytes: The disk that their temporary files may take; None for half of what
            is free.
        worker_processes: How many there may be.
        lease_s: Seconds after which the work of a daemon that has fallen silent is taken over.
        log_format: "json", "console", or "auto": console on a terminal.
        log_level: The least severe messages to log.
    """

    state_dir: Path
    socket: Path
    listen: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_revoked: Path | None = None
    trust_loopback: bool = False
    reflection: bool = False
    max_connections: int = 10_000
    max_connection_streams: int = 256
    connection_idle_s: float = 60.0
    handshake_s: float = 10.0
    request_s: float = 30.0
    max_calls: int = 64
    max_watches: int = 256
    max_estimates: int = 16
    max_budget_s: float = 7 * 86_400.0
    max_estimate_budget_s: float = 600.0
    max_queued: int | None = 1000
    device_s_per_day: float | None = None
    upload_bytes_per_day: int | None = 4 << 30
    kept_bytes: int | None = 1 << 30
    cache_is_shared: bool = False
    private: bool = False
    database: str | None = field(default=None, repr=False)  # it may hold a password
    host_name: str = ""
    metrics_listen: str | None = None
    otel_endpoint: str | None = None
    keep_days: float = 90.0
    keep_count: int = 10_000
    keep_source_bytes: int = 4 << 30
    sandbox: str = "auto"
    accept_weak_sandbox: bool = False
    data_paths: tuple[Path, ...] = ()
    allow_network: bool = False
    pythons: tuple[Path, ...] = ()
    worker_memory_bytes: int | None = None
    worker_scratch_bytes: int | None = None
    worker_processes: int = 512
    lease_s: float = 30.0
    log_format: str = "auto"
    log_level: str = "info"
