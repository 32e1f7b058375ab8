"""The pool with the real executor: torch in the fork server, a model file in the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise.model.commands import Evaluate, InspectTask, RunStep, Train
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    FaultCode,
    OutOfMemory,
    StepRun,
    TrainRun,
)
from bsadvise.model.request import EntryKind
from bsadvise.model.task import TaskProfile

from advisor.pools.local import LocalPool
from tests.support.worker_jobs import write_job

MODELS = Path(__file__).parent.parent / "models"
LIMIT_S = 60.0


@pytest.fixture
async def pool() -> AsyncIterator[LocalPool]:
    pool = LocalPool()
    yield pool
    await pool.close()


async def test_a_model_is_inspected_run_and_trained(pool: LocalPool, tmp_path: Path) -> None:
    job = replace(write_job(tmp_path, ""), source_dir=MODELS, entry_path="tiny_mlp.py")
    async with pool.open(job) as session:
        profile = (await session.run(InspectTask(time_limit_s=LIMIT_S))).outcome
        assert isinstance(profile, TaskProfile)
        assert profile.model_name == "Sequential"
        first = (await session.run(RunStep(time_limit_s=LIMIT_S, micro_batch_size=8))).outcome
        second = (await session.run(RunStep(time_limit_s=LIMIT_S, micro_batch_size=8))).outcome
        assert isinstance(first, StepRun)
        assert first == second
        command = Train(
            time_limit_s=LIMIT_S,
            micro_batch_size=8,
            accumulation_steps=1,
            learning_rate=0.05,
            step_count=2,
            evaluation_batch_size=8,
            save_checkpoint="reference",
        )
        trained = (await session.run(command)).outcome
        assert isinstance(trained, TrainRun)
    limited = replace(job, memory_limit_bytes=first.peak_bytes - 1)
    async with pool.open(limited) as session:  # Another process, the same checkpoints.
        evaluate = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=8, checkpoint="reference")
        evaluation = (await session.run(evaluate)).outcome
        assert isinstance(evaluation, Evaluation)
        assert evaluation.held_out_loss == trained.held_out_loss
        run_step = RunStep(time_limit_s=LIMIT_S, micro_batch_size=8)
        assert isinstance((await session.run(run_step)).outcome, OutOfMemory)


async def test_a_broken_model_file_is_named(pool: LocalPool, tmp_path: Path) -> None:
    source = """
    import os
    def build_model(how):
        print("building")
        if how == "raises":
            raise RuntimeError("no weights")
        os._exit(3)
    def make_batch(batch_size):
        return {}
    """
    job = write_job(tmp_path, source)
    inspect = InspectTask(time_limit_s=LIMIT_S)
    async with pool.open(replace(job, build_kwargs={"how": "raises"})) as session:
        outcome = (await session.run(inspect)).outcome
        assert isinstance(outcome, Failed)
        assert outcome.fault.code is FaultCode.USER_EXCEPTION
        assert (outcome.fault.file, outcome.fault.line) == ("model.py", 6)
        assert outcome.fault.output == "building"
    async with pool.open(replace(job, build_kwargs={"how": "exits"})) as session:
        outcome = (await session.run(inspect)).outcome
        assert isinstance(outcome, Failed)
        assert outcome.fault.code is FaultCode.PROCESS_DIED
        assert outcome.fault.hook == "build_model"
        assert outcome.fault.output == "building"


async def test_a_worker_has_what_it_needs_and_no_more(pool: LocalPool, tmp_path: Path) -> None:
    source = """
    import os, sys
    names = {"grpc", "optuna", "sqlalchemy", "advisor.application", "torch._dynamo"}
    threads = os.listdir(f"/proc/{os.getppid()}/task")
    raise RuntimeError(sorted(names & sys.modules.keys()), len(threads))
    """
    async with pool.open(write_job(tmp_path, source)) as session:
        outcome = (await session.run(InspectTask(time_limit_s=LIMIT_S))).outcome
    assert isinstance(outcome, Failed)
    # The fork server has a single thread: others would not survive the fork.
    assert "(['torch._dynamo'], 1)" in outcome.fault.message


async def test_a_script_trains_in_the_main_thread(pool: LocalPool, tmp_path: Path) -> None:
    source = """
    import signal, threading
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    signal.signal(signal.SIGUSR1, lambda *_: None)  # In the main thread, or it raises.
    print("runs in", threading.current_thread().name)
    x = torch.randn(64, 4)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            loss = (model(x) - y).pow(2).mean()
            loss.backward()
            optimizer.step()
    """
    job = replace(write_job(tmp_path, source), entry_kind=EntryKind.SCRIPT)
    command = Train(
        time_limit_s=LIMIT_S,
        micro_batch_size=4,
        accumulation_steps=2,
        learning_rate=0.05,
        step_count=30,
        evaluation_batch_size=8,
        save_checkpoint="reference",
    )
    async with pool.open(job) as session:
        profile = (await session.run(InspectTask(time_limit_s=LIMIT_S))).outcome
        assert isinstance(profile, TaskProfile), profile
        assert (profile.reference_batch_size, profile.reference_learning_rate) == (8, 0.1)
        trained = (await session.run(command)).outcome
        again = (await session.run(command)).outcome
        assert isinstance(trained, TrainRun), trained
        assert trained == again
    async with pool.open(job) as session:  # Another process, the same checkpoints.
        evaluate = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=8, checkpoint="reference")
        evaluation = (await session.run(evaluate)).outcome
        assert isinstance(evaluation, Evaluation), evaluation
        assert evaluation.held_out_loss == trained.held_out_loss
