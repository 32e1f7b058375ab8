"""An answer as a run of MLflow, and its trials as runs below it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

from bsadvise.cli.render.notebook import advice_html
from bsadvise.exports.study import Study, StudyTrial, TrialState
from bsadvise.integrations.libraries import library
from bsadvise.integrations.tracking import figures, parameters
from bsadvise.model.advice import Advice

_PREFIX = "bsadvise."
"""Parameters of a run are written once, and trainers log a learning rate of their own."""

_LOSS = "held_out_loss"
_ENDS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}


def log_advice(advice: Advice, *, trials: Study | None = None) -> None:
    """Log an answer to the active run, or to a new one where there is none.

    Parameters and figures have the prefix "bsadvise."; all of the answer is in
    "bsadvise/advice.json", and "bsadvise/advice.html" is it for people.

    Args:
        advice: The answer.
        trials: The trials behind it, each logged as a run below; see ``tracking.study_of``.

    Raises:
        LibraryMissing: MLflow is not installed.
    """
    mlflow = library("mlflow", "mlflow")
    with nullcontext() if mlflow.active_run() else mlflow.start_run(run_name="bsadvise"):
        mlflow.log_params({_PREFIX + name: value for name, value in parameters(advice).items()})
        mlflow.log_metrics({_PREFIX + name: value for name, value in figures(advice).items()})
        mlflow.log_dict(advice.to_dict(), "bsadvise/advice.json")
        mlflow.log_text(advice_html(advice), "bsadvise/advice.html")
        parent = mlflow.active_run().info
        for trial in () if trials is None else trials.trials:
            _log_trial(trial, parent)


def _log_trial(trial: StudyTrial, parent: Any) -> None:  # noqa: ANN401 - mlflow.entities.RunInfo
    mlflow = library("mlflow", "mlflow")
    entities = mlflow.entities
    client = mlflow.MlflowClient()
    run = client.create_run(
        parent.experiment_id,
        start_time=_milliseconds(trial.started_at_s),
        tags={"mlflow.parentRunId": parent.run_id},
        run_name=f"trial {trial.number}",
    )
    settings = {
        "effective_batch_size": trial.effective_batch_size,
        "learning_rate": trial.learning_rate,
    }
    ended_at = _milliseconds(trial.ended_at_s)
    client.log_batch(
        run.info.run_id,
        params=[entities.Param(name, str(value)) for name, value in settings.items()],
        metrics=[
            entities.Metric(_LOSS, loss, ended_at, step) for step, loss in trial.losses.items()
        ],
        tags=[
            entities.RunTag(_PREFIX + name, json.dumps(value))
            for name, value in trial.attributes.items()
        ],
    )
    client.set_terminated(run.info.run_id, _ENDS[trial.state], ended_at)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
