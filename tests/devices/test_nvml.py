"""GPUs as the driver's library tells of them, on machines that a small C library plays.

Each machine is looked at in a process of its own: a process loads the library once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from bsadvise.model.device import Device, DeviceProcess

from advisor.serialization import from_dict
from tests.support.fake_inventory import GIB

_PROGRAM = """
import ctypes, dataclasses, json, logging, sys
from advisor.devices.nvml import read_gpus
from bsadvise.wire.plain import to_plain

logging.basicConfig(format="%(message)s")
gpus = read_gpus()
again = read_gpus()
try:
    users = ctypes.CDLL("libnvidia-ml.so.1").fake_nvml_users()
except OSError:
    users = 0
json.dump({"gpus": [to_plain(g) for g in gpus], "same": gpus == again, "users": users}, sys.stdout)
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a process saw of its machine."""

    gpus: tuple[Device, ...]
    log: str


def look(scenario: str, library_dir: Path) -> Sight:
    environment = {
        **os.environ,
        "FAKE_NVML_SCENARIO": scenario,
        "FAKE_NVML_PID": str(os.getpid()),
        "LD_LIBRARY_PATH": str(library_dir),
    }
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seen: dict[str, Any] = json.loads(finished.stdout)
    assert seen["same"]
    assert seen["users"] == 0, "each init of the library has its shutdown"
    return Sight(gpus=tuple(from_dict(g, Device) for g in seen["gpus"]), log=finished.stderr)


def _uuid(number: int, prefix: str = "GPU") -> str:
    return f"{prefix}-00000000-0000-0000-0000-{number:012d}"


def test_a_library_that_cannot_be_loaded_is_no_gpu_and_no_news(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()
    assert look("none", tmp_path) == Sight(gpus=(), log="")


def test_a_driver_that_is_not_loaded_is_no_gpu_and_no_news(library_dir: Path) -> None:
    assert look("no_driver", library_dir) == Sight(gpus=(), log="")


def test_a_driver_that_does_not_match_its_library_is_told_of(library_dir: Path) -> None:
    sight = look("mismatch", library_dir)
    assert sight.gpus == ()
    assert "cannot list the GPUs" in sight.log


def test_eight_cards(library_dir: Path) -> None:
    gpus = look("eight", library_dir).gpus
    assert [gpu.device_id for gpu in gpus] == [_uuid(n) for n in range(8)]
    assert [gpu.index for gpu in gpus] == list(range(8))
    # What the driver reserves is apart from what processes use.
    assert [gpu.free_bytes for gpu in gpus] == [79 * GIB + GIB // 2 - n * GIB for n in range(8)]
    assert {gpu.reserved_bytes for gpu in gpus} == {GIB // 2}
    assert {(gpu.name, gpu.total_bytes) for gpu in gpus} == {("Fake GPU", 80 * GIB)}
    assert {gpu.driver_version for gpu in gpus} == {"580.12.34"}
    assert {gpu.processes for gpu in gpus} == {()}


def test_parts_of_a_partitioned_gpu_stand_in_its_place(library_dir: Path) -> None:
    gpus = look("mig", library_dir).gpus
    assert [(gpu.device_id, gpu.index, gpu.total_bytes) for gpu in gpus] == [
        (_uuid(1, "MIG"), 0, 10 * GIB),
        (_uuid(4, "MIG"), 0, 10 * GIB),
        (_uuid(1), 1, 80 * GIB),
    ]
    assert gpus[0].name == "Fake GPU MIG 1g.10gb"


def test_a_busy_card_names_its_processes(library_dir: Path) -> None:
    (gpu,) = look("busy", library_dir).gpus
    assert gpu.free_bytes == 49 * GIB + GIB // 2
    own = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    assert gpu.processes == (
        DeviceProcess(pid=os.getpid(), process_name=own, used_bytes=20 * GIB),
        DeviceProcess(pid=4194305, used_bytes=10 * GIB),
        DeviceProcess(pid=4194306),
    )


def test_an_old_driver_counts_its_reserve_as_used(library_dir: Path) -> None:
    (gpu,) = look("old", library_dir).gpus
    assert (gpu.total_bytes, gpu.reserved_bytes) == (80 * GIB, None)
    assert gpu.free_bytes == 79 * GIB + GIB // 2


def test_a_gpu_that_shares_the_machines_memory_is_listed(library_dir: Path) -> None:
    (gpu,) = look("unified", library_dir).gpus
    assert gpu.device_id == _uuid(0)
    assert gpu.total_bytes == psutil.virtual_memory().total
    assert (gpu.free_bytes, gpu.reserved_bytes) == (None, None)


def test_a_card_lost_while_it_is_looked_at_is_left_out(library_dir: Path) -> None:
    sight = look("lost", library_dir)
    assert [(gpu.index, gpu.device_id) for gpu in sight.gpus] == [(0, _uuid(0)), (2, _uuid(2))]
    assert "GPU 1 does not answer" in sight.log


def test_power_and_utilisation_are_told_where_the_driver_tells(library_dir: Path) -> None:
    (gpu,) = look("busy", library_dir).gpus
    assert (gpu.power_w, gpu.power_limit_w, gpu.utilisation) == (123.456, 700.0, 0.87)
    (old,) = look("old", library_dir).gpus
    assert (old.power_w, old.power_limit_w, old.utilisation) == (None, None, None)
    parts = look("mig", library_dir).gpus
    assert [gpu.power_w for gpu in parts] == [None, None, 123.456]


def test_a_card_whose_figures_are_unknown_is_listed_without_them(library_dir: Path) -> None:
    sight = look("vague", library_dir)
    (gpu,) = sight.gpus
    assert (gpu.total_bytes, gpu.power_limit_w) == (80 * GIB, 700.0)
    assert (gpu.power_w, gpu.utilisation, gpu.processes) == (None, None, ())
    assert sight.log == ""


_FALLING = """
import asyncio, os, sys
from pathlib import Path
from advisor.devices.inventory import LocalInventory
from advisor.pools.gpu_tenants import GpuTenants
from advisor.ports.worker_pool import DeviceLost

async def main():
    inventory = LocalInventory()
    tenants = GpuTenants(inventory, [inventory.find("cuda:0")])
    assert await tenants.held_bytes() == {}
    Path(os.environ["FAKE_NVML_FALLEN"]).touch()
    try:
        await tenants.held_bytes()
    except DeviceLost as lost:
        print(lost)

asyncio.run(main())
"""


def test_a_card_lost_in_mid_measurement_is_named(library_dir: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "FAKE_NVML_SCENARIO": "falling",
        "FAKE_NVML_FALLEN": str(tmp_path / "fallen"),
        "LD_LIBRARY_PATH": str(library_dir),
    }
    command = [sys.executable, "-W", "error", "-c", _FALLING]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"Fake GPU ({_uuid(0)}) was lost" in finished.stdout


def test_of_the_processes_on_a_card_ours_are_known(library_dir: Path) -> None:
    (gpu,) = look("busy", library_dir).gpus
    assert not any(process.is_own for process in gpu.processes)
    program = "import os; os.environ['FAKE_NVML_PID'] = str(os.getpid())" + _PROGRAM
    environment = {**os.environ, "FAKE_NVML_SCENARIO": "busy", "LD_LIBRARY_PATH": str(library_dir)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (seen,) = json.loads(finished.stdout)["gpus"]
    assert [process["is_own"] for process in seen["processes"]] == [True, False, False]
