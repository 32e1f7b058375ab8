"""Turns go round, whatever one principal asks for."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.application.turns import Turns, Waiter, next_turn
from tests.support.bench import until

NAMES = st.sampled_from(["alice", "bob", "mallory"])
WAITERS = st.lists(st.tuples(NAMES, st.floats(0, 1e6)), max_size=20).map(
    lambda found: [Waiter(principal=p, used_s=s, number=n) for n, (p, s) in enumerate(found)]
)


@given(WAITERS, st.dictionaries(NAMES, st.integers(1, 3)), st.integers(1, 6))
def test_the_next_turn_is_of_one_who_has_the_fewest(
    waiting: list[Waiter], running: dict[str, int], place_count: int
) -> None:
    most = max(1, place_count - 1)
    chosen = next_turn(waiting, running, place_count)
    may_begin = [w for w in waiting if running.get(w.principal, 0) < most]
    if sum(running.values()) >= place_count or not may_begin:
        assert chosen is None
        return
    assert chosen in may_begin
    for other in may_begin:
        theirs = (running.get(other.principal, 0), other.used_s, other.number)
        assert (running.get(chosen.principal, 0), chosen.used_s, chosen.number) <= theirs


async def test_one_principal_never_has_every_place() -> None:
    turns, had, go_on = Turns(3), Counter[str](), asyncio.Event()

    async def take(principal: str) -> None:
        async with turns.turn(principal, 0.0):
            had[principal] += 1
            await go_on.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(take("mallory"))
        await until(lambda: turns.running_count == 2 and turns.waiting_count == 3)
        tasks.create_task(take("alice"))
        await until(lambda: had["alice"])
        assert had["mallory"] == 2
        go_on.set()
    assert had == {"mallory": 5, "alice": 1}
    assert (turns.running_count, turns.waiting_count) == (0, 0)


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    turns = Turns(1)

    async def take() -> None:
        async with turns.turn("alice", 0.0):
            pytest.fail("it was not this one's turn")

    async with turns.turn("bob", 0.0):
        waiter = asyncio.create_task(take())
        await until(lambda: turns.waiting_count)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert turns.waiting_count == 0
    assert turns.running_count == 0
    async with turns.turn("alice", 0.0):
        assert turns.running_count == 1


async def test_a_turn_that_is_given_to_one_who_has_left_goes_to_the_next() -> None:
    turns, has_begun = Turns(1), asyncio.Event()

    async def take() -> None:
        async with turns.turn("alice", 0.0):
            has_begun.set()

    async with turns.turn("bob", 0.0):
        first, second = asyncio.create_task(take()), asyncio.create_task(take())
        await until(lambda: turns.waiting_count == 2)
        first.cancel()  # in the very moment at which its turn comes
    await second
    assert has_begun.is_set()
    assert turns.running_count == 0
