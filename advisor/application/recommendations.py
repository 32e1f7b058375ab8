"""Recommendations as clients know them: create, read, cancel, delete, watch."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from advisor.application.cache import find_cached_advice, fingerprint
from advisor.application.hub import Hub, wait_for
from advisor.application.validation import check_request_id, resolve
from advisor.application.work_queue import POLL_S, WorkQueue
from advisor.application.workspace import Workspace
from advisor.domain.errors import Draining, FieldViolation, InvalidRequest, NotFound
from advisor.domain.measurements import Log
from advisor.domain.recommendation import Event, Recommendation, State, StateChanged
from advisor.domain.request import AdviceRequest
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Page, Store

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
        hub: What tells of their events.
        clock: The time.
    """

    store: Store
    inventory: DeviceInventory
    workspace: Workspace
    queue: WorkQueue
    hub: Hub
    clock: Clock

    async def create(self, request_id: str, request: AdviceRequest) -> Recommendation:
        """Create a recommendation, or return the one that was created with this id.

        One whose answer is remembered is SUCCEEDED from the start.

        Raises:
            InvalidRequest: Something is wrong with the request; it names all that is.
            NotFound: The source was not uploaded.
            RequestIdReused: The id was used for another request.
        """
        device = await resolve(request, self.inventory, *check_request_id(request_id))
        key = fingerprint(request, device)
        cached = await find_cached_advice(self.store, key, request, device)
        if cached is None:
            await self._check_source(request)
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
            )
        )
        self.queue.wake()
        return created

    async def get(self, recommendation_id: str) -> Recommendation:
        """Return a recommendation. Raises NotFound."""
        return await self.store.get(recommendation_id)

    async def list_page(self, *, page_size: int, page_token: str) -> Page:
        """Return a page of recommendations, newest first; 0 is a page of the usual size.

        Raises:
            InvalidRequest: The size is out of range, or the token is not ours.
        """
        if not 0 <= page_size <= MAX_PAGE_SIZE:
            raise InvalidRequest(FieldViolation("page_size", f"must be 0 to {MAX_PAGE_SIZE}"))
        return await self.store.list_page(
            page_size=page_size or DEFAULT_PAGE_SIZE, page_token=page_token
        )

    async def cancel(self, recommendation_id: str) -> Recommendation:
        """Ask for a recommendation to stop, and return it. Raises NotFound."""
        recommendation = await self.store.request_cancel(recommendation_id)
        self.queue.cancel(recommendation_id)
        self.hub.publish(recommendation_id)
        return recommendation

    async def delete(self, recommendation_id: str) -> None:
        """Remove a recommendation and its log.

        Raises:
            NotFound: There is none.
            IllegalTransition: It is running.
        """
        recommendation = await self.store.get(recommendation_id)
        await self.store.delete(recommendation_id)
        await self._remove_checkpoints(recommendation)
        self.hub.publish(recommendation_id)

    async def log(self, recommendation_id: str) -> Log:
        """Return the measurements of a recommendation. Raises NotFound."""
        return await self.store.log(recommendation_id)

    async def watch(self, recommendation_id: str, *, after_sequence: int) -> AsyncIterator[Event]:
        """Yield the events after a sequence number, to the one with which it ends.

        Raises:
            InvalidRequest: ``after_sequence`` is negative.
            NotFound: There is no such recommendation, or it was deleted meanwhile.
            Draining: The daemon stops before the recommendation has ended.
        """
        if after_sequence < 0:
            raise InvalidRequest(FieldViolation("after_sequence", "must be at least 0"))
        with self.hub.subscribe(recommendation_id) as news:
            while True:
                news.clear()
                # The state is read first: what it ended with is then among the events.
                has_ended = (await self.get(recommendation_id)).state.is_final
                events = await self.store.events(recommendation_id, after_sequence=after_sequence)
                for event in events:
                    yield event
                    if _is_end(event):
                        return
                    after_sequence = event.sequence
                if events:
                    continue
                if has_ended:
                    return
                if self.hub.is_closed:
                    raise Draining("the daemon is stopping; watch again when it is back")
                await wait_for(news, self.clock, limit_s=POLL_S)

    async def _remove_checkpoints(self, recommendation: Recommendation) -> None:
        # An equal request may have the same ones, and go on from them.
        in_use = await self.store.find_in_use()
        path = self.workspace.checkpoint_dir(recommendation)
        await asyncio.to_thread(self.workspace.sweep, (path,), in_use)

    async def _check_source(self, request: AdviceRequest) -> None:
        source = request.source
        if not await self.store.has_source(source.digest):
            raise NotFound(f"there is no source {source.digest}; upload it first")
        if not await self.workspace.has_file(source.digest, source.entry_path):
            raise InvalidRequest(
                FieldViolation("request.source.entry_path", "is not a file in the bundle")
            )


def _is_end(event: Event) -> bool:
    return isinstance(event.happening, StateChanged) and event.happening.state.is_final
