"""Asks every method about a training, and trains its answer whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.regret_bench.found import Setting
from benchmarks.trainings_bench.grid import SEEDS
from benchmarks.trainings_bench.methods import METHODS
from benchmarks.trainings_bench.question import (
    Answer,
    Case,
    Question,
    add_answer,
    answers_path,
    read_answers,
)
from benchmarks.trainings_bench.recording import (
    Training,
    add_training,
    path_of,
    read_trainings,
    trained,
)
from benchmarks.trainings_bench.times import read_times
from benchmarks.trainings_bench.trainers import Trainers
from benchmarks.trainings_bench.workloads import Workload


def cases(
    workload: Workload, schedule: str, methods: Sequence[str], seeds: Sequence[int]
) -> Iterator[Case]:
    """Yield what methods are asked about a workload on a schedule."""
    for seed in seeds:
        for method in methods:
            for share in METHODS[method].shares:
                yield Case(
                    method=method,
                    schedule=schedule,
                    samples=workload.samples,
                    share=share,
                    seed=seed,
                )


def compare(
    workload: Workload, schedule: str, methods: Sequence[str], seeds: Sequence[int]
) -> None:
    """Make the searches and trainings of a comparison that are missing.

    Args:
        workload: The workload.
        schedule: Name of the schedule.
        methods: Names of the methods.
        seeds: Seeds of the searches.
    """
    times = read_times(workload.name)
    with tempfile.TemporaryDirectory() as scratch:
        trainers = Trainers(workload.name, Path(scratch))
        for case in cases(workload, schedule, methods, seeds):
            answer = read_answers(answers_path(workload.name)).get(case)
            trainer = trainers.of(case.seed)
            if answer is None:
                question = Question(case=case, workload=workload, times=times, trainer=trainer)
                answer = _asked(question)
                if answer is None:
                    continue
                add_answer(answers_path(workload.name), case, answer)
            if answer.setting is not None:
                _train(workload, case, answer.setting, trainers)


def _train(workload: Workload, case: Case, setting: Setting, trainers: Trainers) -> None:
    """Train an answer with each seed that the grid's leaders are trained with."""
    path = path_of(workload.name)
    for seed in SEEDS:
        wanted = Training(
            schedule=case.schedule,
            samples=case.samples,
            batch_size=setting.batch_size,
            learning_rate=setting.learning_rate,
            seed=seed,
            is_of_grid=False,
        )
        if wanted.key not in {one.key for one in read_trainings(path)}:
            add_training(path, trained(trainers.of(seed), wanted))


def _asked(question: Question) -> Answer | None:
    """Return the method's answer; None where it is not installed."""
    case = question.case
    try:
        answer = METHODS[case.method].find(question)
    except ModuleNotFoundError as error:
        print(f"{case.method} is left out: {error}", flush=True)
        return None
    share = "" if case.share is None else f" {100 * case.share:g} %"
    print(
        f"{question.workload.name} {case.schedule}, seed {case.seed}: {case.method}{share}: "
        f"{answer.setting} for {answer.cost_s:.3g} s {answer.note}",
        flush=True,
    )
    return answer
