"""Whatever is done to both, the store on SQLite and the store in memory say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import Measured, State, StateChanged
from bsadvise.model.request import Priority
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from advisor.domain.errors import AdvisorError
from advisor.ports.store import Claim, Page, Store
from advisor.store.opening import open_store
from tests.support.builders import (
    a_gpu,
    a_measurement,
    a_recommendation,
    a_refusal,
    a_request,
    an_advice,
)
from tests.support.fake_clock import FakeClock
from tests.support.memory_store import MemoryStore

OWNERS = st.sampled_from(["one", "two", "three"])
PRINCIPALS = st.sampled_from(["alice", "bob"])
FINGERPRINTS = st.sampled_from(["f", "g"])
CHANGES = st.sampled_from(
    [
        StateChanged(state=State.SUCCEEDED, advice=an_advice()),
        StateChanged(state=State.FAILED, refusal=a_refusal()),
        StateChanged(state=State.FAILED, refusal=a_refusal(code=RefusalCode.INTERRUPTED)),
        StateChanged(state=State.CANCELLED),
        StateChanged(state=State.QUEUED),
        StateChanged(state=State.RUNNING),
    ]
)


class BothStores(RuleBasedStateMachine):
    """Does everything to both stores and compares every answer and every error."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp())
        self._clock = FakeClock()
        self._dead: set[str] = set()
        is_dead = self._dead.__contains__
        self._memory = MemoryStore(self._clock, is_dead)
        self._sql = open_store(
            self._directory / "store.db", clock=self._clock, is_owner_dead=is_dead
        )
        self._runner = asyncio.Runner()
        self._created = 0
        self._device_ids: dict[str, tuple[str, ...]] = {}

    def teardown(self) -> None:
        self._runner.run(self._sql.close())
        self._runner.close()
        shutil.rmtree(self._directory)

    def both(self, act: Callable[[Store], Awaitable[Any]]) -> Any:
        expected, actual = (
            self._runner.run(self._outcome(act, store)) for store in (self._memory, self._sql)
        )
        assert actual == expected
        return actual

    async def _outcome(self, act: Callable[[Store], Awaitable[Any]], store: Store) -> Any:
        try:
            return await act(store)
        except AdvisorError as error:
            return type(error)

    @rule(
        target=ids,
        request_number=st.integers(0, 12),
        seed=st.integers(0, 1),
        device_numbers=st.lists(st.integers(0, 2), min_size=1, unique=True),
        fingerprint=FINGERPRINTS,
        principal=PRINCIPALS,
        priority=st.sampled_from(Priority),
    )
    def create(
        self,
        request_number: int,
        seed: int,
        device_numbers: list[int],
        fingerprint: str,
        principal: str,
        priority: Priority,
    ) -> Any:
        self._created += 1
        recommendation = a_recommendation(
            recommendation_id=f"recommendation-{self._created}",
            request_id=f"request-{request_number}",
            request=a_request(seed=seed, priority=priority),
            device=a_gpu(device_numbers[0]),
            fingerprint=fingerprint,
            principal=principal,
        )
        device_ids = [a_gpu(number).device_id for number in device_numbers]
        self.both(lambda store: store.create(recommendation, device_ids=device_ids))
        return multiple(recommendation.recommendation_id)

    @rule(owner=OWNERS)
    def claim(self, owner: str) -> None:
        claimed = self.both(lambda store: store.claim(owner, lease_s=30.0))
        if isinstance(claimed, Claim):
            self._device_ids[claimed.recommendation.recommendation_id] = claimed.device_ids

    @rule(recommendation_id=ids, owner=OWNERS, fingerprint=FINGERPRINTS)
    def restart(self, recommendation_id: str, owner: str, fingerprint: str) -> None:
        self.both(lambda store: store.restart(recommendation_id, owner, fingerprint))
        self.both(lambda store: store.log(recommendation_id))

    @rule(recommendation_id=ids, owner=OWNERS)
    def renew(self, recommendation_id: str, owner: str) -> None:
        self.both(lambda store: store.renew(recommendation_id, owner, lease_s=30.0))

    @rule(recommendation_id=ids, owner=OWNERS, wall_s=st.floats(0, 1e9))
    def append(self, recommendation_id: str, owner: str, wall_s: float) -> None:
        measured = Measured(measurement=a_measurement(wall_s=wall_s), remaining_s=wall_s / 3)
        self.both(lambda store: store.append(recommendation_id, owner, measured))

    @rule(recommendation_id=ids, owner=OWNERS, change=CHANGES)
    def finish(self, recommendation_id: str, owner: str, change: StateChanged) -> None:
        self.both(lambda store: store.finish(recommendation_id, owner, change))

    @rule(recommendation_id=ids)
    def cancel(self, recommendation_id: str) -> None:
        self.both(lambda store: store.request_cancel(recommendation_id))

    @rule(recommendation_id=ids)
    def delete(self, recommendation_id: str) -> None:
        self.both(lambda store: store.delete(recommendation_id))

    @rule(recommendation_id=ids, after_sequence=st.integers(0, 5), limit=st.integers(1, 3))
    def read(self, recommendation_id: str, after_sequence: int, limit: int) -> None:
        self.both(lambda store: store.log(recommendation_id))
        self.both(lambda store: store.events(recommendation_id))
        self.both(
            lambda store: store.events(
                recommendation_id, after_sequence=after_sequence, limit=limit
            )
        )

    @rule(page_size=st.integers(1, 5))
    def walk_pages(self, page_size: int) -> None:
        token = ""
        while token := self._page(page_size, token).next_page_token:
            pass

    def _page(self, page_size: int, token: str) -> Page:
        page = self.both(lambda store: store.list_page(page_size=page_size, page_token=token))
        assert isinstance(page, Page)
        return page

    @rule(fingerprint=FINGERPRINTS)
    def find(self, fingerprint: str) -> None:
        self.both(lambda store: store.find_answer(fingerprint))
        self.both(lambda store: store.find_interrupted_log(fingerprint))
        digest = a_request().source.digest
        self.both(lambda store: store.find_searched(digest, principal=None, limit=3))

    @rule(device_number=st.integers(0, 2))
    def look_at_the_queue(self, device_number: int) -> None:
        self.both(lambda store: store.queue(a_gpu(device_number).device_id))

    @rule(duration_s=st.floats(0, 40))
    def wait(self, duration_s: float) -> None:
        self._clock.advance(duration_s)

    @rule(owner=OWNERS)
    def die(self, owner: str) -> None:
        self._dead.add(owner)

    @rule(owner=OWNERS)
    def live_again(self, owner: str) -> None:
        self._dead.discard(owner)

    @invariant()
    def lists_are_equal_and_no_two_leases_share_a_device(self) -> None:
        page = self.both(lambda store: store.list_page(page_size=100))
        running = [r for r in page.recommendations if r.state is State.RUNNING]
        held = [one for r in running for one in self._device_ids[r.recommendation_id]]
        assert len(held) == len(set(held))


TestBothStores = BothStores.TestCase
TestBothStores.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,  # a commit waits for the disk
    suppress_health_check=[HealthCheck.too_slow],
)
