"""An energy meter whose devices draw what a test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bsadvise.model.device import Device

from advisor.ports.clock import Clock
from advisor.ports.energy_meter import EnergyMeter, ReadEnergy
from tests.support.fake_clock import FakeClock


class FakeEnergyMeter(EnergyMeter):
    """Every device that is here draws the same power; None: none of them says what.

    Attributes:
        power_w: What they draw from now on.
        period_s: Their counters move so often; 0 for all the time.
        open_count: Counters open now.
    """

    def __init__(
        self, power_w: float | None = None, clock: Clock | None = None, *, period_s: float = 0.0
    ) -> None:
        self.power_w = power_w
        self.period_s = period_s
        self.open_count = 0
        self._clock = clock or FakeClock()
        self._last_s = 0.0
        self._energy_j = 0.0

    @contextmanager
    def open(self, device: Device) -> Iterator[ReadEnergy | None]:
        self.open_count += 1
        try:
            yield self._read if device.present and self.power_w is not None else None
        finally:
            self.open_count -= 1

    def _read(self) -> float | None:
        if self.power_w is None:
            return None
        now_s = self._clock.monotonic_s()
        if self.period_s:
            now_s -= now_s % self.period_s
        self._energy_j += self.power_w * (now_s - self._last_s)
        self._last_s = now_s
        return self._energy_j
