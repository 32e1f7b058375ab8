"""AMD's GPUs as the child process tells of them, with a torch that a test plays."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from advisor.devices.accelerators import Accelerators
from advisor.devices.inventory import LocalInventory
from advisor.domain.device import DeviceKind
from tests.support.fake_inventory import GIB, make_cpu, make_gpu

_TORCH = """
import os
from pathlib import Path
from types import SimpleNamespace

with Path(os.environ["FAKE_LOOKS"]).open("a") as looks:
    looks.write("look\\n")
print("a driver says hello")

CARDS = {cards}
version = SimpleNamespace(hip={hip})

class cuda:
    is_available = staticmethod(lambda: bool(CARDS))
    device_count = staticmethod(lambda: len(CARDS))
    mem_get_info = staticmethod(lambda index: (CARDS[index]["free"], CARDS[index]["total"]))

    @staticmethod
    def get_device_properties(index):
        card = CARDS[index]
        pci = dict(pci_domain_id=0, pci_bus_id=card["bus"], pci_device_id=0)
        pci = pci if card["bus"] else {{}}  # Older ones do not say.
        return SimpleNamespace(name=card["name"], total_memory=card["total"], **pci)

assert "HIP_VISIBLE_DEVICES" not in os.environ
"""
_TWO_CARDS = [
    {"name": "AMD Instinct MI210", "total": 64 * GIB, "free": 60 * GIB, "bus": 0xC3},
    {"name": "AMD Radeon 780M", "total": 16 * GIB, "free": 9 * GIB, "bus": 0},
]


class Machine:
    """A machine's files, and what the torch on it says."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.torch_dir = directory / "torch"
        self._looks = directory / "looks"
        (self.root / "dev").mkdir(parents=True)
        (self.root / "dev/kfd").touch()
        self.torch_dir.mkdir()

    @property
    def look_count(self) -> int:
        return len(self._looks.read_text().splitlines()) if self._looks.exists() else 0

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.torch_dir), "FAKE_LOOKS": str(self._looks)}

    def install(self, cards: Sequence[object], hip: str | None = "6.4.1") -> None:
        self.install_source(_TORCH.format(cards=repr(cards), hip=repr(hip)))

    def install_source(self, source: str) -> None:
        (self.torch_dir / "torch.py").write_text(source)

    def hold(self, used_bytes: int, *, vram_bytes: int = 64 * GIB) -> None:
        """Let the driver say that so much of the first card is taken."""
        card = self.root / "sys/bus/pci/devices/0000:c3:00.0"
        card.mkdir(parents=True, exist_ok=True)
        (card / "mem_info_vram_total").write_text(f"{vram_bytes}\n")
        (card / "mem_info_vram_used").write_text(f"{used_bytes}\n")

    def look(
        self, torch_version: str = "2.9.0+rocm6.4", *, timeout_s: float = 60.0
    ) -> Accelerators:
        return Accelerators(root=self.root, torch_version=torch_version, timeout_s=timeout_s)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    machine.install(_TWO_CARDS)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return machine


def test_the_cards_are_found_once_and_their_free_memory_each_time(machine: Machine) -> None:
    accelerators = machine.look()
    machine.hold(1 * GIB)
    first, second = accelerators.read()
    assert (first.device_id, first.name, first.kind) == (
        "rocm:0",
        "AMD Instinct MI210",
        DeviceKind.ROCM,
    )
    assert (first.present, first.index, first.total_bytes) == (True, 0, 64 * GIB)
    assert (second.device_id, second.index, second.free_bytes) == ("rocm:1", 1, 9 * GIB)
    machine.hold(20 * GIB)
    assert [first.free_bytes, accelerators.read()[0].free_bytes] == [63 * GIB, 44 * GIB]
    assert machine.look_count == 1


def test_what_was_free_at_first_serves_where_the_driver_does_not_say(machine: Machine) -> None:
    accelerators = machine.look()
    assert accelerators.read()[0].free_bytes == 60 * GIB
    # What a GPU calls its own, when it shares the machine's memory, is not what it can take.
    machine.hold(1 * GIB, vram_bytes=GIB)
    assert accelerators.read()[0].free_bytes == 60 * GIB


def test_the_inventory_asks_where_nvml_knows_of_no_gpu(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    inventory = LocalInventory(
        read_gpus=lambda: (), read_accelerators=machine.look().read, read_cpu=make_cpu
    )
    shown, cpu = inventory.list_devices()
    assert (shown.device_id, shown.index, cpu.device_id) == ("rocm:1", 0, "cpu")
    for selector in ("auto", "cuda:0", "ROCm:1"):
        assert inventory.find(selector).device_id == "rocm:1"


def test_the_inventory_does_not_ask_where_nvml_knows_of_one(machine: Machine) -> None:
    inventory = LocalInventory(
        read_gpus=lambda: (make_gpu(0),), read_accelerators=machine.look().read
    )
    assert inventory.find("auto") == make_gpu(0)
    assert machine.look_count == 0


@pytest.mark.parametrize("torch_version", ["2.13.0+cpu", "2.9.1+cu128"])
def test_a_torch_that_was_not_built_for_rocm_is_not_asked(
    machine: Machine, torch_version: str
) -> None:
    assert machine.look(torch_version).read() == ()
    assert machine.look_count == 0


def test_a_daemon_without_torch_finds_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert Accelerators(root=machine.root).read() == ()
    assert machine.look_count == 0


def test_a_machine_without_the_driver_is_not_asked(machine: Machine) -> None:
    (machine.root / "dev/kfd").unlink()
    assert machine.look().read() == ()
    assert machine.look_count == 0


def test_a_torch_for_cuda_finds_none(machine: Machine) -> None:
    machine.install(_TWO_CARDS, hip=None)
    assert machine.look("2.9.0").read() == ()
    assert machine.look_count == 1


def test_a_torch_that_sees_no_card_finds_none(machine: Machine) -> None:
    machine.install([])
    assert machine.look().read() == ()


@pytest.mark.parametrize(
    "source",
    [
        "import os; print('[not json'); os._exit(0)",
        "import os; os._exit(0)",
        'import os; print(\'[{"kind": "rocm"}]\', flush=True); os._exit(0)',
        "import os; print('[7]', flush=True); os._exit(0)",
        "raise ImportError('libamdhip64.so.6: cannot open shared object file')",
    ],
    ids=["no JSON", "nothing", "fields missing", "no card", "does not start"],
)
def test_a_child_that_makes_no_sense_finds_none_and_is_logged(
    machine: Machine, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine.install_source(source)
    assert machine.look().read() == ()
    assert "cannot list AMD's GPUs" in caplog.text


def test_a_child_that_hangs_is_ended_and_not_asked_again(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    pids = machine.root / "pid"
    machine.install_source(
        "import os, signal\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "signal.pause()\n"
    )
    accelerators = machine.look(timeout_s=3.0)
    assert accelerators.read() == ()
    assert accelerators.read() == ()
    (pid,) = pids.read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert caplog.text.count("cannot list AMD's GPUs") == 1


@pytest.mark.skipif(torch.version.hip is not None, reason="this torch is built for ROCm")
def test_the_torch_of_this_environment_answers_that_it_finds_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    assert machine.look().read() == ()
    assert caplog.text == ""
