"""Puts the use cases together over a set of ports."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from advisor.application.bundles import Unpack
from advisor.application.cache import Fingerprints, Outside, nothing_outside
from advisor.application.estimates import Estimates
from advisor.application.event_bus import EventBus
from advisor.application.explanations import Explanations
from advisor.application.feeds import Feeds
from advisor.application.forecast import Forecasts
from advisor.application.housekeeping import Housekeeping, Keep
from advisor.application.instance_lock import InstanceLock
from advisor.application.planning_thread import PlanningThread
from advisor.application.recall import Recall
from advisor.application.recommendations import Recommendations
from advisor.application.runner import Runner
from advisor.application.sharing import InFlight, SharingPolicy
from advisor.application.sources import Sources
from advisor.application.supervision import Supervisor
from advisor.application.tokens import Tokens
from advisor.application.turns import Turns
from advisor.application.versions import Versions
from advisor.application.work_queue import WorkQueue
from advisor.application.workspace import Workspace
from advisor.planning.evidence.step import EstimatePlanner, Planner
from advisor.planning.tuning.tuning import Tuning
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import WorkerPool

_ESTIMATES_AT_ONCE = 3
"""An estimate keeps one processor busy and holds a model's worth of no memory but its own. One
place is never any one principal's, so that two are left to each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The outside, as the application sees it."""

    store: Store
    pool: WorkerPool
    inventory: DeviceInventory
    planner: Planner
    estimate_planner: EstimatePlanner
    clock: Clock
    telemetry: Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The use cases of one daemon, and the loop that works for them."""

    recommendations: Recommendations
    estimates: Estimates
    sources: Sources
    tokens: Tokens
    inventory: DeviceInventory
    queue: WorkQueue
    housekeeping: Housekeeping
    event_bus: EventBus
    store: Store
    clock: Clock
    supervisor: Supervisor


def build_application(
    ports: Ports,
    *,
    state_dir: Path,
    unpack: Unpack,
    versions: Versions,
    tuning: Tuning,
    owner: str,
    lease_s: float,
    is_private: bool = False,
    policy: SharingPolicy | None = None,
    keep: Keep | None = None,
    pythons: Collection[Path] | None = None,
    supervisor: Supervisor | None = None,
    outside: Outside = nothing_outside,
    planning: PlanningThread | None = None,
) -> Application:
    """Return an application whose loop is not started.

    Args:
        ports: The outside.
        state_dir: Directory for sources and checkpoints.
        unpack: Reads an uploaded bundle.
        versions: What decides answers in this daemon.
        tuning: The planners' tuned numbers.
        owner: This daemon's name on its leases.
        lease_s: Seconds of a lease.
        is_private: Whether the daemon serves one client and ends with it.
        policy: How it is shared; None for no limits, and answers for their principals alone.
        keep: How much is kept of what has ended.
        pythons: The interpreters that requests may name; None for any.
        supervisor: What keeps its tasks at work; None for one over these ports.
        outside: Describes what decides answers and lies outside their bundles.
        planning: Where planners are called; None for threads with the usual limit.
    """
    supervisor = supervisor or supervisor_over(ports.clock, ports.telemetry)
    planning = planning or PlanningThread()
    policy = policy or SharingPolicy()
    event_bus = EventBus()
    fingerprints = Fingerprints(
        versions=versions, policy=policy, memory=tuning.evidence.memory, outside=outside
    )
    forecasts = Forecasts(ports.store, ports.clock)
    workspace = Workspace(state_dir, ports.store, unpack, ports.clock, supervisor)
    runner = Runner(
        store=ports.store,
        pool=ports.pool,
        inventory=ports.inventory,
        planner=ports.planner,
        clock=ports.clock,
        event_bus=event_bus,
        workspace=workspace,
        recall=Recall(
            store=ports.store,
            planner=ports.planner,
            policy=policy,
            tuning=tuning.estimators.scaling,
            planning=planning,
        ),
        telemetry=ports.telemetry,
        fingerprints=fingerprints,
        supervisor=supervisor,
        owner=owner,
        lease_s=lease_s,
        planning=planning,
    )
    instance_lock = InstanceLock(state_dir) if is_private else None
    queue = WorkQueue(ports.store, runner, ports.clock, supervisor, instance_lock=instance_lock)
    return Application(
        recommendations=Recommendations(
            store=ports.store,
            inventory=ports.inventory,
            workspace=workspace,
            queue=queue,
            event_bus=event_bus,
            feeds=Feeds(ports.store, event_bus, forecasts, ports.clock),
            clock=ports.clock,
            policy=policy,
            fingerprints=fingerprints,
            explanations=Explanations(
                store=ports.store, planner=ports.planner, policy=policy, planning=planning
            ),
            forecasts=forecasts,
            telemetry=ports.telemetry,
            pythons=pythons,
        ),
        estimates=Estimates(
            pool=ports.pool,
            inventory=ports.inventory,
            planner=ports.estimate_planner,
            store=ports.store,
            workspace=workspace,
            clock=ports.clock,
            telemetry=ports.telemetry,
            planning=planning,
            pythons=pythons,
            turns=Turns(_ESTIMATES_AT_ONCE),
            policy=policy,
            in_flight=InFlight(
                "max_estimates",
                policy.max_estimates,
                "you wait for too many estimates already; ask for one after the other",
            ),
        ),
        sources=Sources(ports.store, unpack, policy),
        tokens=Tokens(store=ports.store, clock=ports.clock),
        inventory=ports.inventory,
        queue=queue,
        housekeeping=Housekeeping(
            store=ports.store,
            pool=ports.pool,
            workspace=workspace,
            queue=queue,
            clock=ports.clock,
            telemetry=ports.telemetry,
            supervisor=supervisor,
            keep=keep or Keep(),
        ),
        event_bus=event_bus,
        store=ports.store,
        clock=ports.clock,
        supervisor=supervisor,
    )


def supervisor_over(clock: Clock, telemetry: Telemetry) -> Supervisor:
    """Return what keeps a daemon's tasks at work."""
    return Supervisor(
        sleep=clock.sleep, monotonic_s=clock.monotonic_s, count_failure=telemetry.failed
    )
