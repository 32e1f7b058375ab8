"""The client for asyncio: the methods of ``Client``, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from bsadvise.model.advice import Advice, MemoryEstimate
from bsadvise.model.device import Device
from bsadvise.model.errors import DaemonError
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Event, Recommendation
from bsadvise.model.request import AdviceOptions, Source
from bsadvise.model.token import Scope, Token
from bsadvise.paths import normalise, normalise_all
from bsadvise.transport import operations
from bsadvise.transport.channel import open_aio_channel
from bsadvise.transport.credentials import Credentials
from bsadvise.transport.effects import (
    Effect,
    Emit,
    OnWaiting,
    Open,
    Operation,
    Pause,
    Progress,
    Read,
    Send,
    Unary,
    Work,
)
from bsadvise.transport.launcher import Connection, connect

T = TypeVar("T")


class AsyncClient:
    """``Client`` for asyncio. Every method has the same arguments and does the same."""

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        reconnect_s: float = operations.RECONNECT_S,
        config_path: str | PathLike[str] | None = None,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._reconnect_s = reconnect_s
        self._config_path = None if config_path is None else normalise(config_path)
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._channel: grpc.aio.Channel | None = None

    async def recommend(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        arguments: Sequence[str] = (),
        request_id: str | None = None,
        on_event: Callable[[Event], object] | None = None,
        **options: Unpack[AdviceOptions],
    ) -> Advice:
        """Return advice on a model file; see ``Client.recommend``."""
        task = operations.Task(normalise(model_path), normalise_all(include), options, arguments)
        return await self._run(operations.recommend(task, request_id, self._reconnect_s), on_event)

    async def create_recommendation(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        arguments: Sequence[str] = (),
        request_id: str | None = None,
        **options: Unpack[AdviceOptions],
    ) -> Recommendation:
        """Ask for advice and return at once; see ``Client.create_recommendation``."""
        task = operations.Task(normalise(model_path), normalise_all(include), options, arguments)
        return await self._run(operations.create(task, request_id))

    async def estimate_memory(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        limit_s: float = operations.ESTIMATE_LIMIT_S,
        **options: Unpack[AdviceOptions],
    ) -> MemoryEstimate:
        """Predict what fits, without running it; see ``Client.estimate_memory``."""
        task = operations.Task(normalise(model_path), normalise_all(include), options)
        return await self._run(operations.estimate_memory(task, limit_s))

    async def upload(
        self, model_path: str | PathLike[str], *, include: Sequence[str | PathLike[str]] = ()
    ) -> Source:
        """Send a model file with what it needs, unless the daemon has it."""
        return await self._run(operations.upload(normalise(model_path), normalise_all(include)))

    async def get(self, recommendation_id: str) -> Recommendation:
        """Return a recommendation as it is now."""
        return await self._run(operations.get(recommendation_id))

    async def advice(self, recommendation_id: str) -> Advice:
        """Return the advice of a recommendation that has ended; raises why there is none."""
        return await self._run(operations.advice(recommendation_id))

    async def list(self, limit: int | None = None) -> tuple[Recommendation, ...]:
        """Return the newest recommendations, all of them or ``limit``."""
        return await self._run(operations.list_recommendations(limit))

    async def cancel(self, recommendation_id: str) -> Recommendation:
        """Ask for a recommendation to stop; it keeps the best answer so far."""
        return await self._run(operations.cancel(recommendation_id))

    async def delete(self, recommendation_id: str) -> None:
        """Remove a recommendation that does not run."""
        await self._run(operations.delete(recommendation_id))

    def watch(
        self,
        recommendation_id: str,
        after_sequence: int = 0,
        *,
        on_waiting: OnWaiting | None = None,
    ) -> AsyncIterator[Event]:
        """Yield a recommendation's events until it has ended; see ``Client.watch``."""
        follow = operations.follow(recommendation_id, after_sequence, self._reconnect_s, on_waiting)
        return self._events(Progress(follow))

    async def create_token(
        self, principal: str, scope: Scope = Scope.RUN, *, life_s: float | None = None
    ) -> tuple[Token, str]:
        """Make a token, and return it with its text, which is shown this once.

        Args:
            principal: Whom it authenticates.
            scope: What they may do.
            life_s: Seconds until it expires; None for 90 days.
        """
        return await self._run(operations.create_token(principal, scope, life_s))

    async def list_tokens(self) -> tuple[Token, ...]:
        """Return all tokens, newest first."""
        return await self._run(operations.list_tokens())

    async def revoke_token(self, token_id: str) -> Token:
        """Let a token open nothing from now on."""
        return await self._run(operations.revoke_token(token_id))

    async def measurements(self, recommendation_id: str) -> tuple[Measurement, ...]:
        """Return what the advice rests on, oldest first."""
        return await self._run(operations.measurements(recommendation_id))

    async def findings(self, recommendation_id: str) -> Findings:
        """Return all that is kept of a recommendation that has ended; see ``Client.findings``."""
        return await self._run(operations.findings(recommendation_id))

    async def report(self, recommendation_id: str) -> str:
        """Return a recommendation that has ended as one HTML file; see ``Client.report``."""
        from bsadvise.report.page import report_of  # noqa: PLC0415 - few ask for one

        return await asyncio.to_thread(report_of, await self.findings(recommendation_id))

    async def devices(self) -> tuple[Device, ...]:
        """Return the devices of the daemon's machine as they are now."""
        return await self._run(operations.devices())

    async def close(self) -> None:
        """Close the connection, and end the daemon if it is a private one."""
        async with self._lock:
            if self._channel is not None:
                await self._channel.close()
            if self._connection is not None:
                await asyncio.to_thread(self._connection.close)
            self._channel = self._connection = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(
        self, operation: Operation[T], on_event: Callable[[Event], object] | None = None
    ) -> T:
        progress = Progress(operation)
        async with aclosing(self._events(progress)) as events:
            async for event in events:
                try:
                    if on_event is not None:
                        on_event(event)
                except BaseException as error:  # noqa: BLE001 - the operation raises it again
                    await events.athrow(error)
        return progress.result

    async def _events(self, progress: Progress[Any]) -> AsyncGenerator[Event, None]:
        try:
            while (effect := progress.effect) is not None:
                outcome: object = None
                try:
                    if isinstance(effect, Emit):
                        yield effect.event
                    else:
                        outcome = await self._carry_out(effect)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - the operation raises it again
                    progress.fail(error)
                else:
                    progress.succeed(outcome)
        except DaemonError as error:
            if self._connection is not None:
                self._connection.explain(error)
            raise
        finally:
            progress.close()

    async def _carry_out(self, effect: Effect) -> object:
        match effect:
            case Pause():
                await asyncio.sleep(effect.duration_s)
                return None
            case Work():
                return await asyncio.to_thread(effect.function)
        connection, channel = await self._connect()
        metadata = connection.metadata
        try:
            match effect:
                case Unary():
                    call = channel.unary_unary(effect.rpc.path, **effect.rpc.codec())
                    return await call(effect.request, timeout=effect.limit_s, metadata=metadata)
                case Send():
                    send = channel.stream_unary(effect.rpc.path, **effect.rpc.codec())
                    return await send(
                        iter(effect.requests), timeout=effect.limit_s, metadata=metadata
                    )
                case Open():
                    return channel.unary_stream(effect.rpc.path, **effect.rpc.codec())(
                        effect.request, metadata=metadata
                    )
                case Read():
                    stream: Any = effect.stream
                    reply = await stream.read()
                    return None if reply is grpc.aio.EOF else reply
        except grpc.RpcError as error:
            raise connection.error_of(error) from error
        raise TypeError(f"not an effect: {effect}")

    async def _connect(self) -> tuple[Connection, grpc.aio.Channel]:
        async with self._lock:
            if self._connection is None or self._channel is None:
                self._connection = await asyncio.to_thread(
                    connect, self._address, self._credentials, self._config_path
                )
                self._channel = open_aio_channel(self._connection.target)
            return self._connection, self._channel
