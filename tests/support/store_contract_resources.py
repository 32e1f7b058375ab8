"""What every store must do: create, list, cancel and delete recommendations; keep sources."""

from __future__ import annotations

import asyncio

import pytest
from bsadvise.model.recommendation import LOCAL, Recommendation, State, StateChanged

from advisor.domain.errors import IllegalTransition, InvalidRequest, NotFound, RequestIdReused
from advisor.ports.store import Store
from tests.support.builders import a_gpu, a_recommendation, a_request, an_advice
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import (
    LEASE_S,
    SUCCEEDED,
    StoreFixtures,
    claim,
    running,
    states_of,
)


class ResourceContract(StoreFixtures):
    @pytest.mark.parametrize("name", ["", "a\x00b", "'; --", "x" * 10_000, "\U0001f600"])
    async def test_a_name_that_nothing_has_is_not_found(self, store: Store, name: str) -> None:
        with pytest.raises(NotFound):
            await store.get(name)

    async def test_returns_what_was_created(self, store: Store) -> None:
        created = a_recommendation(
            request=a_request(
                device="cuda:0", build_kwargs={"width": "é"}, target_loss=0.1, max_trials=0
            ),
            device=a_gpu(),
        )

        assert await store.create(created) == created
        assert await store.get(created.recommendation_id) == created

    async def test_first_event_is_the_first_state(self, store: Store) -> None:
        queued = await store.create(a_recommendation())
        answered = await store.create(a_recommendation(state=State.SUCCEEDED, advice=an_advice()))

        assert await states_of(store, queued.recommendation_id) == [State.QUEUED]
        [event] = await store.events(answered.recommendation_id)
        assert (event.sequence, event.happening) == (1, SUCCEEDED)

    async def test_creating_twice_with_one_request_id_creates_once(self, store: Store) -> None:
        first = await store.create(a_recommendation(request_id="same"))
        await claim(store)

        second = await store.create(a_recommendation(request_id="same"))

        assert second.recommendation_id == first.recommendation_id
        assert second.state is State.RUNNING
        assert len((await store.list_page(page_size=10)).recommendations) == 1

    async def test_concurrent_creations_with_one_request_id_create_once(self, store: Store) -> None:
        created = await asyncio.gather(
            *(store.create(a_recommendation(request_id="same")) for _ in range(8))
        )

        assert len({recommendation.recommendation_id for recommendation in created}) == 1

    async def test_a_request_id_with_another_request_is_refused(self, store: Store) -> None:
        await store.create(a_recommendation(request_id="same", request=a_request(seed=1)))

        with pytest.raises(RequestIdReused):
            await store.create(a_recommendation(request_id="same", request=a_request(seed=2)))

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for attempt in (
            store.get("nothing"),
            store.delete("nothing"),
            store.request_cancel("nothing"),
            store.events("nothing"),
            store.log("nothing"),
            store.get_source("ab" * 32),
        ):
            with pytest.raises(NotFound):
                await attempt

    async def test_deleting_removes_all_but_what_is_running(self, store: Store) -> None:
        await running(store)
        done = await store.create(a_recommendation(device=a_gpu(0), request_id="again"))
        await claim(store)
        await store.finish(done.recommendation_id, "one", SUCCEEDED)
        queued = await store.create(a_recommendation())

        for removable in (done, queued):
            await store.delete(removable.recommendation_id)
            with pytest.raises(NotFound):
                await store.get(removable.recommendation_id)
            with pytest.raises(NotFound):
                await store.events(removable.recommendation_id)
        assert (await store.create(a_recommendation(request_id="again"))).state is State.QUEUED

    async def test_what_is_running_cannot_be_deleted(self, store: Store) -> None:
        recommendation = await running(store)

        with pytest.raises(IllegalTransition):
            await store.delete(recommendation.recommendation_id)

        assert await store.get(recommendation.recommendation_id) == recommendation

    @pytest.mark.parametrize("page_size", [1, 10, 24, 25, 26])
    async def test_pages_hold_everything_once_newest_first(
        self, store: Store, page_size: int
    ) -> None:
        created = [await store.create(a_recommendation()) for _ in range(25)]

        listed: list[Recommendation] = []
        page = await store.list_page(page_size=page_size)
        listed += page.recommendations
        while page.next_page_token:
            assert len(page.recommendations) == page_size
            page = await store.list_page(page_size=page_size, page_token=page.next_page_token)
            listed += page.recommendations

        assert listed == created[::-1]

    async def test_pages_are_stable_while_others_come_and_go(self, store: Store) -> None:
        created = [await store.create(a_recommendation()) for _ in range(5)]
        page = await store.list_page(page_size=2)

        await store.create(a_recommendation(created_at_s=0.0))
        await store.delete(created[3].recommendation_id)
        rest = await store.list_page(page_size=3, page_token=page.next_page_token)

        assert list(page.recommendations) == [created[4], created[3]]
        assert list(rest.recommendations) == [created[2], created[1], created[0]]
        assert rest.next_page_token == ""

    async def test_a_page_of_large_requests_is_shorter(self, store: Store) -> None:
        large = a_request(build_kwargs={"a": "x" * 1_500_000})
        for _ in range(4):
            await store.create(a_recommendation(request=large))

        listed, token = 0, ""
        while True:
            page = await store.list_page(page_size=4, page_token=token)
            listed += len(page.recommendations)
            assert page.recommendations
            token = page.next_page_token
            if not token:
                break
        assert listed == 4

    async def test_an_empty_store_has_one_empty_page(self, store: Store) -> None:
        page = await store.list_page(page_size=10)

        assert (page.recommendations, page.next_page_token) == ((), "")

    @pytest.mark.parametrize(
        "token", ["x", "é", "====", "YWZ0ZXI9LTE=", "YWZ0ZXI9MSA=", "bm90IG91cnM=", "2" * 1000]
    )
    async def test_a_foreign_page_token_is_refused(self, store: Store, token: str) -> None:
        await store.create(a_recommendation())

        with pytest.raises(InvalidRequest) as refused:
            await store.list_page(page_size=10, page_token=token)

        assert [violation.field for violation in refused.value.violations] == ["page_token"]

    async def test_a_queued_one_is_cancelled_at_once(self, store: Store, clock: FakeClock) -> None:
        queued = await store.create(a_recommendation())
        clock.advance(5)

        cancelled = await store.request_cancel(queued.recommendation_id)

        assert cancelled.state is State.CANCELLED
        assert cancelled.updated_at_s == clock.now_s()
        assert cancelled == await store.get(queued.recommendation_id)
        assert await states_of(store, queued.recommendation_id) == [
            State.QUEUED,
            State.CANCELLED,
        ]
        assert await store.claim("one", lease_s=LEASE_S) is None

    async def test_a_running_one_learns_of_it_when_it_renews(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        assert not await store.renew(recommendation_id, "one", lease_s=LEASE_S)

        marked = await store.request_cancel(recommendation_id)

        assert (marked.state, marked.cancel_requested) == (State.RUNNING, True)
        assert await store.renew(recommendation_id, "one", lease_s=LEASE_S)
        best = StateChanged(state=State.CANCELLED, advice=an_advice())
        await store.finish(recommendation_id, "one", best)
        assert (await store.get(recommendation_id)).advice == an_advice()

    async def test_a_finished_one_is_left_alone(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        await store.finish(recommendation_id, "one", SUCCEEDED)
        before = await store.get(recommendation_id)

        assert await store.request_cancel(recommendation_id) == before
        assert await store.request_cancel(recommendation_id) == before
        assert len(await store.events(recommendation_id)) == 3

    async def test_keeps_a_source_once(self, store: Store) -> None:
        digest = "cd" * 32
        assert not await store.has_source(digest, principal=LOCAL)

        await store.put_source(digest, b"\x00bundle", principal=LOCAL)
        await asyncio.gather(
            *(store.put_source(digest, b"\x00bundle", principal=LOCAL) for _ in range(4))
        )

        assert await store.has_source(digest, principal=LOCAL)
        assert await store.get_source(digest) == b"\x00bundle"

    async def test_keeps_an_empty_source(self, store: Store) -> None:
        await store.put_source("00" * 32, b"", principal=LOCAL)

        assert await store.get_source("00" * 32) == b""
