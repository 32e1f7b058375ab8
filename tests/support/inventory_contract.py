"""What every inventory must do, whatever the machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import pytest
from bsadvise.model.device import Device, DeviceKind

from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory


class InventoryContract(ABC):
    """Inherit from this and make an inventory with these GPUs; the tests come along."""

    @abstractmethod
    def make(self, *gpus: Device) -> DeviceInventory:
        """Return an inventory of a machine with ``gpus``, numbered from 0."""

    @pytest.fixture
    def gpus(self) -> tuple[Device, ...]:
        return ()

    def test_the_cpu_comes_last(self, gpus: tuple[Device, ...]) -> None:
        *listed, cpu = self.make(*gpus).list_devices()
        assert (cpu.kind, cpu.device_id, cpu.index) == (DeviceKind.CPU, "cpu", None)
        assert cpu.free_bytes is not None
        assert tuple(listed) == gpus

    def test_a_gpu_is_found_by_its_number_and_by_its_uuid(self, gpus: tuple[Device, ...]) -> None:
        inventory = self.make(*gpus)
        for number, gpu in enumerate(gpus):
            assert inventory.find(f"cuda:{number}") == gpu
            assert inventory.find(gpu.device_id) == gpu

    def test_auto_is_the_gpu_with_the_most_free_memory(self, gpus: tuple[Device, ...]) -> None:
        found = self.make(*gpus).find("auto")
        if gpus:
            assert found.free_bytes == max(gpu.free_bytes or 0 for gpu in gpus)
        else:
            assert found.kind is DeviceKind.CPU

    def test_the_cpu_is_found_by_name(self, gpus: tuple[Device, ...]) -> None:
        assert self.make(*gpus).find("cpu").kind is DeviceKind.CPU

    def test_a_card_of_the_catalogue_is_not_present(self, gpus: tuple[Device, ...]) -> None:
        card = self.make(*gpus).find("a100-80gb")
        assert (card.kind, card.present, card.free_bytes) == (DeviceKind.CUDA, False, None)

    @pytest.mark.parametrize("selector", ["cuda:99", "cuda:", "GPU-no-such", "toaster", ""])
    def test_what_is_not_there_is_answered_with_what_is(
        self, gpus: tuple[Device, ...], selector: str
    ) -> None:
        with pytest.raises(NotFound) as caught:
            self.make(*gpus).find(selector)
        for name in ("cpu", "a100-80gb", *(gpu.device_id for gpu in gpus)):
            assert name in str(caught.value)

    def test_threads_may_ask_at_once(self, gpus: tuple[Device, ...]) -> None:
        inventory = self.make(*gpus)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: inventory.list_devices()[:-1], range(64)))
        assert answers == [gpus] * 64
