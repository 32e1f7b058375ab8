"""What the parts of the Store port's contract suite share."""

from __future__ import annotations

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import Recommendation, State, StateChanged

from advisor.ports.store import Claim, Store
from tests.support.builders import a_recommendation, a_refusal, an_advice
from tests.support.fake_clock import FakeClock

LEASE_S = 30.0

SUCCEEDED = StateChanged(state=State.SUCCEEDED, advice=an_advice())
INTERRUPTED = StateChanged(state=State.FAILED, refusal=a_refusal(code=RefusalCode.INTERRUPTED))


async def claim(store: Store, owner: str = "one") -> Claim:
    """Claim what must be there to claim."""
    found = await store.claim(owner, lease_s=LEASE_S)
    assert found is not None
    return found


async def running(store: Store, owner: str = "one", **changes: object) -> Recommendation:
    """Create a recommendation and claim it."""
    created = await store.create(a_recommendation(**changes))
    claimed = await claim(store, owner)
    assert claimed.recommendation.recommendation_id == created.recommendation_id
    return claimed.recommendation


async def states_of(store: Store, recommendation_id: str) -> list[State]:
    """Return the states that a recommendation's events tell of."""
    happenings = [event.happening for event in await store.events(recommendation_id)]
    return [h.state for h in happenings if isinstance(h, StateChanged)]


class StoreFixtures:
    """The world around a store: its clock, and who is known to be dead."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def dead_owners(self) -> set[str]:
        """Names of the owners that are known to be dead."""
        return set()
