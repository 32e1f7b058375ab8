"""Recommendations as clients know them: create, read, cancel, delete, watch."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from bsadvise.model.explanation import Explanation
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import (
    Event,
    Recommendation,
    State,
    StateChanged,
    Waiting,
)
from bsadvise.model.request import AdviceRequest
from bsadvise.model.token import Scope
from bsadvise.version import __version__

from advisor.application.cache import Fingerprints, find_cached_advice
from advisor.application.event_bus import EventBus
from advisor.application.explanations import Explanations
from advisor.application.feeds import Feeds, Look
from advisor.application.forecast import Forecasts
from advisor.application.sharing import SharingPolicy
from advisor.application.sources import check_source
from advisor.application.validation import (
    check_budget,
    check_python,
    check_request_id,
    resolve,
)
from advisor.application.work_queue import WorkQueue
from advisor.application.workspace import Workspace
from advisor.domain.access import Caller
from advisor.domain.errors import Draining, FieldViolation, InvalidRequest, NotFound
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Page, Store
from advisor.ports.telemetry import Telemetry

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendations:
    """What clients can do with recommendations.

    Attributes:
        store: Where they are kept.
        inventory: Where their devices are found.
        workspace: Where their sources are laid out.
        queue: What works on them.
        event_bus: Publishes their events.
        feeds: Reads them for those who watch.
        clock: The time.
        policy: How the daemon is shared.
        fingerprints: Makes the keys of answers.
        explanations: Reads what answers rest on.
        forecasts: What tells those who wait where they stand.
        telemetry: Is told what is created.
        pythons: The interpreters that requests may name; None for any.
    """

    store: Store
    inventory: DeviceInventory
    workspace: Workspace
    queue: WorkQueue
    event_bus: EventBus
    feeds: Feeds
    clock: Clock
    policy: SharingPolicy
    fingerprints: Fingerprints
    explanations: Explanations
    forecasts: Forecasts
    telemetry: Telemetry
    pythons: Collection[Path] | None = None

    async def create(
        self, caller: Caller, request_id: str, request: AdviceRequest
    ) -> Recommendation:
        """Create a recommendation, or return the one that the caller created with this id.

        One whose answer is remembered is SUCCEEDED from the start.

        Raises:
            InvalidRequest: Something is wrong with the request; it names all that is.
            NotFound: The source was not uploaded.
            RequestIdReused: The id was used for another request.
            QuotaExceeded: The caller has had their share.
        """
        device = await resolve(
            request,
            self.inventory,
            *check_request_id(request_id),
            *check_python(request, self.pythons),
            *check_budget(request, self.policy.limits_of(caller).max_budget_s),
        )
        key = self.fingerprints.of(caller.principal, request, device)
        cached = await find_cached_advice(
            self.store, key, request, device, self.fingerprints.memory
        )
        if cached is None:
            await self._check_source(caller, request)
        now_s = self.clock.now_s()
        created = await self.store.create(
            Recommendation(
                recommendation_id=uuid.uuid4().hex,
                request_id=request_id,
                request=request,
                device=device,
                fingerprint=key,
                state=State.SUCCEEDED if cached else State.QUEUED,
                created_at_s=now_s,
                updated_at_s=now_s,
                advice=cached,
                principal=caller.principal,
                planner_version=__version__,
            ),
            limits=self.policy.limits_of(caller),
        )
        if created.state is State.QUEUED:
            self.telemetry.created(created.recommendation_id)
            created = replace(created, waiting=await self.forecasts.of(created))
            self.queue.wake()
        return created

    async def get(self, caller: Caller, recommendation_id: str) -> Recommendation:
        """Return a recommendation, and where it stands while it waits. Raises NotFound."""
        found = await self._find(caller, recommendation_id)
        return replace(found, waiting=await self.forecasts.of(found))

    async def list_page(self, caller: Caller, *, page_size: int, page_token: str) -> Page:
        """Return a page of the caller's recommendations, newest first.

        Who may administer is given everybody's. A size of 0 is a page of the usual size.

        Raises:
            InvalidRequest: The size is out of range, or the token is not ours.
        """
        if not 0 <= page_size <= MAX_PAGE_SIZE:
            raise InvalidRequest(FieldViolation("page_size", f"must be 0 to {MAX_PAGE_SIZE}"))
        return await self.store.list_page(
            page_size=page_size or DEFAULT_PAGE_SIZE,
            page_token=page_token,
            principal=None if caller.may(Scope.ADMIN) else caller.principal,
        )

    async def cancel(self, caller: Caller, recommendation_id: str) -> Recommendation:
        """Ask for a recommendation to stop, and return it. Raises NotFound."""
        await self._find(caller, recommendation_id)
        recommendation = await self.store.request_cancel(recommendation_id)
        self.queue.cancel(recommendation_id)
        self.event_bus.publish(recommendation_id)
        return recommendation

    async def delete(self, caller: Caller, recommendation_id: str) -> None:
        """Remove a recommendation and its log.

        Raises:
            NotFound: There is none.
            IllegalTransition: It is running.
        """
        recommendation = await self._find(caller, recommendation_id)
        await self.store.delete(recommendation_id)
        await self._remove_checkpoints(recommendation)
        self.event_bus.publish(recommendation_id)

    async def log(self, caller: Caller, recommendation_id: str) -> Log:
        """Return the measurements that a recommendation rests on. Raises NotFound."""
        return await self.explanations.log(await self._find(caller, recommendation_id))

    async def explain(self, caller: Caller, recommendation_id: str) -> Explanation:
        """Return what the planner reads in these measurements. Raises NotFound."""
        return await self.explanations.of(await self._find(caller, recommendation_id))

    async def watch(
        self,
        caller: Caller,
        recommendation_id: str,
        *,
        after_sequence: int,
        tell_waiting: bool = False,
    ) -> AsyncIterator[Event | Waiting]:
        """Yield the events after a sequence number, to the one with which it ends.

        Args:
            caller: Who watches.
            recommendation_id: What.
            after_sequence: The last event that is known; 0 for none.
            tell_waiting: Whether to say in between, while it waits, where it stands.

        Raises:
            InvalidRequest: ``after_sequence`` is negative.
            NotFound: There is no such recommendation, or it was deleted meanwhile.
            Draining: The daemon stops before the recommendation has ended.
        """
        if after_sequence < 0:
            raise InvalidRequest(FieldViolation("after_sequence", "must be at least 0"))
        await self._find(caller, recommendation_id)
        with self.feeds.follow(recommendation_id, after_sequence=after_sequence) as feed:
            told: Waiting | None = None
            while True:
                look = await feed.latest()
                changed = feed.changed
                events = await self._unseen(recommendation_id, look, after_sequence)
                for event in events:
                    yield event
                    if _is_end(event):
                        return
                    after_sequence = event.sequence
                if events:
                    continue
                if look.has_ended:
                    return
                if tell_waiting and look.waiting not in (None, told):
                    yield (told := look.waiting)
                if self.event_bus.is_closed:
                    raise Draining("the daemon is stopping; watch again when it is back")
                await changed.wait()

    async def _unseen(
        self, recommendation_id: str, look: Look, after_sequence: int
    ) -> tuple[Event, ...]:
        if after_sequence >= look.sequence:
            return ()
        if after_sequence >= look.after_sequence:
            return tuple(event for event in look.events if event.sequence > after_sequence)
        return await self.store.events(recommendation_id, after_sequence=after_sequence)

    async def _remove_checkpoints(self, recommendation: Recommendation) -> None:
        # An equal request may have the same ones, and go on from them.
        in_use = await self.store.find_in_use()
        path = self.workspace.checkpoint_dir(recommendation)
        await asyncio.to_thread(self.workspace.sweep, (path,), in_use)

    async def _find(self, caller: Caller, recommendation_id: str) -> Recommendation:
        found = await self.store.get(recommendation_id)
        if not caller.may_see(found.principal):
            # In the store's own words: who may not see it must not know of it.
            raise NotFound(f"there is no recommendation {recommendation_id}")
        return found

    async def _check_source(self, caller: Caller, request: AdviceRequest) -> None:
        source = request.source
        await check_source(self.store, caller, source)
        if not await self.workspace.has_file(source.digest, source.entry_path):
            raise InvalidRequest(
                FieldViolation("request.source.entry_path", "is not a file in the bundle")
            )


def _is_end(event: Event) -> bool:
    return isinstance(event.happening, StateChanged) and event.happening.state.is_final
