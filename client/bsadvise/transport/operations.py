"""Each operation of the client, once, for the client that blocks and for the one that does not.

What may be repeated without harm is retried while nobody answers: reading, uploading (content is
addressed by its digest), cancelling, and creating (a request id creates once).
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from bsadvise.model.advice import Advice, MemoryEstimate
from bsadvise.model.device import Device
from bsadvise.model.errors import (
    BsadviseError,
    Cancelled,
    DaemonFailed,
    DaemonUnreachable,
    StillRunning,
    UnexpectedReply,
    error_of_refusal,
)
from bsadvise.model.explanation import Explanation, Findings
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Event, Recommendation, Waiting
from bsadvise.model.request import AdviceOptions, Source
from bsadvise.model.token import Scope, Token
from bsadvise.source.bundle import Bundle, collect
from bsadvise.transport import rpcs
from bsadvise.transport.effects import (
    Emit,
    OnWaiting,
    Open,
    Operation,
    Pause,
    Read,
    Send,
    Stream,
    Unary,
    Work,
)
from bsadvise.transport.requests import make_request
from bsadvise.v1 import (
    device_service_pb2,
    memory_service_pb2,
    recommendation_service_pb2,
    source_service_pb2,
    token_service_pb2,
)
from bsadvise.wire.messages import from_message

R = TypeVar("R", bound=Message)

RECONNECT_S = 30.0
ESTIMATE_LIMIT_S = 300.0
_RETRY_S = 3.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_CHUNK_BYTES = 1 << 20  # the most that the contract allows
_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Task:
    """What to advise on: a file, what goes with it, its command line, and what is asked for."""

    model_path: Path
    include: Sequence[Path]
    options: AdviceOptions
    arguments: Sequence[str] = ()


def recommend(task: Task, request_id: str | None, reconnect_s: float) -> Operation[Advice]:
    """Create a recommendation, follow it to its end and return the advice."""
    recommendation = yield from create(task, request_id)
    recommendation_id = recommendation.recommendation_id
    if not recommendation.state.is_final:
        try:
            yield from follow(recommendation_id, 0, reconnect_s)
        except (BsadviseError, GeneratorExit):
            raise
        except BaseException:  # Ctrl-C, or a cancelled task: nobody waits for the answer now
            yield from cancel(recommendation_id)
            raise
        return (yield from advice(recommendation_id))
    return _advice_of(recommendation)


def advice(recommendation_id: str) -> Operation[Advice]:
    """Return the advice of a recommendation that has ended.

    Raises:
        StillRunning: It has not ended.
        BsadviseError: There is none; the class says why.
    """
    recommendation = yield from get(recommendation_id)
    if not recommendation.state.is_final:
        raise StillRunning(f"recommendation {recommendation_id} has not ended")
    return _advice_of(recommendation)


def _advice_of(recommendation: Recommendation) -> Advice:
    if recommendation.advice is not None:
        return recommendation.advice
    if recommendation.refusal is not None:
        raise error_of_refusal(recommendation.refusal)
    raise Cancelled("the recommendation was cancelled before there was any answer")


def create(task: Task, request_id: str | None) -> Operation[Recommendation]:
    """Upload the source if it is not there, and create a recommendation."""
    source = yield from upload(task.model_path, task.include, task.arguments)
    request = recommendation_service_pb2.CreateRecommendationRequest(
        request_id=request_id or uuid.uuid4().hex, request=make_request(source, task.options)
    )
    reply = yield from _retry(Unary(rpcs.CREATE, request))
    return from_message(reply.recommendation, Recommendation)


def upload(
    model_path: Path, include: Sequence[Path], arguments: Sequence[str] = ()
) -> Operation[Source]:
    """Bundle a file and upload it if it is not there."""
    bundle: Bundle = yield Work(partial(collect, model_path, include, arguments))
    check = source_service_pb2.CheckSourceRequest(digest=bundle.digest)
    if not (yield from _retry(Unary(rpcs.CHECK_SOURCE, check))).exists:
        yield from _retry(Send(rpcs.UPLOAD_SOURCE, _pieces(bundle)))
    return Source(
        digest=bundle.digest,
        entry_path=bundle.entry_path,
        entry_kind=bundle.entry_kind,
        arguments=tuple(arguments),
    )


def get(recommendation_id: str) -> Operation[Recommendation]:
    """Read a recommendation."""
    request = recommendation_service_pb2.GetRecommendationRequest(
        recommendation_id=recommendation_id
    )
    reply = yield from _retry(Unary(rpcs.GET, request))
    return from_message(reply.recommendation, Recommendation)


def list_recommendations(limit: int | None) -> Operation[tuple[Recommendation, ...]]:
    """Read the newest recommendations, page by page."""
    found: list[Recommendation] = []
    page_token = ""
    while limit is None or len(found) < limit:
        size = _PAGE_SIZE if limit is None else min(_PAGE_SIZE, limit - len(found))
        request = recommendation_service_pb2.ListRecommendationsRequest(
            page_size=size, page_token=page_token
        )
        reply = yield from _retry(Unary(rpcs.LIST, request))
        found += (from_message(message, Recommendation) for message in reply.recommendations)
        page_token = reply.next_page_token
        if not page_token:
            break
    return tuple(found)


def cancel(recommendation_id: str) -> Operation[Recommendation]:
    """Ask for a recommendation to stop."""
    request = recommendation_service_pb2.CancelRecommendationRequest(
        recommendation_id=recommendation_id
    )
    reply = yield from _retry(Unary(rpcs.CANCEL, request))
    return from_message(reply.recommendation, Recommendation)


def delete(recommendation_id: str) -> Operation[None]:
    """Remove a recommendation. Not retried: it may be gone although no reply came."""
    yield Unary(
        rpcs.DELETE,
        recommendation_service_pb2.DeleteRecommendationRequest(recommendation_id=recommendation_id),
    )


def follow(
    recommendation_id: str,
    after_sequence: int,
    reconnect_s: float,
    on_waiting: OnWaiting | None = None,
) -> Operation[None]:
    """Emit a recommendation's events until it has ended, each once, over lost connections.

    Args:
        recommendation_id: Which.
        after_sequence: Sequence number of the last event that is known.
        reconnect_s: Seconds of waiting for a daemon to come back before giving up.
        on_waiting: Called with its place in the queue each time that it changes.
    """
    pauses = _pauses(reconnect_s)
    while True:
        request = recommendation_service_pb2.WatchRecommendationRequest(
            recommendation_id=recommendation_id,
            after_sequence=after_sequence,
            include_waiting=on_waiting is not None,
        )
        stream: Stream = yield Open(rpcs.WATCH, request)
        try:
            while (reply := (yield Read(stream))) is not None:
                pauses = _pauses(reconnect_s)
                if reply.HasField("waiting"):
                    if on_waiting is not None:
                        on_waiting(from_message(reply.waiting, Waiting))
                    continue
                event = from_message(reply.event, Event)
                if event.sequence > after_sequence:
                    after_sequence = event.sequence
                    yield Emit(event)
        except (DaemonUnreachable, Cancelled) as error:  # a daemon that stops cancels its streams
            yield from _pause_or_raise(pauses, error)
        else:
            return
        finally:
            stream.cancel()


def measurements(recommendation_id: str) -> Operation[tuple[Measurement, ...]]:
    """Read the log of a recommendation."""
    request = recommendation_service_pb2.ListMeasurementsRequest(
        recommendation_id=recommendation_id
    )
    reply = yield from _retry(Unary(rpcs.MEASUREMENTS, request))
    return tuple(from_message(message, Measurement) for message in reply.measurements)


def explanation(recommendation_id: str) -> Operation[Explanation]:
    """Read what a recommendation rests on.

    Raises:
        UnexpectedReply: The daemon is of a release that cannot say.
    """
    request = recommendation_service_pb2.ExplainRecommendationRequest(
        recommendation_id=recommendation_id
    )
    reply = yield from _retry(Unary(rpcs.EXPLAIN, request))
    return from_message(reply.explanation, Explanation)


def findings(recommendation_id: str) -> Operation[Findings]:
    """Read all that is kept of a recommendation that has ended.

    Raises:
        StillRunning: It has not ended.
    """
    recommendation = yield from get(recommendation_id)
    if not recommendation.state.is_final:
        raise StillRunning(f"recommendation {recommendation_id} has not ended")
    log = yield from measurements(recommendation_id)
    explained: Explanation | None = None
    with contextlib.suppress(UnexpectedReply):  # A daemon of an older release.
        explained = yield from explanation(recommendation_id)
    return Findings(recommendation=recommendation, log=log, explanation=explained)


def estimate_memory(task: Task, limit_s: float) -> Operation[MemoryEstimate]:
    """Upload the source if it is not there, and predict what fits."""
    source = yield from upload(task.model_path, task.include)
    request = memory_service_pb2.EstimateMemoryRequest(request=make_request(source, task.options))
    reply = yield from _retry(Unary(rpcs.ESTIMATE, request, limit_s))
    return from_message(reply.estimate, MemoryEstimate)


def devices() -> Operation[tuple[Device, ...]]:
    """Read the devices of the daemon's machine."""
    reply = yield from _retry(Unary(rpcs.DEVICES, device_service_pb2.ListDevicesRequest()))
    return tuple(from_message(message, Device) for message in reply.devices)


def create_token(
    principal: str, scope: Scope, life_s: float | None
) -> Operation[tuple[Token, str]]:
    """Make a token. Not retried: it may have been made although no reply came."""
    request = token_service_pb2.CreateTokenRequest(
        principal=principal,
        scope=token_service_pb2.Scope.Value(f"SCOPE_{scope.name}"),
        life_s=life_s,
    )
    reply: token_service_pb2.CreateTokenResponse = yield Unary(rpcs.CREATE_TOKEN, request)
    return from_message(reply.token, Token), reply.text


def list_tokens() -> Operation[tuple[Token, ...]]:
    """Read all tokens."""
    reply = yield from _retry(Unary(rpcs.LIST_TOKENS, token_service_pb2.ListTokensRequest()))
    return tuple(from_message(message, Token) for message in reply.tokens)


def revoke_token(token_id: str) -> Operation[Token]:
    """Revoke a token."""
    request = token_service_pb2.RevokeTokenRequest(token_id=token_id)
    reply = yield from _retry(Unary(rpcs.REVOKE_TOKEN, request))
    return from_message(reply.token, Token)


def _retry(effect: Unary[R] | Send[R]) -> Operation[R]:
    pauses = _pauses(_RETRY_S)
    while True:
        try:
            reply: R = yield effect
        except DaemonUnreachable as error:
            yield from _pause_or_raise(pauses, error)
        else:
            return reply


def _pause_or_raise(pauses: Iterator[float], error: BsadviseError) -> Operation[None]:
    pause_s = None if isinstance(error, DaemonFailed) else next(pauses, None)
    if pause_s is None:
        raise error
    yield Pause(pause_s)


def _pauses(total_s: float) -> Iterator[float]:
    pause_s, spent_s = _FIRST_PAUSE_S, 0.0
    while spent_s < total_s:
        yield pause_s
        spent_s += pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _pieces(bundle: Bundle) -> list[source_service_pb2.UploadSourceRequest]:
    starts = range(0, len(bundle.content), _CHUNK_BYTES)
    return [
        source_service_pb2.UploadSourceRequest(
            digest=bundle.digest, chunk=bundle.content[start : start + _CHUNK_BYTES]
        )
        for start in starts
    ]
