"""Flows: operations that say what is to be sent and read, and do neither.

A flow is a generator. It yields effects (call this, read that, wait so long) and is sent what
came of them; it returns the operation's result. ``Client`` and ``AsyncClient`` carry effects out,
each in its own way, and share all the rest; the flows themselves are in ``calls``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from bsadvise.model.recommendation import Event, Waiting

R = TypeVar("R")
T = TypeVar("T")

OnWaiting = Callable[[Waiting], object]

CALL_LIMIT_S = 20.0
UPLOAD_LIMIT_S = 600.0


class Stream(Protocol):
    """An open stream of replies; ``cancel`` does not block in either client."""

    def cancel(self) -> object:
        """Stop it."""
        ...


@dataclass(frozen=True, slots=True)
class Rpc(Generic[R]):
    """A method of the wire and the message that it answers with."""

    path: str
    reply_type: type[R]

    def codec(self) -> dict[str, Any]:
        """Return how to write its requests and read its replies, as grpc's channels want it."""
        reply: Any = self.reply_type
        return {
            "request_serializer": lambda request: request.SerializeToString(),
            "response_deserializer": reply.FromString,
        }


@dataclass(frozen=True, slots=True)
class Unary(Generic[R]):
    """Send one message and take one reply."""

    rpc: Rpc[R]
    request: Message
    limit_s: float = CALL_LIMIT_S


@dataclass(frozen=True, slots=True)
class Send(Generic[R]):
    """Send several messages and take one reply."""

    rpc: Rpc[R]
    requests: Sequence[Message]
    limit_s: float = UPLOAD_LIMIT_S


@dataclass(frozen=True, slots=True)
class Open(Generic[R]):
    """Send one message and open the stream of replies; comes back with a ``Stream``."""

    rpc: Rpc[R]
    request: Message


@dataclass(frozen=True, slots=True)
class Read:
    """Take the next reply of a stream; None at its end."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for some seconds."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """Run something that reads files, where that holds nobody up."""

    function: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an event to the caller."""

    event: Event


Effect = Unary[Any] | Send[Any] | Open[Any] | Read | Pause | Work[Any] | Emit
Flow = Generator[Effect, Any, T]


class Progress(Generic[T]):
    """A flow under way: ``effect`` is what it waits for, None once ``result`` is there."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.effect: Effect | None = None
        self.result: T
        self.succeed(None)

    def succeed(self, value: object) -> None:
        """Tell the flow what came of its effect."""
        self._advance(lambda: self._flow.send(value))

    def fail(self, error: BaseException) -> None:
        """Tell the flow that its effect failed; raises what the flow does not handle."""
        self._advance(lambda: self._flow.throw(error))

    def close(self) -> None:
        """Give the flow up, open streams with it."""
        self._flow.close()

    def _advance(self, resume: Callable[[], Effect]) -> None:
        try:
            self.effect = resume()
        except StopIteration as stop:
            self.effect, self.result = None, stop.value
