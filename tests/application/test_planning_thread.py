"""Planning holds up nobody, and can be ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from advisor.application.planning_thread import PlanningThread, PlanningTooLong


class _Endless:
    """Work of pure Python that ends only from outside."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.has_ended = threading.Event()

    def work(self) -> None:
        try:
            while True:
                self.has_begun.set()
        finally:
            self.has_ended.set()


async def test_the_answer_comes_back() -> None:
    assert await PlanningThread().call(sum, [1, 2, 3]) == 6


async def test_what_is_raised_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        await PlanningThread().call(lambda: 1 // 0)


async def test_what_takes_too_long_is_ended() -> None:
    endless = _Endless()
    with pytest.raises(PlanningTooLong, match=r"more than 0\.01 s"):
        await PlanningThread(limit_s=0.01).call(endless.work)
    assert await asyncio.to_thread(endless.has_ended.wait, 60)


async def test_cancelling_ends_it() -> None:
    endless = _Endless()
    calling = asyncio.create_task(PlanningThread().call(endless.work))
    assert await asyncio.to_thread(endless.has_begun.wait, 60)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(endless.has_ended.wait, 60)
