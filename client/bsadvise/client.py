"""The client that blocks. ``aio`` has its twin; what both do is in ``transport.operations``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
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
from bsadvise.transport.channel import open_channel
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


class Client:
    """Talks to a daemon; with no address, to one that runs here or that it starts for itself.

    Connects on the first call. Safe for concurrent use by threads. Close it, or use it in a
    ``with`` block: a private daemon ends then.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        reconnect_s: float = operations.RECONNECT_S,
        config_path: str | PathLike[str] | None = None,
    ) -> None:
        """Make a client.

        Args:
            address: "host:port" (TLS, but for loopback), "unix:/path" or a socket's path; None
                for ``BSADVISE_ADDRESS``, else the default socket, else a private daemon.
            credentials: Token and certificates for a daemon elsewhere; None for what
                ``BSADVISE_TOKEN``, ``BSADVISE_CA_FILE`` and so on say.
            reconnect_s: Seconds for which ``watch`` and ``recommend`` wait for a lost daemon.
            config_path: What a private daemon reads its settings in; None for
                ``BSADVISE_CONFIG``, else ``~/.config/bsadvise/bsadvise.toml`` where there is one.
        """
        self._address = address
        self._credentials = credentials
        self._reconnect_s = reconnect_s
        self._config_path = None if config_path is None else normalise(config_path)
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._channel: grpc.Channel | None = None

    def recommend(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        arguments: Sequence[str] = (),
        request_id: str | None = None,
        on_event: Callable[[Event], object] | None = None,
        **options: Unpack[AdviceOptions],
    ) -> Advice:
        """Return advice on a model file or a training script; blocks until it is there.

        Args:
            model_path: The file that builds the task, or that trains.
            include: Files and folders to send with it, in addition to the modules that it imports.
            arguments: The command line of a script; with placeholders such as ``{batch}``, that of
                a command that is started anew for each setting.
            request_id: Asking twice with it asks once; None for a new one.
            on_event: Called with everything that happens meanwhile.
            **options: What is asked for; see ``AdviceRequest``.

        Raises:
            BsadviseError: There is no advice; the class says why.
        """
        task = operations.Task(normalise(model_path), normalise_all(include), options, arguments)
        return self._run(operations.recommend(task, request_id, self._reconnect_s), on_event)

    def create_recommendation(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        arguments: Sequence[str] = (),
        request_id: str | None = None,
        **options: Unpack[AdviceOptions],
    ) -> Recommendation:
        """Ask for advice and return at once; arguments as for ``recommend``."""
        task = operations.Task(normalise(model_path), normalise_all(include), options, arguments)
        return self._run(operations.create(task, request_id))

    def estimate_memory(
        self,
        model_path: str | PathLike[str],
        *,
        include: Sequence[str | PathLike[str]] = (),
        limit_s: float = operations.ESTIMATE_LIMIT_S,
        **options: Unpack[AdviceOptions],
    ) -> MemoryEstimate:
        """Predict what fits, without running it; waits at most ``limit_s``."""
        task = operations.Task(normalise(model_path), normalise_all(include), options)
        return self._run(operations.estimate_memory(task, limit_s))

    def upload(
        self, model_path: str | PathLike[str], *, include: Sequence[str | PathLike[str]] = ()
    ) -> Source:
        """Send a model file with what it needs, unless the daemon has it."""
        return self._run(operations.upload(normalise(model_path), normalise_all(include)))

    def get(self, recommendation_id: str) -> Recommendation:
        """Return a recommendation as it is now."""
        return self._run(operations.get(recommendation_id))

    def advice(self, recommendation_id: str) -> Advice:
        """Return the advice of a recommendation that has ended; raises why there is none."""
        return self._run(operations.advice(recommendation_id))

    def list(self, limit: int | None = None) -> tuple[Recommendation, ...]:
        """Return the newest recommendations, all of them or ``limit``."""
        return self._run(operations.list_recommendations(limit))

    def cancel(self, recommendation_id: str) -> Recommendation:
        """Ask for a recommendation to stop; it keeps the best answer so far."""
        return self._run(operations.cancel(recommendation_id))

    def delete(self, recommendation_id: str) -> None:
        """Remove a recommendation that does not run."""
        self._run(operations.delete(recommendation_id))

    def watch(
        self,
        recommendation_id: str,
        after_sequence: int = 0,
        *,
        on_waiting: OnWaiting | None = None,
    ) -> Iterator[Event]:
        """Yield a recommendation's events until it has ended, each once.

        A daemon that goes away is waited for; the events go on where they were.

        Args:
            recommendation_id: Which.
            after_sequence: Sequence number of the last event that is known; 0 for none.
            on_waiting: Called, while it waits, each time that its place in the queue changes.
        """
        follow = operations.follow(recommendation_id, after_sequence, self._reconnect_s, on_waiting)
        return self._events(Progress(follow))

    def create_token(
        self, principal: str, scope: Scope = Scope.RUN, *, life_s: float | None = None
    ) -> tuple[Token, str]:
        """Make a token, and return it with its text, which is shown this once.

        Args:
            principal: Whom it authenticates.
            scope: What they may do.
            life_s: Seconds until it expires; None for 90 days.
        """
        return self._run(operations.create_token(principal, scope, life_s))

    def list_tokens(self) -> tuple[Token, ...]:
        """Return all tokens, newest first."""
        return self._run(operations.list_tokens())

    def revoke_token(self, token_id: str) -> Token:
        """Let a token open nothing from now on."""
        return self._run(operations.revoke_token(token_id))

    def measurements(self, recommendation_id: str) -> tuple[Measurement, ...]:
        """Return what the advice rests on, oldest first."""
        return self._run(operations.measurements(recommendation_id))

    def findings(self, recommendation_id: str) -> Findings:
        """Return all that is kept of a recommendation that has ended: what a report is made of."""
        return self._run(operations.findings(recommendation_id))

    def report(self, recommendation_id: str) -> str:
        """Return a recommendation that has ended as one HTML file without script.

        Raises:
            StillRunning: It has not ended.
            ExportFailed: The extra that draws figures is not installed.
        """
        from bsadvise.report.page import report_of  # noqa: PLC0415 - few ask for one

        return report_of(self.findings(recommendation_id))

    def devices(self) -> tuple[Device, ...]:
        """Return the devices of the daemon's machine as they are now."""
        return self._run(operations.devices())

    def close(self) -> None:
        """Close the connection, and end the daemon if it is a private one."""
        self._close(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(wait=error_class is not KeyboardInterrupt)

    def _close(self, *, wait: bool) -> None:
        with self._lock:
            # Not when leaving at once: closing waits for ever where another thread begins a call
            # in that moment, and what is left open ends with the process.
            if self._channel is not None and wait:
                self._channel.close()
            if self._connection is not None:
                self._connection.close(wait=wait)
            self._channel = self._connection = None

    def _run(self, operation: Operation[T], on_event: Callable[[Event], object] | None = None) -> T:
        progress = Progress(operation)
        events = self._events(progress)
        for event in events:
            try:
                if on_event is not None:
                    on_event(event)
            except BaseException as error:  # noqa: BLE001 - the operation raises it again
                events.throw(error)
        return progress.result

    def _events(self, progress: Progress[Any]) -> Generator[Event, None, None]:
        try:
            while (effect := progress.effect) is not None:
                outcome: object = None
                try:
                    if isinstance(effect, Emit):
                        yield effect.event
                    else:
                        outcome = self._carry_out(effect)
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

    def _carry_out(self, effect: Effect) -> object:
        match effect:
            case Pause():
                time.sleep(effect.duration_s)
                return None
            case Work():
                return effect.function()
        connection, channel = self._connect()
        metadata = connection.metadata
        try:
            match effect:
                case Unary():
                    call = channel.unary_unary(effect.rpc.path, **effect.rpc.codec())
                    return call(effect.request, timeout=effect.limit_s, metadata=metadata)
                case Send():
                    send = channel.stream_unary(effect.rpc.path, **effect.rpc.codec())
                    return send(iter(effect.requests), timeout=effect.limit_s, metadata=metadata)
                case Open():
                    return channel.unary_stream(effect.rpc.path, **effect.rpc.codec())(
                        effect.request, metadata=metadata
                    )
                case Read():
                    stream: Any = effect.stream
                    return next(stream, None)
        except grpc.RpcError as error:
            raise connection.error_of(error) from error
        raise TypeError(f"not an effect: {effect}")

    def _connect(self) -> tuple[Connection, grpc.Channel]:
        with self._lock:
            if self._connection is None or self._channel is None:
                self._connection = connect(self._address, self._credentials, self._config_path)
                self._channel = open_channel(self._connection.target)
            return self._connection, self._channel
