"""``bsadvise recommend``: ask, follow, answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bsadvise.cli.interrupts import Interrupts
from bsadvise.cli.options import (
    address_option,
    advice_options,
    advice_request,
    model_argument,
    open_client,
    option,
    output_option,
    quiet_option,
    save_option,
    task_options,
)
from bsadvise.cli.render.output import print_answer
from bsadvise.cli.render.progress import show_progress
from bsadvise.cli.render.views import advice_view
from bsadvise.client import Client
from bsadvise.model.advice import Advice
from bsadvise.model.recommendation import Recommendation


@click.command()
@model_argument
@task_options
@advice_options
@output_option
@save_option
@quiet_option
@option("--request-id", help="Asking twice with the same id asks once; for scripts.")
@address_option
def recommend(model: Path, **flags: Any) -> None:  # noqa: ANN401 - click's flags
    """Find micro-batch, accumulation and learning rate for MODEL, and run them.

    Ctrl-C stops well and prints the best answer so far; a second one leaves at once.

    Exit codes: 0 answered, 2 wrong usage, 3 the model file is at fault, 4 no batch fits, 5 no
    daemon answers, 6 cancelled or timed out with nothing to say, 1 anything else.
    """
    options = advice_request(flags)
    with open_client(flags["address"]) as client, Interrupts() as interrupts:
        created = client.create_recommendation(
            model, include=flags["include"], request_id=flags["request_id"], **options
        )
        interrupts.stop_with(lambda: client.cancel(created.recommendation_id))
        advice = follow_to_answer(client, created, quiet=flags["quiet"])
    print_answer(
        advice.to_dict(),
        advice_view(advice, model.name),
        flags["output"],
        flags["save"],
        once_more=kept_as(created.recommendation_id),
    )


def kept_as(recommendation_id: str) -> str:
    """Return the command that saves what the daemon keeps of a recommendation."""
    return f"bsadvise jobs show {recommendation_id} --save FILE"


def follow_to_answer(client: Client, recommendation: Recommendation, *, quiet: bool) -> Advice:
    """Show what happens to a recommendation until it has ended, and return its advice.

    Raises:
        BsadviseError: There is none; the class says why.
    """
    if not recommendation.state.is_final:
        with show_progress(quiet=quiet) as show:
            for event in client.watch(recommendation.recommendation_id, on_waiting=show):
                show(event)
    return client.advice(recommendation.recommendation_id)
