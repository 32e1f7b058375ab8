"""A daemon without the daemon: a real gRPC server that replays a script.

Its server can be stopped and started at the same address while its recommendations stay, as those
of a daemon with a store would.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from bsadvise.v1 import (
    device_service_pb2_grpc,
    explanation_pb2,
    memory_service_pb2_grpc,
    recommendation_pb2,
    recommendation_service_pb2_grpc,
    source_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
)
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.support.fake_servicers import Devices, Memory, Recommendations, Sources, Tokens
from tests.support.wire_samples import (
    measured,
    state_changed,
    step_run_measurement,
    wire_advice,
    wire_devices,
    wire_estimate,
)

T = TypeVar("T")
Happening = recommendation_pb2.Happening
_FINAL = (
    recommendation_pb2.STATE_SUCCEEDED,
    recommendation_pb2.STATE_FAILED,
    recommendation_pb2.STATE_CANCELLED,
)


class Hold:
    """A place in a script at which it waits until it is released or cancelled."""


Script = Sequence[Happening | Hold]


def a_script(*middle: Happening | Hold, end: Happening | None = None) -> Script:
    """Return a script from QUEUED to its end, which is advice unless another is given."""
    success = state_changed(recommendation_pb2.STATE_SUCCEEDED, advice=wire_advice())
    return (
        state_changed(recommendation_pb2.STATE_QUEUED),
        state_changed(recommendation_pb2.STATE_RUNNING),
        *(middle or (measured(step_run_measurement(), best=wire_advice(verified=False)),)),
        end or success,
    )


@dataclass
class Job:
    """A recommendation and its events so far."""

    recommendation: recommendation_pb2.Recommendation
    events: list[recommendation_pb2.Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_released: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.recommendation.state in _FINAL


class FakeDaemon:
    """The daemon's services over memory; made and used from any thread."""

    def __init__(self, socket: Path | None = None) -> None:
        """Start on a unix socket, or on a free port of 127.0.0.1."""
        self.script: Script = a_script()
        self.estimate = wire_estimate()
        self.explanation: explanation_pb2.Explanation | None = explanation_pb2.Explanation()
        self.cancelling_takes_effect = True
        self.sources: dict[str, bytes] = {}
        self.requests: list[Message] = []
        self.metadata: list[dict[str, Any]] = []
        self.waiting: list[recommendation_pb2.Waiting] = []
        self.tokens: list[token_service_pb2.Token] = []
        self.failures: dict[str, list[status_pb2.Status]] = {}
        self.on_hold: Callable[[], None] = lambda: None
        self.address = "127.0.0.1:0" if socket is None else f"unix:{socket}"
        self.jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: grpc.aio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def start(self) -> None:
        """Serve, at the same address as before."""
        self._run(self._start())

    def stop(self) -> None:
        """Serve no more; open streams break."""
        self._run(self._stop())

    def close(self) -> None:
        """End for good."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def release(self) -> None:
        """Let all scripts go on that are held."""
        self._run(self._release())

    def seed(self, *scripts: Script) -> list[str]:
        """Play scripts that hold nowhere, and return the recommendations' ids."""
        return [self._run(self._seed(script)) for script in scripts]

    def recommendation(self, recommendation_id: str) -> recommendation_pb2.Recommendation:
        """Return a recommendation as it stands."""
        return self.jobs[recommendation_id].recommendation

    def count(self, request_type: type[Message]) -> int:
        """Return how many requests of a type have come."""
        return sum(isinstance(request, request_type) for request in self.requests)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _start(self) -> None:
        server = grpc.aio.server()
        recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
            Recommendations(self), server
        )
        source_service_pb2_grpc.add_SourceServiceServicer_to_server(Sources(self), server)
        memory_service_pb2_grpc.add_MemoryServiceServicer_to_server(Memory(self), server)
        token_service_pb2_grpc.add_TokenServiceServicer_to_server(Tokens(self), server)
        device_service_pb2_grpc.add_DeviceServiceServicer_to_server(Devices(self), server)
        healthy = health.aio.HealthServicer()
        await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        port = server.add_insecure_port(self.address)
        if not self.address.startswith("unix:"):
            self.address = f"127.0.0.1:{port}"
        await server.start()
        self._server = server

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    async def _close(self) -> None:
        await self._stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _release(self) -> None:
        for job in self.jobs.values():
            async with job.changed:
                job.is_released = True
                job.changed.notify_all()

    async def _seed(self, script: Script) -> str:
        request = recommendation_pb2.AdviceRequest(
            source=recommendation_pb2.Source(digest="ab" * 32, entry_path="model.py")
        )
        job = self._add_job(f"seed-{len(self.jobs)}", request)
        await self._play(job, script)
        return job.recommendation.recommendation_id

    def create(self, request_id: str, request: recommendation_pb2.AdviceRequest) -> Job:
        """Make a recommendation and begin to play the script; once for each request id."""
        for job in self.jobs.values():
            if job.recommendation.request_id == request_id:
                return job
        job = self._add_job(request_id, request)
        task = asyncio.create_task(self._play(job, self.script))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def _add_job(self, request_id: str, request: recommendation_pb2.AdviceRequest) -> Job:
        now_s = 1_700_000_000.0 + len(self.jobs)
        job = Job(
            recommendation_pb2.Recommendation(
                recommendation_id=f"job-{len(self.jobs) + 1}",
                request_id=request_id,
                request=request,
                device=wire_devices()[0],
                fingerprint="f" * 64,
                state=recommendation_pb2.STATE_QUEUED,
                created_at_s=now_s,
                updated_at_s=now_s,
            )
        )
        self.jobs[job.recommendation.recommendation_id] = job
        return job

    async def _play(self, job: Job, script: Script) -> None:
        for item in script:
            if isinstance(item, Hold):
                self.on_hold()
                async with job.changed:
                    await job.changed.wait_for(lambda: job.is_released or job.has_ended)
            else:
                await self.happen(job, item)
            if job.has_ended:
                return

    async def happen(self, job: Job, happening: Happening) -> None:
        """Add an event, and change the recommendation as it tells."""
        async with job.changed:
            if happening.HasField("state_changed"):
                change = happening.state_changed
                job.recommendation.state = change.state
                if change.HasField("advice"):
                    job.recommendation.advice.CopyFrom(change.advice)
                if change.HasField("refusal"):
                    job.recommendation.refusal.CopyFrom(change.refusal)
            sequence = len(job.events) + 1
            job.events.append(
                recommendation_pb2.Event(
                    sequence=sequence, at_s=1_700_000_000.0 + sequence, happening=happening
                )
            )
            job.changed.notify_all()

    async def events_after(
        self, job: Job, sequence: int
    ) -> AsyncIterator[recommendation_pb2.Event]:
        """Yield a recommendation's events until it has ended."""
        position = sequence
        while not job.has_ended or position < len(job.events):
            async with job.changed:
                while not job.has_ended and position == len(job.events):
                    await job.changed.wait()
            for event in job.events[position:]:
                yield event
                position += 1

    async def cancel(self, job: Job) -> None:
        """End a recommendation with the best answer so far."""
        job.recommendation.cancel_requested = True
        if job.has_ended or not self.cancelling_takes_effect:
            return
        best = next((e.happening.measured.best for e in reversed(job.events)
                     if e.happening.measured.HasField("best")), None)  # fmt: skip
        await self.happen(job, state_changed(recommendation_pb2.STATE_CANCELLED, advice=best))

    async def take(self, request: Message, context: Any) -> None:
        """Note a request, and fail as a test has asked for."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        waiting = self.failures.get(type(request).__name__)
        if waiting:
            await context.abort_with_status(rpc_status.to_status(waiting.pop(0)))

    async def find(self, recommendation_id: str, context: Any) -> Job:
        """Return a recommendation, or tell the caller that there is none."""
        if recommendation_id not in self.jobs:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no recommendation {recommendation_id}")
        return self.jobs[recommendation_id]
