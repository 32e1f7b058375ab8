"""One recommendation under this daemon's lease: what stops it, and its journal in the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import (
    CommandStarted,
    Event,
    Happening,
    Measured,
    Recommendation,
)

from advisor.application.cancellation import Cancellation, StopReason
from advisor.application.event_bus import EventBus
from advisor.domain.errors import StoreUnavailable
from advisor.ports.clock import Clock
from advisor.ports.store import Store

T = TypeVar("T")

_LOG = structlog.stdlib.get_logger(__name__)

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


@dataclass(slots=True, kw_only=True)
class Run:
    """Writes to the store as long as the lease may hold, also when the store is away meanwhile.

    A write whose acknowledgement was lost may have been carried out. Nobody but the holder of
    the lease adds events, so that what the log ends with tells whether it was.

    Attributes:
        recommendation: What is run.
        device_ids: The devices that the lease holds.
        cancellation: Whether it is to stop.
        store: Where its log is.
        clock: The time.
        event_bus: Wakes those who watch.
        owner: This daemon's name on the lease.
        lease_s: Seconds of a lease; after as many without the store, the lease is lost.
        renewed_s: When the lease was renewed last, by the monotonic clock.
        log_bytes: What its measurements take where they are kept.
    """

    recommendation: Recommendation
    device_ids: tuple[str, ...]
    cancellation: Cancellation
    store: Store
    clock: Clock
    event_bus: EventBus
    owner: str
    lease_s: float
    renewed_s: float = field(init=False)
    log_bytes: int = 0
    _last_sequence: int = 0

    def __post_init__(self) -> None:
        """Begin with a lease that was just taken."""
        self.renewed_s = self.clock.monotonic_s()

    @property
    def recommendation_id(self) -> str:
        """The recommendation's id."""
        return self.recommendation.recommendation_id

    async def log(self) -> Log:
        """Return the measurements so far. Raises StoreUnavailable."""
        return await self.with_retries(lambda: self.store.log(self.recommendation_id))

    async def append(self, happening: Happening) -> None:
        """Add an event. Raises LeaseLost, StoreUnavailable."""
        attempts = 0

        async def append_once() -> Event:
            nonlocal attempts
            attempts += 1
            written = await self._find_written(happening) if attempts > 1 else None
            return written or await self.store.append(self.recommendation_id, self.owner, happening)

        event = await self.with_retries(append_once)
        self._last_sequence = event.sequence
        self.event_bus.publish(self.recommendation_id)

    async def with_retries(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what the store answers, asking it again while it is not available.

        Raises:
            StoreUnavailable: It was away for a lease's length, or the run is to be left.
        """
        ends_at_s = self.clock.monotonic_s() + self.lease_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                is_left = self.cancellation.reason in {StopReason.DRAIN, StopReason.LEASE_LOST}
                if is_left or self.clock.monotonic_s() + wait_s > ends_at_s:
                    raise
                _LOG.warning(
                    "the store is not available; it is asked again",
                    recommendation_id=self.recommendation_id,
                    wait_s=wait_s,
                    error=str(error),
                )
            await self.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _find_written(self, happening: Happening) -> Event | None:
        last: Event | None = None
        sequence = self._last_sequence
        while events := await self.store.events(self.recommendation_id, after_sequence=sequence):
            last, sequence = events[-1], events[-1].sequence
        return last if last is not None and _says_the_same(last.happening, happening) else None


def _says_the_same(one: Happening, other: Happening) -> bool:
    # By their commands: a diverged loss is NaN, which equals nothing.
    if isinstance(one, Measured) and isinstance(other, Measured):
        return one.measurement.command == other.measurement.command
    if isinstance(one, CommandStarted) and isinstance(other, CommandStarted):
        return one.command == other.command
    return False
