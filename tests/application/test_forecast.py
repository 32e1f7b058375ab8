"""Those who wait are told the turn that they will have."""

from __future__ import annotations

from bsadvise.model.request import Priority
from hypothesis import given
from hypothesis import strategies as st

from advisor.application.forecast import FRESH_S, Forecasts, forecast
from advisor.ports.store import DeviceQueue, QueueEntry, Share
from tests.support.builders import a_recommendation, a_request
from tests.support.fake_clock import FakeClock
from tests.support.memory_store import MemoryStore
from tests.support.store_contract_base import SUCCEEDED

PRINCIPALS = ("alice", "bob", "eve")
BUDGET_S = 20.0


@given(
    waiting=st.lists(
        st.tuples(st.sampled_from(PRINCIPALS), st.sampled_from(Priority)), max_size=12
    ),
    used_s=st.tuples(*(st.integers(0, 50) for _ in PRINCIPALS)),
)
async def test_turns_come_as_they_were_foretold(
    waiting: list[tuple[str, Priority]], used_s: tuple[int, ...]
) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    for principal, device_s in zip(PRINCIPALS, used_s, strict=True):
        store._usage[principal, int(clock.now_s() // 3600)] = float(device_s)
    for principal, priority in waiting:
        request = a_request(priority=priority, budget_s=BUDGET_S)
        await store.create(a_recommendation(principal=principal, request=request))

    told = forecast(await store.queue("cpu"), clock.now_s())

    assert sorted(place.position for place in told.values()) == list(range(1, len(waiting) + 1))
    for position in range(1, len(waiting) + 1):
        claim = await store.claim("one", lease_s=2 * BUDGET_S)
        assert claim is not None
        place = told[claim.recommendation.recommendation_id]
        assert (place.position, place.expected_start_at_s) == (position, clock.now_s())
        clock.advance(BUDGET_S)
        await store.finish(claim.recommendation.recommendation_id, "one", SUCCEEDED)


def test_what_runs_is_waited_for_and_counts_for_whom_it_runs() -> None:
    entries = tuple(
        QueueEntry(
            recommendation_id=who, principal=who, priority=Priority.NORMAL, budget_s=BUDGET_S
        )
        for who in ("alice", "bob")
    )
    queue = DeviceQueue(
        busy_for="alice",
        busy_until_s=110.0,
        entries=entries,
        shares={
            "alice": Share(device_count=1, device_s=0.0),
            "bob": Share(device_count=0, device_s=9.0),
        },
    )

    told = forecast(queue, 100.0)

    assert {who: (p.position, p.expected_start_at_s) for who, p in told.items()} == {
        "bob": (1, 110.0),
        "alice": (2, 130.0),
    }


async def test_those_who_wait_for_one_device_share_a_look() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    created = [await store.create(a_recommendation()) for _ in range(3)]
    forecasts = Forecasts(store, clock)
    assert [(await forecasts.of(r)).position for r in created] == [1, 2, 3]  # type: ignore[union-attr] # they wait

    await store.request_cancel(created[0].recommendation_id)
    stale = await forecasts.of(created[1])
    clock.advance(FRESH_S)
    fresh = await forecasts.of(created[1])

    assert stale is not None
    assert fresh is not None
    assert (stale.position, fresh.position) == (2, 1)
    ended = await store.get(created[0].recommendation_id)
    assert await forecasts.of(ended) is None
