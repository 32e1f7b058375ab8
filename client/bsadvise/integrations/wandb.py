"""An answer in a run of Weights & Biases, with its trials as a table."""

from __future__ import annotations

import json
from typing import Any

from bsadvise.cli.render.notebook import advice_html
from bsadvise.exports.study import Study
from bsadvise.integrations.libraries import library
from bsadvise.integrations.tracking import figures, parameters
from bsadvise.model.advice import Advice

_COLUMNS = (
    "trial", "state", "effective_batch_size", "learning_rate", "held_out_loss", "origin",
    "micro_batch_size", "accumulation_steps", "step_count", "training_wall_s", "is_recommended",
)  # fmt: skip
_TITLE = "bsadvise"


def log_advice(
    advice: Advice,
    *,
    run: Any = None,  # noqa: ANN401 - a wandb.Run
    trials: Study | None = None,
) -> None:
    """Log an answer to a run, without a step of its own.

    The setting is in the run's configuration under "bsadvise", figures in its summary; the answer
    for people and the table of trials are media; all of it is an artifact of the type "advice".

    Args:
        advice: The answer.
        run: The run; None for the one that ``wandb.init`` began.
        trials: The trials behind the answer; see ``tracking.study_of``.

    Raises:
        LibraryMissing: wandb is not installed.
        ValueError: There is no run.
    """
    wandb = library("wandb", "wandb")
    run = run or wandb.run
    if run is None:
        raise ValueError("there is no run to log to: call wandb.init() first, or give run=")
    run.config.update({_TITLE: parameters(advice)}, allow_val_change=True)
    run.summary.update({f"{_TITLE}/{name}": value for name, value in figures(advice).items()})
    media = {f"{_TITLE}/advice": wandb.Html(advice_html(advice), inject=False)}
    if trials is not None:
        media[f"{_TITLE}/trials"] = wandb.Table(list(_COLUMNS), rows_of(trials))
    run.log(media, commit=False)
    artifact = wandb.Artifact(f"{_TITLE}-{run.id}", type="advice")
    with artifact.new_file("advice.json") as file:
        json.dump(advice.to_dict(), file, indent=2)
    run.log_artifact(artifact)


def rows_of(trials: Study) -> list[list[Any]]:
    """Return the trials, one a row, with None for what is not known."""
    return [
        [
            {
                "state": trial.state.value,
                "effective_batch_size": trial.effective_batch_size,
                "learning_rate": trial.learning_rate,
                "held_out_loss": trial.final_loss,
                **trial.attributes,
            }.get(column)
            for column in _COLUMNS
        ]
        for trial in trials.trials
    ]
