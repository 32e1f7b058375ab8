"""bsadvise: the real planner on modelled times, and the real client and daemon on the clock's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Train
from bsadvise.model.horizon import FinalLoss, LengthUnit, TrainingLength
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest, Source

from advisor.planning.planner import RecommendationPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from advisor.search.optuna_proposer import OptunaProposer
from benchmarks.regret_bench.found import NO_BUNDLE, Setting
from benchmarks.regret_bench.modelled import ModelledWorker, training_s
from benchmarks.regret_bench.trainer import CPU
from benchmarks.regret_bench.workloads import DIRECTORY
from benchmarks.trainings_bench.question import Answer, Question
from benchmarks.trainings_bench.times import SLOWDOWN
from benchmarks.trainings_bench.workloads import WARMUP_SHARE

_VERIFICATION_SHARE = DEFAULT_TUNING.evidence.seconds.verification_share


def advise(question: Question) -> Answer:
    """Return the advice for the stated training; only its trainings take time."""
    length = TrainingLength(amount=float(question.case.samples), unit=LengthUnit.SAMPLES)
    request = replace(_request(question), train_for=length, schedule=question.schedule)
    return _searched(question, request)


def advise_without_length(question: Question) -> Answer:
    """Return the advice where nobody says how long the training is, nor its schedule."""
    return _searched(question, _request(question))


def _request(question: Question) -> AdviceRequest:
    """Return the request, with a budget of which trainings get all that is allowed."""
    return AdviceRequest(
        source=Source(digest=NO_BUNDLE, entry_path=f"{question.workload.name}.py"),
        device=CPU.device_id,
        budget_s=question.allowed_s / (1 - _VERIFICATION_SHARE),
        seed=question.case.seed,
    )


def _searched(question: Question, request: AdviceRequest) -> Answer:
    worker = ModelledWorker(question.times, question.trainer, counts_overheads=False)
    planner = RecommendationPlanner(OptunaProposer())
    log: Log = ()
    while True:
        plan = planner.plan(planner.read(request, (CPU,), log))
        if isinstance(plan, Refusal):
            return Answer(setting=None, cost_s=training_s(log), note=plan.message)
        if isinstance(plan, Advice):
            break
        log += tuple(map(worker.measure, plan.commands))
    return Answer(
        setting=Setting(plan.effective_batch_size, plan.learning_rate),
        cost_s=training_s(log),
        trial_count=len({one.trial_number for one in _trials(log)}),
        final_loss=plan.expected_final_loss,
        carried_factor=plan.horizon.carried_factor if plan.horizon else None,
        note=f"{plan.lr_evidence}, {plan.confidence} confidence",
    )


def _trials(log: Log) -> Iterator[Train]:
    """Yield the commands that trained."""
    return (entry.command for entry in log if isinstance(entry.command, Train))


def ask_daemon(question: Question) -> Answer:
    """Return what ``bsadvise recommend`` answers here and now, by the clock, all costs included.

    A training of less than a minute leaves no time for it.

    Raises:
        SystemExit: The client ended with an error.
    """
    command = [
        str(Path(sys.executable).with_name("bsadvise")),
        "recommend",
        str(DIRECTORY / f"{question.workload.name}.py"),
        *("--device", "cpu", "--no-cache", "--quiet", "--output", "json"),
        *("--train-for", f"{question.case.samples}samples"),
        *("--schedule", question.case.schedule, "--warmup", f"{100 * WARMUP_SHARE:g}%"),
        *("--budget", f"{question.allowed_s / SLOWDOWN:g}s", "--seed", str(question.case.seed)),
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ.copy()
    )
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)}: {ended.stderr}")
    advice = json.loads(ended.stdout)
    final_loss, horizon = advice.get("expected_final_loss"), advice.get("horizon") or {}
    return Answer(
        setting=Setting(int(advice["effective_batch_size"]), float(advice["learning_rate"])),
        cost_s=float(advice["search"]["wall_s"]) * SLOWDOWN,
        trial_count=int(advice["search"]["trial_count"]),
        final_loss=FinalLoss(**final_loss) if final_loss else None,
        carried_factor=horizon.get("carried_factor"),
        note=f"{advice['confidence']} confidence",
    )
