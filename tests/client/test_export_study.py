"""``bsadvise jobs export-study`` against a real server: what is written, and the exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
from bsadvise.cli.main import cli
from bsadvise.v1 import measurement_pb2, recommendation_pb2
from click.testing import CliRunner, Result
from optuna.storages import RDBStorage

from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import (
    measured,
    state_changed,
    step_run_measurement,
    trial_measurement,
    wire_advice,
    wire_measurement,
)

URL = "sqlite:///study.db"  # in the test's own directory


def reference_measurement() -> measurement_pb2.Measurement:
    train = measurement_pb2.Train(
        time_limit_s=60, micro_batch_size=16, accumulation_steps=2, learning_rate=1e-3,
        step_count=80, evaluation_batch_size=32, evaluation_steps=[20, 40],
    )  # fmt: skip
    run = measurement_pb2.TrainRun(
        step_count=80, sample_count=2560, earlier_losses=[2.0, 1.75], held_out_loss=1.5
    )
    return wire_measurement(train=train, train_run=run)


TRIALS = (
    measured(step_run_measurement()),
    measured(reference_measurement()),
    measured(trial_measurement(), best=wire_advice()),
)


def export(daemon: FakeDaemon, *arguments: str) -> Result:
    command = ["jobs", "export-study", *arguments, "--address", daemon.address]
    return CliRunner().invoke(cli, command)


def study_in(url: str, name: str) -> tuple[list[optuna.trial.FrozenTrial], dict[str, Any]]:
    storage = RDBStorage(url)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return study.get_trials(), study.user_attrs
    finally:
        storage.engine.dispose()


def test_a_finished_job_becomes_a_study(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script(*TRIALS))

    result = export(daemon, job_id, "--storage", URL)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{job_id} is written: 2 trials\n"
    (reference, best), attributes = study_in(URL, job_id)
    assert reference.intermediate_values == {20: 2.0, 40: 1.75, 80: 1.5}
    assert reference.user_attrs["origin"] == "reference"
    assert best.params == {"effective_batch_size": 64, "learning_rate": 3e-3}
    assert best.user_attrs["is_recommended"] is True
    assert best.datetime_complete is not None
    events = daemon.jobs[job_id].events
    assert best.datetime_complete.timestamp() == events[4].at_s
    assert best.duration is not None
    assert best.duration.total_seconds() == trial_measurement().wall_s
    assert attributes["bsadvise_job"] == job_id
    assert attributes["answer"]["effective_batch_size"] == 64
    assert attributes["device"]["name"] == "A GPU"


def test_a_running_job_is_exported_as_far_as_it_is(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script(*TRIALS)[:-1])
    assert daemon.recommendation(job_id).state == recommendation_pb2.STATE_RUNNING

    assert export(daemon, job_id, "--storage", URL, "--name", "now").exit_code == 0

    trials, attributes = study_in(URL, "now")
    assert len(trials) == 2
    assert attributes["state"] == "running"
    assert "answer" not in attributes
    again = export(daemon, job_id, "--storage", URL, "--name", "now")
    assert again.exit_code == 1
    assert "take another --name, or --overwrite" in again.stderr
    replaced = export(daemon, job_id, "--storage", URL, "--name", "now", "--overwrite")
    assert replaced.exit_code == 0


def test_a_job_that_is_not_there_makes_no_file(daemon: FakeDaemon) -> None:
    result = export(daemon, "nothing", "--storage", URL)

    assert result.exit_code == 1
    assert "no recommendation nothing" in result.stderr
    assert not Path("study.db").exists()


def test_a_job_without_trials_makes_no_file(daemon: FakeDaemon) -> None:
    cancelled = state_changed(recommendation_pb2.STATE_CANCELLED)
    (job_id,) = daemon.seed(a_script(end=cancelled))

    result = export(daemon, job_id, "--storage", URL)

    assert result.exit_code == 1
    assert result.stderr == f"bsadvise: {job_id} has no trials; it is cancelled.\n"
    assert not Path("study.db").exists()


def test_a_storage_that_is_none_is_wrong_usage(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script(*TRIALS))

    result = export(daemon, job_id, "--storage", "study.db")

    assert result.exit_code == 2
    assert "such as sqlite:///study.db" in result.stderr
    assert export(daemon, job_id).exit_code == 2
    assert export(daemon, job_id, "--storage", "sqlite:///no/study.db").exit_code == 1


def test_without_optuna_it_says_what_to_install(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script(*TRIALS))
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "from bsadvise.cli.main import main; main()"
    )  # fmt: skip

    command = ["jobs", "export-study", job_id, "--storage", URL, "--address", daemon.address]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr == (
        "bsadvise: Optuna is not installed here; pip install 'bsadvise[optuna]'\n"
    )
