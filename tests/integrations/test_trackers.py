"""An answer and its trials, as MLflow and Weights & Biases give them back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bsadvise import Advice, Client
from bsadvise.exports.study import Study
from bsadvise.integrations import mlflow as our_mlflow
from bsadvise.integrations import wandb as our_wandb
from bsadvise.integrations.tracking import figures, parameters, study_of
from bsadvise.wire.messages import from_message

from advisor.worker.scripts.surroundings import surroundings
from tests.client.test_export_study import TRIALS
from tests.support.builders import an_advice
from tests.support.fake_server import FakeDaemon, a_script
from tests.support.scripts import write_script
from tests.support.wire_samples import wire_advice

pytestmark = pytest.mark.filterwarnings("default")  # What libraries warn of is theirs.

_ADVICE = from_message(wire_advice(), Advice)


@pytest.fixture
def trials(daemon: FakeDaemon, client: Client) -> Study:
    (job_id,) = daemon.seed(a_script(*TRIALS))
    return study_of(client, job_id)


def test_what_is_no_finite_number_is_no_figure() -> None:
    advice = an_advice(samples_per_s=float("nan"), step_time_s=None, noise_scale=3.0)
    assert not {"samples_per_s", "step_time_s"} & set(figures(advice))
    assert figures(advice)["noise_scale"] == 3.0
    json.dumps({**parameters(_ADVICE), **figures(_ADVICE)}, allow_nan=False)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all tests, since making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def mlflow(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    library = pytest.importorskip("mlflow")
    library.set_tracking_uri(database)
    name = request.node.name
    library.create_experiment(name, artifact_location=(tmp_path / "artifacts").as_uri())
    library.set_experiment(name)
    yield library
    library.set_tracking_uri(None)


def test_mlflow_has_the_answer_and_a_run_for_each_trial(mlflow: Any, trials: Study) -> None:
    with mlflow.start_run() as run:
        mlflow.log_param("learning_rate", 0.1)  # A trainer's own.
        our_mlflow.log_advice(_ADVICE, trials=trials)
    read = mlflow.get_run(run.info.run_id).data
    assert read.params["bsadvise.effective_batch_size"] == "64"
    assert read.params["bsadvise.betas"] == "[0.9, 0.95]"
    assert read.metrics["bsadvise.samples_per_s"] == 1234.0
    kept = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/bsadvise/advice.json")
    assert kept == json.loads(json.dumps(_ADVICE.to_dict()))
    page = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/bsadvise/advice.html")
    assert "batch 64 (32 x 2), lr 0.003" in page
    below = mlflow.search_runs(
        filter_string=f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", output_format="list"
    )
    found = {one.info.run_name: one for one in below}
    assert set(found) == {f"trial {trial.number}" for trial in trials.trials}
    for trial in trials.trials:
        one = found[f"trial {trial.number}"]
        assert float(one.data.params["learning_rate"]) == trial.learning_rate
        assert one.info.start_time == round(1000 * trial.started_at_s)
        history = mlflow.MlflowClient().get_metric_history(one.info.run_id, "held_out_loss")
        assert {point.step: point.value for point in history} == trial.losses
        assert json.loads(one.data.tags["bsadvise.origin"]) == trial.attributes["origin"]


def test_mlflow_begins_a_run_where_there_is_none(mlflow: Any) -> None:
    our_mlflow.log_advice(_ADVICE)
    assert mlflow.active_run() is None
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.params["bsadvise.micro_batch_size"] == "32"
    assert run.info.status == "FINISHED"


def test_a_script_that_logs_to_mlflow_can_be_measured(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    script = write_script(tmp_path, "import mlflow\nmlflow.log_param('a', 1)\nmlflow.end_run()\n")
    with surroundings(script) as copy:
        # As the worker starts it; MLflow reads its settings once in a process.
        done = subprocess.run([sys.executable, copy / "train.py"], cwd=copy, check=False)
        assert done.returncode == 0
        assert (copy / "mlruns").is_dir()


def test_wandb_has_the_answer_and_a_table_of_trials(
    monkeypatch: pytest.MonkeyPatch, trials: Study, tmp_path: Path
) -> None:
    wandb: Any = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=str(tmp_path), project="p") as run:
        run.log({"loss": 1.0})
        our_wandb.log_advice(_ADVICE, trials=trials)
        run.log({"loss": 0.5})
        assert run.step == 2  # As without it.
        assert run.config["bsadvise"]["effective_batch_size"] == 64
        assert run.summary["bsadvise/samples_per_s"] == 1234.0
        directory = Path(run.dir)
    (page,) = directory.rglob("media/html/**/*.html")
    assert "batch 64 (32 x 2), lr 0.003" in page.read_text(encoding="utf-8")
    (table,) = directory.rglob("media/table/**/*.json")
    rows = json.loads(table.read_text(encoding="utf-8"))
    assert [row[rows["columns"].index("trial")] for row in rows["data"]] == [
        trial.number for trial in trials.trials
    ]


def test_without_a_run_wandb_is_told_how_to_begin_one() -> None:
    pytest.importorskip("wandb")
    with pytest.raises(ValueError, match=r"wandb\.init\(\)"):
        our_wandb.log_advice(_ADVICE)
