"""``bsadvise estimate``: what fits, predicted in seconds, with no device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bsadvise.cli.connecting import open_client
from bsadvise.cli.options import (
    address_option,
    devices_option,
    gpus_option,
    model_argument,
    option,
    output_option,
    place_options,
    save_option,
    task_request,
)
from bsadvise.cli.render.output import print_answer
from bsadvise.cli.render.views import estimate_view, estimates_view
from bsadvise.model.advice import MemoryEstimate
from bsadvise.model.errors import NoFitError
from bsadvise.model.units import format_bytes


@click.command()
@model_argument
@devices_option
@option(
    "--batch", type=click.IntRange(1), help="Does a micro-batch of this size fit? What takes room?"
)
@gpus_option
@place_options
@output_option
@save_option
@address_option
def estimate(model: Path, **flags: Any) -> None:  # noqa: ANN401 - click's flags
    """Predict the largest micro-batch of MODEL that fits, without running it.

    With several devices, JSON and YAML hold an object of estimates under the names given. The
    exit code is 4 when nothing fits on any of the devices, or not the --batch asked about.
    """
    batch, gpus = flags["batch"], flags["gpus"]
    asked = None if batch is None else batch * (gpus or 1)
    found: dict[str, MemoryEstimate] = {}
    with open_client(flags["address"]) as client:
        for device in dict.fromkeys(flags["devices"]) or (None,):
            options = task_request({**flags, "device": device})
            options["world_size"] = gpus
            options["effective_batch_size"] = asked
            found[device or "auto"] = client.estimate_memory(
                model, include=flags["include"], **options
            )
    if len(found) == 1:
        (one,) = found.values()
        document, view = one.to_dict(), estimate_view(one, model.name, batch)
    else:
        document = {name: one.to_dict() for name, one in found.items()}
        view = estimates_view(found, model.name, batch)
    print_answer(document, view, flags["output"], flags["save"])
    if not any(one.fits(batch or 1) for one in found.values()):
        raise NoFitError(_describe_misfit(found, batch))


def _describe_misfit(found: dict[str, MemoryEstimate], batch: int | None) -> str:
    what = "not even one sample fits" if batch is None else f"micro-batch {batch} does not fit"
    places = (f"{format_bytes(one.budget_bytes)} on {one.device}" for one in found.values())
    return f"{what} in {', nor in '.join(places)}"
