"""``bsadvise estimate``: what fits, predicted in seconds, with no device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bsadvise.cli.options import (
    address_option,
    model_argument,
    open_client,
    output_option,
    save_option,
    task_options,
    task_request,
)
from bsadvise.cli.output import print_answer
from bsadvise.cli.views import estimate_view
from bsadvise.errors import NoFitError
from bsadvise.units import format_bytes


@click.command()
@model_argument
@task_options
@output_option
@save_option
@address_option
def estimate(model: Path, **flags: Any) -> None:  # noqa: ANN401 - click's flags
    """Predict the largest micro-batch of MODEL that fits, without running it."""
    with open_client(flags["address"]) as client:
        found = client.estimate_memory(model, include=flags["include"], **task_request(flags))
    print_answer(found.to_dict(), estimate_view(found, model.name), flags["output"], flags["save"])
    if found.max_micro_batch_size == 0:
        raise NoFitError(
            f"not even one sample fits in {format_bytes(found.budget_bytes)} on {found.device}"
        )
