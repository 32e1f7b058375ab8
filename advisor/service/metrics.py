"""What Prometheus may ask of the daemon: its names, and where they are counted.

Durations are in seconds, counters end in ``_total``. A device's utilisation is the rate of
``bsadvise_device_busy_seconds_total``.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from bsadvise.model.commands import Command, stage_of
from bsadvise.model.measurements import Measurement, OutOfMemory
from bsadvise.model.recommendation import State
from bsadvise.model.values import snake_case
from bsadvise.version import __version__
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from advisor.ports.telemetry import NoteOutcome, Telemetry
from advisor.service.tracing import Carrier, Tracing

_COMMAND_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WAIT_BUCKETS_S = (0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
_RPC_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0)

_MOST_CALLERS = 10_000
"""Recommendations that wait, of which it is kept which call created them."""


class DeviceUse(Collector):
    """How long each device has been leased, to the moment at which it is asked for."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._busy_s: Tally[str] = Tally()
        self._since_s: dict[str, float] = {}

    def begin(self, device_id: str) -> None:
        """Note that a device is leased from now on."""
        self._since_s[device_id] = self._monotonic_s()
        self._busy_s[device_id] += 0

    def end(self, device_id: str) -> None:
        """Note that it no longer is."""
        since_s = self._since_s.pop(device_id, None)
        if since_s is not None:
            self._busy_s[device_id] += self._monotonic_s() - since_s  # type: ignore[assignment] # seconds

    def collect(self) -> Iterable[Metric]:
        """Return both families, as Prometheus's client asks for them."""
        busy = GaugeMetricFamily(
            "bsadvise_device_busy", "1 while the device is leased.", labels=["device"]
        )
        seconds = CounterMetricFamily(
            "bsadvise_device_busy_seconds", "Seconds of leases.", labels=["device"]
        )
        now_s, since_s = self._monotonic_s(), dict(self._since_s)
        for device_id, busy_s in dict(self._busy_s).items():
            running_s = now_s - since_s.get(device_id, now_s)
            busy.add_metric([device_id], float(device_id in since_s))
            seconds.add_metric([device_id], busy_s + running_s)
        return busy, seconds


class Metrics(Telemetry):
    """Counts for Prometheus, in a registry of its own, and opens the spans of traces.

    Attributes:
        registry: What is exported.
        tracing: What keeps the traces.
        rpcs: Calls by method and code.
        rpc_duration: Seconds of a call by method; of a stream, to its end.
        unfinished: Recommendations that wait or run, by state, in this daemon's database.
        estimates: Estimates that wait or are being made, by state, in this daemon.
        store_available: 1 while the database can be read and written.
        task_failing: 1 while one of the daemon's own tasks fails again and again.
    """

    def __init__(self, monotonic_s: Callable[[], float], tracing: Tracing | None = None) -> None:
        """Make metrics that nobody exports yet.

        Args:
            monotonic_s: A clock that never goes back.
            tracing: What keeps the traces; None for nothing.
        """
        self.tracing = tracing or Tracing()
        self._callers: OrderedDict[str, Carrier] = OrderedDict()
        self.registry = CollectorRegistry()
        self._device_use = DeviceUse(monotonic_s)
        self.registry.register(self._device_use)
        self.rpcs = self._counter("rpcs", "Calls by method and code.", "method", "code")
        self.rpc_duration = self._histogram(
            "rpc_duration_seconds", "Seconds of a call.", _RPC_BUCKETS_S, "method"
        )
        self.unfinished = Gauge(
            "bsadvise_recommendations",
            "Recommendations that wait or run.",
            ["state"],
            registry=self.registry,
        )
        self.estimates = Gauge(
            "bsadvise_estimates",
            "Estimates that wait for their turn or are being made.",
            ["state"],
            registry=self.registry,
        )
        self.store_available = Gauge(
            "bsadvise_store_available",
            "1 while the database can be read and written.",
            registry=self.registry,
        )
        self._runs = self._counter("runs", "Runs by the state they left.", "state")
        self._waits = self._histogram(
            "queue_wait_seconds", "Seconds from creation to a device.", _WAIT_BUCKETS_S
        )
        self._durations = self._histogram(
            "command_duration_seconds", "Seconds of a command.", _COMMAND_BUCKETS_S, "stage"
        )
        self._measurements = self._counter(
            "measurements", "Measurements by command and outcome.", "command", "outcome"
        )
        self._out_of_memory = self._counter(
            "out_of_memory", "Commands that ran out of memory, on the device or the host.", "where"
        )
        self._task_failures = self._counter(
            "task_failures", "Failures of the daemon's own tasks, which go on.", "task"
        )
        self.task_failing = Gauge(
            "bsadvise_task_failing",
            "1 while one of the daemon's own tasks fails again and again.",
            ["task"],
            registry=self.registry,
        )
        self._removed = self._counter("removed", "What retention has removed.", "kind")
        Gauge(
            "bsadvise_build_info", "1, and which version.", ["version"], registry=self.registry
        ).labels(__version__).set(1)

    def created(self, recommendation_id: str) -> None:
        """Keep which call a recommendation belongs to, until it runs."""
        if carrier := self.tracing.carrier():
            self._callers[recommendation_id] = carrier
        if len(self._callers) > _MOST_CALLERS:
            self._callers.popitem(last=False)

    @contextmanager
    def running(self, recommendation_id: str) -> Iterator[None]:
        """Open the span of a run."""
        caller = self._callers.pop(recommendation_id, None)
        attributes = {"bsadvise.recommendation_id": recommendation_id}
        with self.tracing.span("recommendation", attributes, parent=caller):
            yield

    def leased(self, device_ids: Collection[str], *, waited_s: float) -> None:
        """Count a run that begins."""
        for device_id in device_ids:
            self._device_use.begin(device_id)
        self._waits.observe(waited_s)

    def released(self, device_ids: Collection[str], state: State | None) -> None:
        """Count a run that has left its devices."""
        for device_id in device_ids:
            self._device_use.end(device_id)
        self._runs.labels(state.value if state else "lost").inc()

    @contextmanager
    def measuring(
        self, command: Command, recommendation_id: str | None = None
    ) -> Iterator[NoteOutcome]:
        """Open the span of a command."""
        attributes = {"bsadvise.stage": stage_of(command).value}
        if recommendation_id is not None:
            attributes["bsadvise.recommendation_id"] = recommendation_id
        with self.tracing.span(snake_case(type(command).__name__), attributes) as note:
            yield lambda outcome: note("bsadvise.outcome", snake_case(type(outcome).__name__))

    def measured(self, measurement: Measurement) -> None:
        """Count a measurement."""
        command, outcome = measurement.command, measurement.outcome
        self._durations.labels(stage_of(command).value).observe(measurement.wall_s)
        self._measurements.labels(
            snake_case(type(command).__name__), snake_case(type(outcome).__name__)
        ).inc()
        if isinstance(outcome, OutOfMemory):
            self._out_of_memory.labels("host" if outcome.is_host else "device").inc()

    def failed(self, task: str) -> None:
        """Count a failure of one of the daemon's own tasks."""
        self._task_failures.labels(task).inc()

    def removed(self, kind: str, count: int) -> None:
        """Count what retention has removed."""
        self._removed.labels(kind).inc(count)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"bsadvise_{name}", words, labels, registry=self.registry)

    def _histogram(
        self, name: str, words: str, buckets_s: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"bsadvise_{name}", words, labels, buckets=buckets_s, registry=self.registry
        )
