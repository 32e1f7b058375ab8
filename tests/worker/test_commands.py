"""A command is started anew for each setting, and what trains in it is observed wherever it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bsadvise.model.commands import InspectTask, ObserveScript, RunScript
from bsadvise.model.measurements import FaultCode
from bsadvise.model.observation import (
    Observation,
    ObservationEnd,
    Place,
    PlacedValue,
    PlaceKind,
    Quantity,
    ScriptRun,
)
from bsadvise.model.placeholders import name_of
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import to_message

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.execution import Worker
from tests.support.worker_bench import CPU, Bench, fault_of, outcome_of

_SCRIPTS = Path(__file__).parents[1] / "scripts" / "commands"
OBSERVE = ObserveScript(time_limit_s=60.0, step_count=4)


def run_with(batch: int, rate: float, accumulation: int | None = None) -> RunScript:
    said = {
        Quantity.MICRO_BATCH_SIZE: float(batch),
        Quantity.LEARNING_RATE: rate,
        Quantity.ACCUMULATION_STEPS: accumulation,
    }
    values = tuple(
        PlacedValue(
            place=Place(quantity=quantity, kind=PlaceKind.PLACEHOLDER, name=name_of(quantity)),
            after=after,
        )
        for quantity, after in said.items()
        if after is not None
    )
    return RunScript(time_limit_s=60.0, values=values, step_count=8, measure_s=60.0)


MakeWorker = Callable[..., Worker]


@pytest.fixture
def worker_of(bench: Bench) -> MakeWorker:
    (bench.directory / "checkpoints").mkdir()
    shutil.copytree(_SCRIPTS, bench.directory / "bundle", dirs_exist_ok=True)

    def make(entry_path: str, *arguments: str) -> Worker:
        job = pipe_pb2.Job(
            source_dir=str(bench.directory / "bundle"),
            entry_path=entry_path,
            entry_kind=recommendation_pb2.ENTRY_KIND_COMMAND,
            checkpoint_dir=str(bench.directory / "checkpoints"),
            arguments=arguments,
        )
        to_message(CPU, job.device)
        return Worker(job, bench.entered_hooks.append)

    return make


def test_a_command_is_observed_as_its_own_defaults_have_it(worker_of: MakeWorker) -> None:
    worker = worker_of("load.py", "--bs", "{batch}", "--lr", "{lr}")
    observation = outcome_of(worker, OBSERVE, Observation)
    assert observation.end is ObservationEnd.ENOUGH_STEPS
    found = observation.reference
    assert found is not None
    assert (found.micro_batch_size, found.learning_rate) == (16, 0.1)
    assert observation.optimizer_name == found.optimizer_name == "AdamW"
    assert observation.start_s is not None


def test_values_are_said_in_the_place_of_placeholders(worker_of: MakeWorker) -> None:
    worker = worker_of(
        "load.py", "--bs={batch}", "--lr={lr=0.1}", "--accumulate", "{accumulation=1}"
    )
    run = outcome_of(worker, run_with(32, 0.025, 2), ScriptRun)
    assert (run.end, run.step_count, len(run.step_times_s)) == (ObservationEnd.ENOUGH_STEPS, 8, 5)
    assert run.setting is not None
    setting = run.setting
    assert (setting.micro_batch_size, setting.accumulation_steps) == (32, 2)
    assert setting.learning_rate == 0.025
    assert run.peak_bytes is not None


def test_a_loop_without_a_loader_is_counted_in_the_script_itself(worker_of: MakeWorker) -> None:
    run = outcome_of(
        worker_of("train.py", "--batch-size", "{batch}", "--lr", "{lr}"),
        run_with(64, 0.05),
        ScriptRun,
    )
    assert (run.step_count, len(run.step_times_s), run.setting) == (8, 5, None)


def test_what_fails_in_the_started_process_is_told_with_its_line(worker_of: MakeWorker) -> None:
    worker = worker_of("launch.py", "launch", "--batch-size", "{batch}", "--lr", "{lr}")
    fault = fault_of(worker, run_with(5000, 0.1))
    assert fault.code is FaultCode.USER_EXCEPTION
    assert (fault.file, fault.line) == ("train.py", 19)
    assert "a batch of 5000" in fault.message


def test_what_never_trains_is_seen_to_end(worker_of: MakeWorker, bench: Bench) -> None:
    worker = worker_of("quiet.py", "{batch}")
    bench.write("import subprocess\nsubprocess.run(['true'])", "quiet.py")
    observation = outcome_of(worker, OBSERVE, Observation)
    assert (observation.end, observation.step_count) == (ObservationEnd.SCRIPT_ENDED, 0)


def test_nothing_else_is_made_of_a_command(worker_of: MakeWorker) -> None:
    fault = fault_of(worker_of("train.py", "{batch}"), InspectTask(time_limit_s=9.0))
    assert "no training can be made of it" in fault.message
