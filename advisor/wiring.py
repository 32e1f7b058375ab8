"""Binds the ports to what implements them. Nothing else knows both."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from bsadvise.paths import socket_secret_path

from advisor.application.application import (
    Application,
    Ports,
    build_application,
    supervisor_over,
)
from advisor.application.housekeeping import Keep
from advisor.application.sharing import SharingPolicy
from advisor.application.versions import read_versions
from advisor.config.settings import Settings
from advisor.devices.accelerators import Accelerators
from advisor.devices.cpu import read_cpu
from advisor.devices.energy import LocalEnergyMeter
from advisor.devices.inventory import LocalInventory
from advisor.domain.access import Limits
from advisor.planning.memory_planner import MemoryPlanner
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from advisor.pools.cgroup import find_delegation
from advisor.pools.local import LocalPool
from advisor.pools.observation import HostObserver
from advisor.pools.outside import describe_outside
from advisor.pools.resource_limits import Isolation, private_reach, shared_reach
from advisor.pools.resource_limits import Limits as WorkerLimits
from advisor.pools.sandbox import check_exposure, choose_sandbox
from advisor.pools.sandbox_degrees import AUTO, LANDLOCK, OFF
from advisor.ports.clock import Clock
from advisor.ports.store import Store
from advisor.ports.worker_pool import WorkerPool
from advisor.search.optuna_proposer import OptunaProposer
from advisor.service.address import AddressRefused, is_loopback
from advisor.service.admission import AdmissionLimits
from advisor.service.bundle_reading import unpack_bundle
from advisor.service.exporter import Exporter
from advisor.service.metrics import Metrics
from advisor.service.own_socket import lock_path
from advisor.service.server import Bound, ListenConfig, make_server
from advisor.service.tls import TlsFiles, TlsRefused
from advisor.service.tracing import open_tracing
from advisor.store.opening import open_store
from advisor.store.owners import is_owner_dead, this_owner

_DATABASE_NAME = "bsadvise.db"

_MEMORY_SHARE = 0.8
"""Of the machine's memory; the kernel ends whom it likes once there is none."""

_SCRATCH_SHARE = 0.5
"""Of what is free on the disk."""

_CPU_S = 24 * 3600
"""Processor time of one process: more than any request's budget, less than for ever."""

_LOG = structlog.stdlib.get_logger(__name__)

_STOP_GRACE_S = 2.0
"""How long calls under way may take to end once the daemon stops."""


class SystemClock(Clock):
    """The machine's clocks."""

    def now_s(self) -> float:
        """Return the Unix time."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return seconds since some fixed point."""
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        """Let other tasks run for a while."""
        await asyncio.sleep(duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A daemon that is bound to its addresses, and not yet started.

    Attributes:
        application: Its use cases.
        bound: What serves them.
        metrics: What is counted.
        metrics_listen: Where Prometheus is answered; None for nowhere.
        store: Closed when it stops.
        pool: Closed when it stops.
    """

    application: Application
    bound: Bound
    metrics: Metrics
    metrics_listen: str | None
    store: Store
    pool: WorkerPool

    async def serve(self, stop: asyncio.Event, *, on_ready: str) -> None:
        """Serve until ``stop`` is set, then put work back and let go of everything.

        Args:
            stop: Set to stop.
            on_ready: Line to write to stderr once clients are answered.
        """
        application, exporter = self.application, Exporter(self.metrics, self.metrics_listen)
        queue = asyncio.create_task(application.queue.serve())
        background = (
            asyncio.create_task(application.housekeeping.serve()),
            asyncio.create_task(self.bound.health_reporter.run()),
        )
        try:
            await exporter.start()
            await self.bound.server.start()
            print(on_ready, file=sys.stderr, flush=True)  # noqa: T201 - what starters wait for
            await stop.wait()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._stop(queue)
            exporter.stop()

    async def _stop(self, queue: asyncio.Task[None]) -> None:
        await self.bound.health_reporter.drain()
        refusing = asyncio.create_task(self.bound.server.stop(_STOP_GRACE_S))
        self.application.queue.drain()
        try:
            await queue
        finally:
            self.application.event_bus.close()
            await refusing
            await self.pool.close()
            await self.store.close()
            await asyncio.to_thread(self.metrics.tracing.close)


async def build_daemon(settings: Settings) -> Daemon:
    """Return a daemon over this machine.

    Raises:
        AddressRefused: It may not, or cannot, listen where it was told to.
        TlsRefused: Its certificates cannot be used.
        SandboxMissing: The sandbox that is asked for does not work here, or is too weak.
        StoreUnavailable: Its database cannot be opened.
        TracingRefused: Traces are asked for, and cannot be kept.
    """
    clock = SystemClock()
    tracing = await asyncio.to_thread(open_tracing, settings.otel_endpoint, os.environ)
    isolation = await asyncio.to_thread(isolation_of, settings)
    store = await asyncio.to_thread(
        open_store,
        database_of(settings),
        clock=clock,
        is_owner_dead=is_owner_dead,
        # A file is one machine's, whatever that is called: a container's name changes.
        host=(settings.host_name or socket.gethostname()) if settings.database else "",
    )
    accelerators = Accelerators()
    inventory = LocalInventory(read_accelerators=accelerators.read)
    energy_meter = LocalEnergyMeter(accelerators)
    metrics = Metrics(clock.monotonic_s, tracing)
    supervisor = supervisor_over(clock, metrics)
    host = HostObserver(
        inventory=inventory, energy_meter=energy_meter, clock=clock, supervisor=supervisor
    )
    pool = LocalPool(isolation=isolation, host=host, supervisor=supervisor)
    ports = Ports(
        store=store,
        pool=pool,
        inventory=inventory,
        planner=RecommendationPlanner(OptunaProposer(), DEFAULT_TUNING),
        estimate_planner=MemoryPlanner(DEFAULT_TUNING),
        clock=clock,
        telemetry=metrics,
    )
    application = build_application(
        ports,
        state_dir=settings.state_dir,
        unpack=unpack_bundle,
        versions=await asyncio.to_thread(read_versions, DEFAULT_TUNING.digest()),
        tuning=DEFAULT_TUNING,
        owner=this_owner(),
        lease_s=settings.lease_s,
        is_private=settings.private,
        policy=_policy_of(settings),
        pythons=None if settings.private else settings.pythons,
        outside=lambda request: describe_outside(
            None if request.python is None else Path(request.python), settings.data_paths
        ),
        keep=Keep(
            days=settings.keep_days,
            count=settings.keep_count,
            source_bytes=settings.keep_source_bytes,
        ),
        supervisor=supervisor,
    )
    try:
        bound = await make_server(
            application,
            listen_config_of(settings),
            metrics=metrics,
            limits=_admission_of(settings),
        )
    except (AddressRefused, TlsRefused):
        await pool.close()
        await store.close()
        raise
    return Daemon(
        application=application,
        bound=bound,
        metrics=metrics,
        metrics_listen=settings.metrics_listen,
        store=store,
        pool=pool,
    )


def database_of(settings: Settings) -> str | Path:
    """Return the file or the URL of the database of a daemon with these settings."""
    return settings.database or settings.state_dir / _DATABASE_NAME


def listen_config_of(settings: Settings) -> ListenConfig:
    """Return where a daemon with these settings listens."""
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = TlsFiles(
            cert=settings.tls_cert,
            key=settings.tls_key,
            client_ca=settings.tls_client_ca,
            revoked=settings.tls_revoked,
        )
    return ListenConfig(
        socket_path=settings.socket,
        listen=settings.listen,
        tls=tls,
        trust_loopback=settings.trust_loopback,
        reflection=settings.reflection,
    )


def sandbox_of(settings: Settings) -> str:
    """Return the degree of the sandbox that a daemon with these settings uses.

    Raises:
        SandboxMissing: It does not work here, or is too weak for where the daemon listens.
    """
    sandbox = choose_sandbox(settings.sandbox)
    check_exposure(
        sandbox,
        is_exposed=settings.listen is not None
        and not is_loopback(settings.listen.rpartition(":")[0].strip("[]")),
        accepts_weak=settings.accept_weak_sandbox,
    )
    return sandbox


def isolation_of(settings: Settings) -> Isolation:
    """Return how a daemon with these settings isolates the model files that it runs.

    Raises:
        SandboxMissing: The sandbox that is asked for does not work here, or is too weak.
    """
    sandbox = sandbox_of(settings)
    if sandbox == OFF and settings.sandbox == AUTO:
        _LOG.warning("model files run without a sandbox: this machine offers none")
    else:
        _LOG.info("model files are confined", sandbox=sandbox)
    if sandbox == LANDLOCK and not settings.private:
        _LOG.warning(
            "Landlock leaves other programs' local sockets open; allow user namespaces where "
            "strangers' model files run"
        )
    # Whoever may open the lock may hold it, and no daemon then starts or ends.
    socket = settings.socket
    own = (socket, socket_secret_path(socket), lock_path(socket))
    closed = (*own, *([settings.tls_key] if settings.tls_key else []))
    home, network = Path.home(), settings.allow_network
    if settings.private:
        reach = private_reach(settings.state_dir, home, allow_network=network, closed=closed)
    else:
        reach = shared_reach(
            settings.state_dir,
            home,
            data_paths=settings.data_paths,
            allow_network=network,
            closed=closed,
        )
    memory_bytes = settings.worker_memory_bytes
    if memory_bytes is None:
        memory_bytes = int(_MEMORY_SHARE * read_cpu().total_bytes)
    scratch_bytes = settings.worker_scratch_bytes
    if scratch_bytes is None:
        scratch_bytes = int(_SCRATCH_SHARE * shutil.disk_usage(tempfile.gettempdir()).free)
    limits = WorkerLimits(
        memory_bytes=memory_bytes,
        process_count=settings.worker_processes,
        scratch_bytes=scratch_bytes,
        cpu_s=_CPU_S,
    )
    return Isolation(limits=limits, sandbox=sandbox, reach=reach, groups=find_delegation())


def _admission_of(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        max_connections=settings.max_connections,
        max_connection_streams=settings.max_connection_streams,
        connection_idle_s=settings.connection_idle_s,
        handshake_s=settings.handshake_s,
        request_s=settings.request_s,
        max_calls=settings.max_calls,
        max_watches=settings.max_watches,
    )


def _policy_of(settings: Settings) -> SharingPolicy:
    limits = Limits(
        max_queued=settings.max_queued,
        device_s_per_day=settings.device_s_per_day,
        upload_bytes_per_day=settings.upload_bytes_per_day,
        max_budget_s=settings.max_budget_s,
        max_estimate_budget_s=settings.max_estimate_budget_s,
        kept_bytes=settings.kept_bytes,
    )
    return SharingPolicy(
        limits=limits,
        cache_is_shared=settings.cache_is_shared,
        max_estimates=settings.max_estimates,
    )
