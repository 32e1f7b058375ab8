"""The energy of this machine's devices: NVML's counter and its watts, AMD's driver, RAPL."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest
from bsadvise.model.device import Device, DeviceKind

from advisor.devices.accelerators import Accelerators
from advisor.devices.energy import LocalEnergyMeter
from advisor.devices.nvml import open_gpu
from advisor.devices.rapl import open_packages
from advisor.ports.energy_meter import EnergyMeter
from tests.support.energy_meter_contract import EnergyMeterContract
from tests.support.fake_clock import FakeClock
from tests.support.fake_energy_meter import FakeEnergyMeter
from tests.support.fake_inventory import make_cpu, make_gpu
from tests.support.rocm_machine import TWO_CARDS, RocmMachine

_RANGE_UJ = 1_000_000_000


class TestFakeEnergyMeter(EnergyMeterContract):
    device = make_cpu()

    def make(self, power_w: float) -> EnergyMeter:
        self._clock = FakeClock()
        self._meter = FakeEnergyMeter(power_w, self._clock)
        return self._meter

    def wait(self, duration_s: float) -> None:
        self._clock.advance(duration_s)

    def silence(self) -> None:
        self._meter.power_w = None


class Packages:
    """The files of two packages, their parts and the board; what wraps has wrapped."""

    def __init__(self, root: Path) -> None:
        self._zones = root / "sys/class/powercap"
        for zone, name in {
            "intel-rapl": "intel-rapl",
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:1": "package-1",
            "intel-rapl:1:0": "dram",
            "intel-rapl:2": "psys",
            "intel-rapl-mmio:0": "package-0",
        }.items():
            (self._zones / zone).mkdir(parents=True)
            (self._zones / zone / "name").write_text(f"{name}\n")
            self.write(zone, "max_energy_range_uj", _RANGE_UJ)
            self.write(zone, "energy_uj", _RANGE_UJ - 1)

    def write(self, zone: str, name: str, figure: int) -> None:
        (self._zones / zone / name).write_text(f"{figure}\n")

    def take(self, energy_j: float) -> None:
        """Let each package take half, and everything else a lot."""
        for zone in self._zones.glob("*"):
            now_uj = int((zone / "energy_uj").read_text())
            share = 0.5 if zone.name in ("intel-rapl:0", "intel-rapl:1") else 0.9
            self.write(zone.name, "energy_uj", (now_uj + int(energy_j * share * 1e6)) % _RANGE_UJ)

    def lose(self, zone: str) -> None:
        (self._zones / zone / "energy_uj").unlink()


class TestProcessors(EnergyMeterContract):
    device = make_cpu()

    @pytest.fixture(autouse=True)
    def _machine(self, tmp_path: Path) -> None:
        self._root = tmp_path
        self._packages = Packages(tmp_path)

    def make(self, power_w: float) -> EnergyMeter:
        self._power_w = power_w
        return LocalEnergyMeter(Accelerators(root=self._root), root=self._root)

    def wait(self, duration_s: float) -> None:
        self._packages.take(self._power_w * duration_s)

    def silence(self) -> None:
        self._packages.lose("intel-rapl:1")


@pytest.fixture(scope="module")
def rocm(tmp_path_factory: pytest.TempPathFactory) -> tuple[RocmMachine, Accelerators]:
    machine = RocmMachine(tmp_path_factory.mktemp("rocm"))
    machine.install(TWO_CARDS)
    accelerators = machine.look()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.environment.items():
            patch.setenv(name, value)
        assert len(accelerators.read()) == 2
    return machine, accelerators


def _amd(number: int) -> Device:
    return dataclasses.replace(make_gpu(), kind=DeviceKind.ROCM, device_id=f"rocm:{number}")


class TestAmd(EnergyMeterContract):
    device = _amd(0)

    @pytest.fixture(autouse=True)
    def _machine(self, rocm: tuple[RocmMachine, Accelerators]) -> None:
        self._rocm, self._accelerators = rocm
        self._clock = FakeClock()

    def make(self, power_w: float) -> EnergyMeter:
        self._rocm.draw(power_w)
        return LocalEnergyMeter(self._accelerators, monotonic_s=self._clock.monotonic_s)

    def wait(self, duration_s: float) -> None:
        self._clock.advance(duration_s)

    def silence(self) -> None:
        self._rocm.draw(None)


@pytest.fixture
def nvml(library_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    """Put the library that plays NVML into pynvml's hands, and check that none was left open."""
    library = ctypes.CDLL(str(library_dir / "libnvidia-ml.so.1"))
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setenv("FAKE_NVML_SCENARIO", "falling")
    yield library
    assert library.fake_nvml_users() == 0


class TestVolta(EnergyMeterContract):
    device = make_gpu()
    scenario = "falling"

    @pytest.fixture(autouse=True)
    def _machine(self, nvml: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._library = nvml
        self._fallen = tmp_path / "fallen"
        self._clock = FakeClock()
        self._patch = monkeypatch
        monkeypatch.setenv("FAKE_NVML_FALLEN", str(self._fallen))
        monkeypatch.setenv("FAKE_NVML_SCENARIO", self.scenario)

    def make(self, power_w: float) -> EnergyMeter:
        self._power_w = power_w
        self._library.fake_nvml_draw(int(power_w * 1000))
        return LocalEnergyMeter(Accelerators(), monotonic_s=self._clock.monotonic_s)

    def wait(self, duration_s: float) -> None:
        self._clock.advance(duration_s)
        self._library.fake_nvml_take(ctypes.c_ulonglong(int(self._power_w * duration_s * 1000)))

    def silence(self) -> None:
        self._patch.setenv("FAKE_NVML_SCENARIO", "falling")
        self._fallen.touch()


class TestPascal(TestVolta):
    """Tells its watts alone."""

    scenario = "pascal"

    def test_watts_that_change_are_averaged(self) -> None:
        with self.make(100.0).open(self.device) as read:
            assert read is not None
            self.wait(1.0)
            self._library.fake_nvml_draw(300_000)
            assert read() == pytest.approx(200.0)
            self.wait(1.0)
            assert read() == pytest.approx(500.0)


def test_a_part_of_a_gpu_says_nothing(nvml: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NVML_SCENARIO", "mig")
    part = dataclasses.replace(make_gpu(), device_id="MIG-00000000-0000-0000-0000-000000000001")
    with LocalEnergyMeter(Accelerators()).open(part) as read:
        assert read is None


def test_a_gpu_that_is_gone_and_a_driver_that_is_not_there(
    nvml: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gpu(make_gpu(7).device_id) as gpu:
        assert gpu is None
    monkeypatch.setenv("FAKE_NVML_SCENARIO", "no_driver")
    with open_gpu(make_gpu().device_id) as gpu:
        assert gpu is None


def test_the_other_file_of_amds_driver_serves_too(
    rocm: tuple[RocmMachine, Accelerators],
) -> None:
    machine, accelerators = rocm
    assert accelerators.read_power_w("rocm:0") is None
    machine.draw(55.5, name="power1_input")
    assert accelerators.read_power_w("rocm:0") == 55.5
    assert accelerators.read_power_w("rocm:1") is None  # its torch names no address
    assert accelerators.read_power_w("rocm:7") is None
    machine.draw(None, name="power1_input")


def _no_zones(root: Path) -> None:
    pass


def _no_packages(root: Path) -> None:
    zone = root / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("psys\n")


def _not_ours_to_read(root: Path) -> None:
    Packages(root).lose("intel-rapl:0")
    # A folder can no more be read than a file of root's, and root can read that.
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").mkdir()


def _no_figure(root: Path) -> None:
    Packages(root)
    (root / "sys/class/powercap/intel-rapl:1/max_energy_range_uj").write_text("a lot\n")


@pytest.mark.parametrize("furnish", [_no_zones, _no_packages, _not_ours_to_read, _no_figure])
def test_a_machine_whose_processors_cannot_be_read(
    tmp_path: Path, furnish: Callable[[Path], None]
) -> None:
    furnish(tmp_path)
    assert open_packages(tmp_path) is None
