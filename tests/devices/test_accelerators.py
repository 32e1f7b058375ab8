"""AMD's GPUs as the child process tells of them, with a torch that a test plays."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest
import torch
from bsadvise.model.device import DeviceKind

from advisor.devices.accelerators import Accelerators
from advisor.devices.inventory import LocalInventory
from tests.support.fake_inventory import GIB, make_cpu, make_gpu
from tests.support.rocm_machine import TWO_CARDS, RocmMachine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RocmMachine:
    machine = RocmMachine(tmp_path)
    machine.install(TWO_CARDS)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return machine


def test_the_cards_are_found_once_and_their_free_memory_each_time(machine: RocmMachine) -> None:
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


def test_a_torch_of_the_working_directory_is_not_imported(
    machine: RocmMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/torch.py").write_text("open('owned', 'w')\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path / "repo")
    assert len(machine.look().read()) == 2
    assert not Path("owned").exists()


def test_what_was_free_at_first_serves_where_the_driver_does_not_say(machine: RocmMachine) -> None:
    accelerators = machine.look()
    assert accelerators.read()[0].free_bytes == 60 * GIB
    # What a GPU calls its own, when it shares the machine's memory, is not what it can take.
    machine.hold(1 * GIB, vram_bytes=GIB)
    assert accelerators.read()[0].free_bytes == 60 * GIB


def test_the_inventory_asks_where_nvml_knows_of_no_gpu(
    machine: RocmMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    inventory = LocalInventory(
        read_gpus=lambda: (), read_accelerators=machine.look().read, read_cpu=make_cpu
    )
    shown, cpu = inventory.list_devices()
    assert (shown.device_id, shown.index, cpu.device_id) == ("rocm:1", 0, "cpu")
    for selector in ("auto", "cuda:0", "ROCm:1"):
        assert inventory.find(selector).device_id == "rocm:1"


def test_the_inventory_does_not_ask_where_nvml_knows_of_one(machine: RocmMachine) -> None:
    inventory = LocalInventory(
        read_gpus=lambda: (make_gpu(0),), read_accelerators=machine.look().read
    )
    assert inventory.find("auto") == make_gpu(0)
    assert machine.look_count == 0


@pytest.mark.parametrize("torch_version", ["2.13.0+cpu", "2.9.1+cu128"])
def test_a_torch_that_was_not_built_for_rocm_is_not_asked(
    machine: RocmMachine, torch_version: str
) -> None:
    assert machine.look(torch_version).read() == ()
    assert machine.look_count == 0


def test_a_daemon_without_torch_finds_none(
    machine: RocmMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert Accelerators(root=machine.root).read() == ()
    assert machine.look_count == 0


def test_a_machine_without_the_driver_is_not_asked(machine: RocmMachine) -> None:
    (machine.root / "dev/kfd").unlink()
    assert machine.look().read() == ()
    assert machine.look_count == 0


def test_a_torch_for_cuda_finds_none(machine: RocmMachine) -> None:
    machine.install(TWO_CARDS, hip=None)
    assert machine.look("2.9.0").read() == ()
    assert machine.look_count == 1


def test_a_torch_that_sees_no_card_finds_none(machine: RocmMachine) -> None:
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
    machine: RocmMachine, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine.install_source(source)
    assert machine.look().read() == ()
    assert "cannot list AMD's GPUs" in caplog.text


def test_a_child_that_hangs_is_ended_and_not_asked_again(
    machine: RocmMachine, caplog: pytest.LogCaptureFixture
) -> None:
    pids = machine.root / "pid"
    machine.install_source(
        "import os, signal\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "signal.pause()\n"
    )
    for timeout_s in (0.5, 2.0, 8.0, 32.0):  # a slow machine comes late to what hangs
        caplog.clear()
        accelerators = machine.look(timeout_s=timeout_s)
        assert accelerators.read() == ()
        assert accelerators.read() == ()
        assert caplog.text.count("cannot list AMD's GPUs") == 1
        if pids.exists():
            break
    (pid,) = pids.read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.skipif(torch.version.hip is not None, reason="this torch is built for ROCm")
def test_the_torch_of_this_environment_answers_that_it_finds_none(
    machine: RocmMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    assert machine.look().read() == ()
    assert caplog.text == ""
