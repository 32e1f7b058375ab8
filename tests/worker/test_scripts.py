"""A worker observes a script, and says what it found where it can do no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from bsadvise.model.commands import InspectTask, ObserveScript
from bsadvise.model.measurements import FaultCode
from bsadvise.model.observation import Observation, Place, PlaceKind, Quantity
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import to_message

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.execution import Worker
from tests.support.worker_bench import CPU, Bench, fault_of, outcome_of

OBSERVE = ObserveScript(time_limit_s=60.0, step_count=4)
INSPECT = InspectTask(time_limit_s=60.0)

_SOURCE = """
    import sys
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    open("started", "a").write("x")
    loader = DataLoader(TensorDataset(torch.randn(40, 2)), batch_size=int(sys.argv[1]))
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for (x,) in loader:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
"""


def _worker(bench: Bench, *arguments: str) -> Worker:
    job = pipe_pb2.Job(
        source_dir=str(bench.directory / "bundle"),
        entry_path="train.py",
        entry_kind=recommendation_pb2.ENTRY_KIND_SCRIPT,
        checkpoint_dir=str(bench.directory / "checkpoints"),
        arguments=arguments,
    )
    to_message(CPU, job.device)
    return Worker(job, bench.entered_hooks.append)


@pytest.fixture
def script(bench: Bench) -> Bench:
    bench.write(_SOURCE, "train.py")
    (bench.directory / "checkpoints").mkdir()
    return bench


@pytest.fixture
def _no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no loop be one that can be entered."""
    monkeypatch.setattr("advisor.worker.entries.script.LOOPS", {})


def test_a_script_is_observed_in_a_process_of_its_own(script: Bench) -> None:
    before = Path.cwd()
    observation = outcome_of(_worker(script, "5"), OBSERVE, Observation)
    assert observation.step_count == 4
    assert observation.reference is not None
    assert observation.reference.micro_batch_size == 5
    # A positional argument has no name to say another value by.
    assert observation.reference.where == (
        Place(
            quantity=Quantity.LEARNING_RATE, kind=PlaceKind.LITERAL, name="lr", file="train.py",
            line=9, is_confirmed=True,
        ),
    )  # fmt: skip
    assert script.entered_hooks == ["the script"]
    assert Path.cwd() == before
    assert [path.name for path in (script.directory / "bundle").iterdir()] == ["train.py"]


@pytest.mark.usefixtures("_no_loops")
def test_what_cannot_be_entered_yet_is_refused_with_what_was_found(script: Bench) -> None:
    worker = _worker(script, "5")
    outcome_of(worker, OBSERVE, Observation)
    fault = fault_of(worker, INSPECT)
    assert fault.code is FaultCode.MODEL_FILE
    assert "Found: batch 5, lr 0.5 (lr, train.py:9), SGD, 40 samples." in fault.message
    assert "--observe-only" in str(fault)


@pytest.mark.usefixtures("_no_loops")
def test_another_worker_finds_what_was_seen(script: Bench) -> None:
    outcome_of(_worker(script, "5"), OBSERVE, Observation)
    script.write("raise SystemExit('is not run again')", "train.py")
    assert "Found: batch 5" in fault_of(_worker(script, "5"), INSPECT).message


@pytest.mark.usefixtures("_no_loops")
@pytest.mark.parametrize("kept", [None, b"\xff\x00 no message"])
def test_a_worker_that_finds_nothing_observes_for_itself(script: Bench, kept: bytes | None) -> None:
    if kept is not None:
        (script.directory / "checkpoints" / "observation.pb").write_bytes(kept)
    assert "Found: batch 4" in fault_of(_worker(script, "4"), INSPECT).message


def test_a_script_that_fails_is_a_fault_with_its_line(script: Bench) -> None:
    fault = fault_of(_worker(script), OBSERVE)
    assert fault.code is FaultCode.USER_EXCEPTION
    assert (fault.file, fault.line) == ("train.py", 7)
    assert "IndexError" in fault.message


def test_a_process_that_dies_is_a_fault(script: Bench) -> None:
    script.write("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", "train.py")
    fault = fault_of(_worker(script), OBSERVE)
    assert fault.code is FaultCode.PROCESS_DIED
    assert "SIGTERM" in fault.message
    script.write("import os\nos._exit(3)", "train.py")
    assert "the code 3" in fault_of(_worker(script), OBSERVE).message
