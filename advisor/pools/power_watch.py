"""What a device draws while something is measured on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bsadvise.model.measurements import Outcome, StepTimes

from advisor.application.supervision import Supervisor
from advisor.estimators.power import mean_power_w
from advisor.ports.clock import Clock, wait_for
from advisor.ports.energy_meter import ReadEnergy

_PERIOD_S = 0.02
"""As often as the quickest of NVIDIA's counters move; a read takes well under a millisecond."""


class PowerWatch:
    """Reads a device's energy again and again while a command is carried out.

    Reading before and after would not do: most of a short command is the start of its worker,
    and what counts is the power of the steps at its end.
    """

    def __init__(
        self, read_energy: ReadEnergy | None, clock: Clock, supervisor: Supervisor
    ) -> None:
        """Create a watch.

        Args:
            read_energy: Reads the device's energy; None where that cannot be told.
            clock: The time.
            supervisor: Is told of reads that fail.
        """
        self._read_energy = read_energy
        self._clock = clock
        self._supervisor = supervisor
        self._reads: list[tuple[float, float]] = []

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while this is entered."""
        self._reads.clear()
        if self._read_energy is None:
            yield
            return
        is_over = asyncio.Event()
        reading = asyncio.create_task(self._sample(is_over, self._read_energy))
        try:
            yield
        finally:
            is_over.set()
            await reading

    def mean_power_w(self, outcome: Outcome) -> float | None:
        """Return the watts drawn while it was watched; None where that cannot be told.

        Args:
            outcome: What was measured. Of timed steps it is the watts of these alone: a worker
                answers as soon as they are over.
        """
        if not self._reads:
            return None
        begin_s, end_s = self._reads[0][0], self._reads[-1][0]
        if isinstance(outcome, StepTimes):
            begin_s = end_s - sum(outcome.step_times_s)
        return mean_power_w(self._reads, begin_s=begin_s, end_s=end_s)

    async def _sample(self, is_over: asyncio.Event, read_energy: ReadEnergy) -> None:
        try:
            await self._read_until(is_over, read_energy)
        except Exception as error:  # noqa: BLE001 - what is measured meanwhile stands without it
            self._reads.clear()
            self._supervisor.note("device sampling", error)

    async def _read_until(self, is_over: asyncio.Event, read_energy: ReadEnergy) -> None:
        while not is_over.is_set():
            await asyncio.to_thread(self._read, read_energy)
            await wait_for(is_over, self._clock, limit_s=_PERIOD_S)
        await asyncio.to_thread(self._read, read_energy)

    def _read(self, read_energy: ReadEnergy) -> None:
        energy_j = read_energy()
        if energy_j is not None:
            self._reads.append((self._clock.monotonic_s(), energy_j))
