"""Says what a daemon would meet if it were started now; starts and changes nothing."""

from __future__ import annotations

import os

from bsadvise.filesystems import network_kind

from advisor.config.settings import Settings
from advisor.pools.sandbox_degrees import describe
from advisor.service.exporter import is_free
from advisor.service.server import check_listen_config
from advisor.service.tracing import open_tracing
from advisor.store.opening import describe_store
from advisor.wiring import database_of, listen_config_of, sandbox_of


def describe_start(settings: Settings) -> str:
    """Return what settings come to on this machine, a line for each part.

    Raises:
        AddressRefused: It may not listen where it was told to.
        TlsRefused: Its certificates cannot be used.
        TracingRefused: Traces are asked for, and cannot be kept.
        SandboxMissing: The sandbox that is asked for does not work here, or is too weak.
        StoreUnavailable: Its database cannot be used.
    """
    check_listen_config(listen_config_of(settings))
    open_tracing(settings.otel_endpoint, os.environ).close()
    sandbox = sandbox_of(settings)
    lines = [
        str(settings),
        f"sandbox that works here: {sandbox}",
        *(f"sandbox holds {matter}" for matter in describe(sandbox)),
        f"database: {describe_store(database_of(settings))}",
    ]
    warning = network_warning(settings)
    if warning is not None:
        lines.append(f"warning: {warning}")
    if settings.metrics_listen is not None:
        # That of the daemon that is running already is no fault: it ends before another starts.
        state = "is free" if is_free(settings.metrics_listen) else "is in use"
        lines.append(f"metrics: {settings.metrics_listen} {state}")
    return "\n".join(lines)


def network_warning(settings: Settings) -> str | None:
    """Return what is amiss where SQLite's file would be on a network; None where nothing is."""
    kind = network_kind(settings.state_dir)
    if kind is None or settings.database is not None:
        return None
    return (
        f"{settings.state_dir} is on {kind}, where SQLite's locks do not hold; choose a state_dir "
        "on a local disk, or a database"
    )
