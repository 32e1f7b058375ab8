"""The worker's commands over tasks of trainers: inspection, traces with fake tensors, training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bsadvise.model.commands import InspectTask, TraceMemory, Train
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.task import OptimizerFamily

from advisor.worker.commands.inspection import inspect_task
from advisor.worker.commands.memory_trace import trace_memory
from advisor.worker.commands.training import train
from advisor.worker.entries.fit_call import FitCall
from advisor.worker.entries.lightning import LightningTask
from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.protocol import Task
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.loop.session import Session
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.user.hooks import Hooks
from tests.support import lightning_modules, transformers_trainers
from tests.support.worker_jobs import CPU

pytestmark = pytest.mark.filterwarnings("default")

Make = Callable[[Path], Task]


def hooks() -> Hooks:
    return Hooks(Path(), "train.py", lambda _: None)


def lightning(_: Path) -> Task:
    trainer = lightning_modules.trainer(max_epochs=1, gradient_clip_val=1.0)
    data = {"datamodule": lightning_modules.Data()}
    call = FitCall.of(trainer, (lightning_modules.Classifier(),), data)
    return LightningTask(call, hooks(), 3)


def language_model(directory: Path) -> Task:
    trainer = transformers_trainers.trainer(
        directory, transformers_trainers.llama(), transformers_trainers.Sentences
    )
    return TransformersTask(trainer, hooks(), 3)


def classifier(directory: Path) -> Task:
    trainer = transformers_trainers.trainer(
        directory,
        transformers_trainers.bert(dropout=0.1),
        transformers_trainers.Sequences,
        gradient_checkpointing=True,
    )
    return TransformersTask(trainer, hooks(), 3)


def adversaries(_: Path) -> Task:
    trainer = lightning_modules.trainer(max_epochs=1)
    data = {"datamodule": lightning_modules.Data()}
    call = FitCall.of(trainer, (lightning_modules.Adversaries(),), data)
    return LightningTask(call, hooks(), 3)


TASKS = pytest.mark.parametrize("make", [lightning, language_model, classifier])


@pytest.mark.parametrize("make", [lightning, language_model, classifier, adversaries])
def test_traces_with_fake_tensors_are_near_what_real_steps_take(make: Make, tmp_path: Path) -> None:
    session = Session(make(tmp_path), TorchDevice(CPU, None))
    command = TraceMemory(micro_batch_size=16, accumulation_steps=2, time_limit_s=60)
    trace = trace_memory(session, command)
    assert not trace.was_run, trace.caveats
    batch = session.task.data.longest_batch(16)
    recipe = Recipe(micro_batch_size=16, accumulation_steps=2)
    training = session.task.build(recipe, session.torch_device, SINGLE_PROCESS)
    tracker = AllocationTracker(training.model, training.optimizer, session.torch_device)
    with tracking(tracker):
        for _ in range(2):
            training.step(iter([batch, batch]), observers=[tracker])
    assert trace.peak_bytes == pytest.approx(tracker.peak_bytes, rel=0.05)


@TASKS
def test_a_trace_for_a_card_that_is_not_there(make: Make, tmp_path: Path) -> None:
    card = Device(
        device_id="cuda:0", name="a card", kind=DeviceKind.CUDA, present=False, total_bytes=2**34
    )
    session = Session(make(tmp_path), TorchDevice(card, None))
    trace = trace_memory(session, TraceMemory(micro_batch_size=8, time_limit_s=60))
    assert not trace.was_run, trace.caveats
    assert trace.reserved_bytes


@TASKS
def test_an_inspection_knows_what_the_trainer_says(make: Make, tmp_path: Path) -> None:
    session = Session(make(tmp_path), TorchDevice(CPU, None))
    profile = inspect_task(session, InspectTask(time_limit_s=600))
    assert profile.reference_batch_size in (6, 8)
    assert profile.reference_learning_rate in (0.05, 5e-3)
    assert profile.optimizer.family is OptimizerFamily.ADAM
    assert profile.dataset_size in (120, 160)
    assert profile.evaluation_size in (24, 48)
    assert profile.batch_semantics is not None, profile.caveats


@TASKS
def test_a_training_learns_and_goes_on_from_a_checkpoint(make: Make, tmp_path: Path) -> None:
    session = Session(make(tmp_path), TorchDevice(CPU, None))
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    settings: dict[str, Any] = {
        "micro_batch_size": 8,
        "accumulation_steps": 2,
        "learning_rate": 0.01,
        "evaluation_batch_size": 16,
        "measure_noise": True,
        "time_limit_s": 600,
    }
    whole = train(session, checkpoints, Train(step_count=8, **settings))
    half = Train(step_count=4, save_checkpoint="half", **settings)
    train(session, checkpoints, half)
    rest = Train(step_count=4, start_checkpoint="half", first_sample=0, **settings)
    after = train(session, checkpoints, rest)
    assert after.held_out_loss == whole.held_out_loss
    assert whole.held_out_loss is not None
    assert whole.gradient_norms is not None
