"""Energy of this machine's processors, from the counters in their packages (RAPL).

Linux names them after Intel on AMD processors as well. The zone of a package has subzones, whose
energy is included in the package's; another top-level zone may be the whole board's. On most
systems only root may read them, since energy is a side channel to computations (CVE-2020-8694).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_ZONES = "sys/class/powercap"


def open_packages(root: Path = Path("/")) -> Callable[[], float | None] | None:
    """Return what reads the joules that all packages have taken; None where we may not.

    Args:
        root: Where the file system begins; another one in tests.
    """
    try:
        packages = [
            _Package(zone)
            for zone in (root / _ZONES).glob("intel-rapl:*")
            if (zone / "name").read_text(encoding="ascii").startswith("package")
        ]
    except (OSError, ValueError):
        return None

    def read_energy_j() -> float | None:
        try:
            return sum(package.read_uj() for package in packages) / 1e6
        except (OSError, ValueError):
            return None

    return read_energy_j if packages else None


class _Package:
    """One package's counter, without its falls: it begins anew beyond its range."""

    def __init__(self, zone: Path) -> None:
        self._counter = zone / "energy_uj"
        self._range_uj = _read_int(zone / "max_energy_range_uj")
        self._last_uj = _read_int(self._counter)
        self._taken_uj = 0

    def read_uj(self) -> int:
        now_uj = _read_int(self._counter)
        moved_uj = now_uj - self._last_uj
        self._taken_uj += moved_uj if moved_uj >= 0 else moved_uj + self._range_uj
        self._last_uj = now_uj
        return self._taken_uj


def _read_int(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
