"""A machine with AMD's GPUs: files that its driver would make, and a torch that tells of cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from advisor.devices.accelerators import Accelerators
from tests.support.fake_inventory import GIB

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
TWO_CARDS = [
    {"name": "AMD Instinct MI210", "total": 64 * GIB, "free": 60 * GIB, "bus": 0xC3},
    {"name": "AMD Radeon 780M", "total": 16 * GIB, "free": 9 * GIB, "bus": 0},
]


class RocmMachine:
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

    def draw(self, power_w: float | None, *, name: str = "power1_average") -> None:
        """Let the driver say that the first card draws so much; None: nothing any more."""
        sensors = self.root / "sys/bus/pci/devices/0000:c3:00.0/hwmon/hwmon3"
        sensors.mkdir(parents=True, exist_ok=True)
        if power_w is None:
            (sensors / name).unlink()
        else:
            (sensors / name).write_text(f"{power_w * 1e6:.0f}\n")
