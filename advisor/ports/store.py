"""Where recommendations, their logs and the users' sources are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Event, Happening, Recommendation, State, StateChanged
from bsadvise.model.request import Priority

from advisor.domain.access import NO_LIMITS, Limits
from advisor.ports.token_store import TokenStore

ABANDONED_S = 60.0
"""After the end of its lease, work that nobody has taken over is not taken to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a list.

    Attributes:
        recommendations: Newest first.
        next_page_token: Where the next page begins; empty on the last.
    """

    recommendations: tuple[Recommendation, ...]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A recommendation that this daemon may now work on.

    Attributes:
        recommendation: The recommendation, RUNNING.
        is_takeover: Whether another daemon had begun it and is gone.
        device_ids: The devices that its lease holds, the one that it is for first.
    """

    recommendation: Recommendation
    is_takeover: bool
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """One recommendation that waits for a device.

    Attributes:
        recommendation_id: Which.
        principal: Whom it is for.
        priority: Its place among the principal's own.
        budget_s: How long it may take.
    """

    recommendation_id: str
    principal: str
    priority: Priority
    budget_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a principal has of the devices.

    Attributes:
        device_count: Devices that work for it now.
        device_s: Seconds of devices that it has used within 24 hours, to the hour.
    """

    device_count: int
    device_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQueue:
    """What runs and what waits on one device.

    Attributes:
        busy_for: The principal that it works for; None when it does not.
        busy_until_s: Unix time at which what runs has spent its budget; None when nothing does.
        entries: What waits, oldest first.
        shares: The share of each principal in it.
    """

    busy_for: str | None
    busy_until_s: float | None
    entries: tuple[QueueEntry, ...]
    shares: Mapping[str, Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of what has ended is kept.

    Attributes:
        finished_before_s: Unix time; recommendations that ended before it are removed, and
            sources that were last used before it.
        keep_count: The most recommendations that have ended to keep, the newest of each
            principal; who has more than an even share gives way first.
        keep_source_bytes: The most bytes of sources to keep, those used last, divided likewise.
        sources_unused_since_s: Unix time; a source that was used since is kept, whatever its
            size: its client may be about to ask.
    """

    finished_before_s: float
    keep_count: int
    keep_source_bytes: int
    sources_unused_since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What ``Store.prune`` has removed."""

    recommendation_count: int
    source_count: int
    source_bytes: int
    usage_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """Which files outside the database may still be asked for.

    Attributes:
        names: Ids and fingerprints of recommendations that are not finished, or that were
            interrupted and not answered since: these may go on from their checkpoints.
        digests: Sources of recommendations that are not finished.
    """

    names: frozenset[str]
    digests: frozenset[str]


class Store(TokenStore, ABC):
    """Keeps everything that must outlive a daemon.

    Safe for concurrent use by tasks of one event loop, and by several daemons on one database.
    What a method has written when it returns is durable. A daemon works on a recommendation
    only while it holds its lease; every write in the name of a lease checks it. Any method
    raises StoreUnavailable when the database cannot be read or written.
    """

    @abstractmethod
    async def create(
        self,
        recommendation: Recommendation,
        *,
        device_ids: Sequence[str] = (),
        limits: Limits = NO_LIMITS,
    ) -> Recommendation:
        """Add a recommendation, and return it as stored; its state becomes its first event.

        If its principal has one with the same ``request_id`` and an equal ``request``, that one
        is returned and nothing is added.

        Args:
            recommendation: The recommendation.
            device_ids: The devices that its lease is to hold, different ones, its own first;
                empty for its own alone.
            limits: How much its principal may have.

        Raises:
            RequestIdReused: There is one with the same id and another request.
            QuotaExceeded: Too much is kept of its principal; or it would be QUEUED, and they have
                had their share.
        """

    @abstractmethod
    async def get(self, recommendation_id: str) -> Recommendation:
        """Return a recommendation. Raises NotFound.

        Of one that cannot be understood the refusal says why, and the request is a placeholder;
        so it is in a page. It is never claimed: when its turn comes, it becomes FAILED.
        """

    @abstractmethod
    async def list_page(
        self, *, page_size: int, page_token: str = "", principal: str | None = None
    ) -> Page:
        """Return a page of recommendations, newest first; all, or those of one principal.

        Shorter than ``page_size`` where they are long.

        Raises:
            InvalidRequest: ``page_token`` was not made by this method.
        """

    @abstractmethod
    async def delete(self, recommendation_id: str) -> None:
        """Remove a recommendation and its events.

        Raises:
            NotFound: There is none.
            IllegalTransition: It is running.
        """

    @abstractmethod
    async def request_cancel(self, recommendation_id: str) -> Recommendation:
        """Ask for a recommendation to stop, and return it.

        One that is queued becomes CANCELLED at once, and so does a running one whose lease
        has ended for more than ``ABANDONED_S``; another running one is marked; a finished one is
        left alone. Raises NotFound.
        """

    @abstractmethod
    async def claim(self, owner: str, *, lease_s: float) -> Claim | None:
        """Lease the recommendation whose turn it is; None when there is none.

        That is one which is RUNNING under a lease that has run out or whose owner is known to
        be dead, the oldest first; else one which is QUEUED and whose devices are all free. It
        becomes RUNNING and holds all its devices, which no two leases share; a change from
        QUEUED is an event. A daemon may so be given what it still works on, where its own lease
        has run out (the machine slept, the clock jumped).

        What is QUEUED takes turns: what is not LOW first; then the principal for whom the
        fewest devices work; then the one that has used the least within a day; then by
        priority; then by age. None passes by one before it that waits for one of the same
        devices. The time of a lease is charged for each of its devices, as it is renewed and
        ended.
        """

    @abstractmethod
    async def renew(self, recommendation_id: str, owner: str, *, lease_s: float) -> bool:
        """Extend a lease, and return whether its client has asked for it to stop.

        Raises:
            LeaseLost: ``owner`` does not hold it.
        """

    @abstractmethod
    async def append(self, recommendation_id: str, owner: str, happening: Happening) -> Event:
        """Add an event in the name of a lease. Raises LeaseLost."""

    @abstractmethod
    async def restart(self, recommendation_id: str, owner: str, fingerprint: str) -> None:
        """Begin the log of a leased recommendation anew, under another fingerprint.

        ``log`` then returns what is measured from here on. The events before it stay.

        Raises:
            LeaseLost: ``owner`` does not hold it.
        """

    @abstractmethod
    async def finish(self, recommendation_id: str, owner: str, change: StateChanged) -> Event:
        """Move a leased recommendation to another state, and end the lease.

        Raises:
            LeaseLost: ``owner`` does not hold it.
            IllegalTransition: It cannot move there.
        """

    @abstractmethod
    async def events(
        self, recommendation_id: str, *, after_sequence: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        """Return events after a sequence number, oldest first. Raises NotFound.

        Some, where there are any; fewer than ``limit`` where they are long.
        """

    @abstractmethod
    async def log(self, recommendation_id: str) -> Log:
        """Return the measurements of a recommendation, since it was restarted last.

        Raises:
            NotFound: There is none.
            RecordUnreadable: One of them cannot be understood.
        """

    @abstractmethod
    async def find_answer(self, fingerprint: str) -> Recommendation | None:
        """Return the newest SUCCEEDED recommendation with this fingerprint."""

    @abstractmethod
    async def find_searched(
        self, source_digest: str, *, principal: str | None, limit: int
    ) -> tuple[Recommendation, ...]:
        """Return the newest SUCCEEDED recommendations about a source that measured for it.

        Args:
            source_digest: The bundle's digest.
            principal: Whose; None for anybody's.
            limit: The most to return, at least 1.
        """

    @abstractmethod
    async def find_interrupted_log(self, fingerprint: str) -> Log:
        """Return the log of the newest INTERRUPTED recommendation with this fingerprint.

        Empty when there is none, or when a later one has SUCCEEDED.
        """

    @abstractmethod
    async def queue(self, device_id: str) -> DeviceQueue:
        """Return what runs and what waits on a device."""

    @abstractmethod
    async def used_device_s(self, principal: str) -> float:
        """Return the seconds of devices that a principal has been charged within 24 hours."""

    @abstractmethod
    async def charge(self, principal: str, device_s: float) -> None:
        """Add what no lease counts to the seconds of devices that a principal has used."""

    @abstractmethod
    async def put_source(
        self, digest: str, bundle: bytes, *, principal: str, limits: Limits = NO_LIMITS
    ) -> None:
        """Keep a bundle under its digest, for a principal. Idempotent.

        Raises:
            QuotaExceeded: It is new to the principal, and they have sent their share.
        """

    @abstractmethod
    async def get_source(self, digest: str) -> bytes:
        """Return a bundle. Raises NotFound."""

    @abstractmethod
    async def has_source(self, digest: str, *, principal: str) -> bool:
        """Return whether a principal has sent a bundle that is kept."""

    @abstractmethod
    async def count_unfinished(self) -> Mapping[State, int]:
        """Return how many recommendations are QUEUED and RUNNING."""

    @abstractmethod
    async def find_in_use(self) -> InUse:
        """Return what a run may still come back to."""

    @abstractmethod
    async def newest_s(self) -> float | None:
        """Return the Unix time of the newest change or upload; None where there is none."""

    @abstractmethod
    async def prune(self, keep: Retention) -> Removed:
        """Remove what need not be kept; never what is not finished, nor its source."""

    @abstractmethod
    async def compact(self) -> None:
        """Give space that was freed back to the disk, where it is worth the work."""

    @abstractmethod
    async def check(self) -> None:
        """Return if the database can be read and written; raise StoreUnavailable if not."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the database. Idempotent."""
