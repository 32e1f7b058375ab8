"""Effects: what an operation wants done, as values; ``Client`` and ``AsyncClient`` do it.

An operation is a generator. It yields effects (send this, read that, wait so long), is sent what
came of each, and returns its result; it does no input or output itself. So each operation is
written once, and the two clients differ only in how they carry effects out:

    def get(recommendation_id: str) -> Operation[Recommendation]:
        reply = yield Unary(rpcs.GET, GetRecommendationRequest(recommendation_id=...))
        return from_message(reply.recommendation, Recommendation)

The operations themselves are in ``operations``.
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
Operation = Generator[Effect, Any, T]


class Progress(Generic[T]):
    """A operation under way: ``effect`` is what it waits for, None once ``result`` is there."""

    def __init__(self, operation: Operation[T]) -> None:
        self._operation = operation
        self.effect: Effect | None = None
        self.result: T
        self.succeed(None)

    def succeed(self, value: object) -> None:
        """Tell the operation what came of its effect."""
        self._advance(lambda: self._operation.send(value))

    def fail(self, error: BaseException) -> None:
        """Tell the operation that its effect failed; raises what the operation does not handle."""
        self._advance(lambda: self._operation.throw(error))

    def close(self) -> None:
        """Give the operation up, open streams with it."""
        self._operation.close()

    def _advance(self, resume: Callable[[], Effect]) -> None:
        try:
            self.effect = resume()
        except StopIteration as stop:
            self.effect, self.result = None, stop.value
