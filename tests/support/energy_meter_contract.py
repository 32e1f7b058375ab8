"""What every energy meter must do, whatever it reads."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from bsadvise.model.device import Device

from advisor.ports.energy_meter import EnergyMeter

_POWER_W = 100.0


class EnergyMeterContract(ABC):
    """Inherit from this and make a machine with one device; the tests come along."""

    device: Device

    @abstractmethod
    def make(self, power_w: float) -> EnergyMeter:
        """Return a meter of a machine whose device draws so many watts."""

    @abstractmethod
    def wait(self, duration_s: float) -> None:
        """Let so many seconds pass on the machine."""

    @abstractmethod
    def silence(self) -> None:
        """Let the device not say any more what it takes."""

    def test_what_is_read_is_what_was_drawn(self) -> None:
        with self.make(_POWER_W).open(self.device) as read:
            assert read is not None
            before_j = read()
            self.wait(2.5)
            after_j = read()
        assert before_j is not None
        assert after_j is not None
        assert after_j - before_j == pytest.approx(2.5 * _POWER_W)

    def test_it_never_falls(self) -> None:
        with self.make(_POWER_W).open(self.device) as read:
            assert read is not None
            reads_j = []
            for _ in range(50):
                reads_j.append(read() or 0.0)
                self.wait(7.0)
        assert all(later > earlier for earlier, later in pairwise(reads_j))
        assert reads_j[-1] - reads_j[0] == pytest.approx(49 * 7.0 * _POWER_W)

    def test_each_who_reads_sees_all(self) -> None:
        meter = self.make(_POWER_W)
        with meter.open(self.device) as one, meter.open(self.device) as other:
            assert one is not None
            assert other is not None
            before_j = [one() or 0.0, other() or 0.0]
            self.wait(1.0)
            after_j = [one() or 0.0, other() or 0.0]
        taken_j = [after - before for before, after in zip(before_j, after_j, strict=True)]
        assert taken_j == pytest.approx([_POWER_W, _POWER_W])

    def test_threads_may_open_it_at_once(self) -> None:
        meter = self.make(_POWER_W)

        def look(_: int) -> bool:
            with meter.open(self.device) as read:
                return read is not None and read() is not None

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(look, range(64)))

    def test_a_device_that_is_not_here_says_nothing(self) -> None:
        elsewhere = dataclasses.replace(self.device, present=False)
        with self.make(_POWER_W).open(elsewhere) as read:
            assert read is None

    def test_a_device_that_falls_silent_is_no_error(self) -> None:
        meter = self.make(_POWER_W)
        with meter.open(self.device) as read:
            assert read is not None
            self.silence()
            assert read() is None
        with meter.open(self.device) as read:
            assert read is None
