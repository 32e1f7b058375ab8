"""The power of a device while a command runs; of timed steps it is that of the steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bsadvise.model.measurements import StepRun, StepTimes

from advisor.application.supervision import Supervisor
from advisor.pools.power_watch import PowerWatch
from tests.support.fake_clock import FakeClock
from tests.support.fake_energy_meter import FakeEnergyMeter
from tests.support.fake_inventory import make_cpu

PERIOD_S = 0.02
RUN = StepRun(peak_bytes=1)
TIMES = StepTimes(step_times_s=(0.1,) * 5, optimizer_times_s=(0.01,) * 5)


async def pass_time(clock: FakeClock, duration_s: float) -> None:
    """Let time pass as a watch sees it: from one read to the next."""
    for _ in range(round(duration_s / PERIOD_S)):
        await clock.wait_for_light_sleeper(PERIOD_S)
        clock.advance(PERIOD_S)


@asynccontextmanager
async def watching(meter: FakeEnergyMeter, clock: FakeClock) -> AsyncIterator[PowerWatch]:
    with meter.open(make_cpu()) as read_energy:
        yield PowerWatch(read_energy, clock, Supervisor())


@pytest.mark.parametrize("period_s", [0.0, 0.1])
async def test_of_timed_steps_it_is_their_power(period_s: float) -> None:
    clock = FakeClock()
    meter = FakeEnergyMeter(50.0, clock, period_s=period_s)
    async with watching(meter, clock) as power:
        async with power.watching():
            await pass_time(clock, 3.0)  # the worker starts
            meter.power_w = 250.0
            await pass_time(clock, 0.5)
        assert power.mean_power_w(TIMES) == pytest.approx(250.0, rel=0.1)
        assert power.mean_power_w(RUN) == pytest.approx(3 / 3.5 * 50 + 0.5 / 3.5 * 250, rel=0.1)


async def test_each_watch_begins_anew() -> None:
    clock = FakeClock()
    meter = FakeEnergyMeter(50.0, clock)
    async with watching(meter, clock) as power:
        for power_w in (50.0, 100.0):
            meter.power_w = power_w
            async with power.watching():
                await pass_time(clock, 1.0)
            assert power.mean_power_w(RUN) == pytest.approx(power_w)


async def test_a_device_that_does_not_say_is_none_and_one_that_falls_silent_too() -> None:
    clock = FakeClock()
    meter = FakeEnergyMeter(None, clock)
    async with watching(meter, clock) as power:
        async with power.watching():
            pass
        assert power.mean_power_w(RUN) is None
    meter.power_w = 10.0
    async with watching(meter, clock) as power:
        async with power.watching():
            meter.power_w = None
            await pass_time(clock, 1.0)
        assert power.mean_power_w(RUN) is None
        assert power.mean_power_w(TIMES) is None


async def test_what_fails_meanwhile_ends_the_watch() -> None:
    clock = FakeClock()
    async with watching(FakeEnergyMeter(10.0, clock), clock) as power:
        with pytest.raises(RuntimeError, match="a reason"):
            async with power.watching():
                raise RuntimeError("a reason")
    assert len(asyncio.all_tasks()) == 1
