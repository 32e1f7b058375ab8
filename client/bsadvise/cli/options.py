"""Flags that several commands share, and the types of their values.

Every flag can also be given as a variable: ``--memory-limit`` is ``BSADVISE_MEMORY_LIMIT``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import click

from bsadvise.cli.completing import complete_device
from bsadvise.cli.connecting import keep_credential
from bsadvise.exports.formats.registry import EXPORTS
from bsadvise.model.horizon import (
    LearningRateSchedule,
    parse_budget,
    parse_length,
    parse_schedule,
    parse_warmup,
)
from bsadvise.model.request import AdviceOptions, Objective, Priority, PriorScope
from bsadvise.model.units import parse_bytes
from bsadvise.paths import normalise

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]

FORMATS = ("text", "json", "yaml")
_SUFFIXES = (".json", ".yaml", ".yml")


class Parsed(click.ParamType):  # type: ignore[type-arg] # generic only in newer click
    """What a function makes of a text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401 - the function's
        """Return what the text stands for."""
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class KeyValue(click.ParamType):  # type: ignore[type-arg] # generic only in newer click
    """``name=value``."""

    name = "k=v"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name and the value."""
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip().isidentifier():
            self.fail(f"{value!r} is not NAME=VALUE with a Python name", param, ctx)
        return name.strip(), text


class UserPath(click.Path):
    """A path as ``normalise`` reads it; for the rest, click's own."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(
        self,
        value: str | PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's signature
        """Return the path, absolute and without dots."""
        return super().convert(normalise(value), param, ctx)


def check_save(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Return a path that an answer can be written to.

    Raises:
        click.BadParameter: Its suffix says no form, or its folder is not there.
    """
    if path is None:
        return None
    if path.suffix not in _SUFFIXES:
        raise click.BadParameter(f"{path} must end in one of {', '.join(_SUFFIXES)}", ctx, param)
    if not path.parent.is_dir():
        raise click.BadParameter(f"{path.parent} is no folder", ctx, param)
    return path


BYTES = Parsed("size", parse_bytes)


def option(flag: str, *others: str, **attributes: Any) -> Decorator:  # noqa: ANN401 - click's own
    """Return ``click.option`` with the variable that goes with a flag."""
    variable = "BSADVISE_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, *others, envvar=variable, **attributes)


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator that applies several, the first outermost."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


model_argument = click.argument("model", type=UserPath(exists=True, dir_okay=False))


def _credential(flag: str, text: str) -> Decorator:
    path = UserPath(exists=True, dir_okay=False)
    return option(flag, type=path, expose_value=False, callback=keep_credential, help=text)


address_option = together(
    option(
        "--address",
        metavar="TARGET",
        help="The daemon: HOST:PORT or a socket's path. "
        "[default: one that runs here, else a private one]",
    ),
    _credential("--token-file", "Holds the token; else BSADVISE_TOKEN does."),
    _credential("--ca-file", "Authority of the daemon's certificate, PEM."),
    _credential("--cert-file", "Own certificate, PEM, if the daemon asks for one."),
    _credential("--key-file", "Its key, PEM."),
)


def _without_colours(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        ctx.color = False


no_color_option = option(
    "--no-color", is_flag=True, expose_value=False, callback=_without_colours,
    help="No colours on a terminal; NO_COLOR does the same.",
)  # fmt: skip
output_option = together(
    option(
        "--output", "-o", type=click.Choice(FORMATS), default="text", show_default=True,
        help="How to print the answer.",
    ),
    no_color_option,
)  # fmt: skip
advice_output_option = together(
    option(
        "--output", "-o", type=click.Choice((*FORMATS, *EXPORTS)), default="text",
        show_default=True,
        help="How to print the answer: as text, with every field as json or yaml, or its settings "
        "as one of the others reads them.",
    ),
    option("--explain", is_flag=True, help="Print the whole answer, not what fits on a screen."),
    no_color_option,
)  # fmt: skip
save_option = option(
    "--save",
    type=UserPath(dir_okay=False, writable=True),
    callback=check_save,
    help="Also write every field to a .json or .yaml file.",
)
quiet_option = option("--quiet", "-q", is_flag=True, help="No progress on stderr.")

_DEVICE_HELP = "auto, cpu, cuda:N, a UUID, or a card's name such as a100-80gb. [default: auto]"

gpus_option = option("--gpus", type=click.IntRange(1), help="Data-parallel replicas. [default: 1]")
devices_option = option(
    "--device", "devices", metavar="NAME", multiple=True, shell_complete=complete_device,
    help=f"{_DEVICE_HELP} Give it several times to compare devices.",
)  # fmt: skip
arguments_argument = click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS OF A SCRIPT]"
)

place_options = together(
    option(
        "--memory-limit", type=BYTES,
        help="The most memory to take, such as 16GiB. [default: what is free]",
    ),
    option(
        "--margin", type=BYTES,
        help="Memory to leave alone. [default: 256 MiB or 3 %, and 0 with --memory-limit]",
    ),
    option("--set", "settings", type=KeyValue(), multiple=True, help="Argument of build_model()."),
    option(
        "--include", type=UserPath(exists=True), multiple=True,
        help="File or folder to send along with the model file.",
    ),
    option(
        "--python", type=UserPath(), metavar="PATH",
        help="Interpreter whose packages the model file needs. [default: the daemon's]",
    ),
)  # fmt: skip

task_options = together(
    option("--device", metavar="NAME", shell_complete=complete_device, help=_DEVICE_HELP),
    place_options,
)

advice_options = together(
    gpus_option,
    option("--effective-batch-size", type=click.IntRange(1), help="Global batch to keep exactly."),
    option(
        "--objective", type=click.Choice([objective.value for objective in Objective]),
        help="What to minimise. [default: time]",
    ),
    option(
        "--device-hour-price", type=click.FloatRange(min=0),
        help="What an hour of one device costs, in any currency. --objective cost needs it.",
    ),
    option("--target-loss", type=float, help="Held-out loss to reach."),
    option(
        "--train-for", type=Parsed("length", parse_length),
        help="How long it will be trained: 90epochs, 200000steps, 50Msamples or 6h. "
        "[default: what the file says]",
    ),
    option(
        "--schedule", type=Parsed("schedule", parse_schedule),
        help="constant, linear, cosine, cosine:0.1 (last rate), wsd or wsd:0.2 (share of decay). "
        "[default: constant]",
    ),
    option(
        "--warmup", type=Parsed("warm-up", parse_warmup), help="2% or 500steps. [default: none]"
    ),
    option(
        "--budget", type=Parsed("budget", parse_budget),
        help="Time to measure for, such as 60s; or 5% of the training that --train-for says. "
        "[default: 60s]",
    ),
    option("--trials", type=click.IntRange(0), help="The most trials. [default: as time allows]"),
    option("--no-trials", is_flag=True, help="Choose the learning rate by rule, without trials."),
    option("--seed", type=click.IntRange(0), help="Seed of everything random. [default: 0]"),
    option(
        "--priority", type=click.Choice([priority.value for priority in Priority]),
        help="low steps back behind all others, high before one's own. [default: normal]",
    ),
    option(
        "--prior", type=click.Choice([scope.value for scope in PriorScope]),
        help="principal begins from what earlier answers about this task found. [default: off]",
    ),
    option(
        "--observe-only", is_flag=True,
        help="Run a script for some steps, and say what it trains with by itself.",
    ),
    option(
        "--model-class", metavar="NAME",
        help="LightningModule to train, where a file defines several and trains none.",
    ),
    option(
        "--data-path", "data_paths", type=UserPath(exists=True), multiple=True,
        help="Data that a script finds where it lies beside it, read in place and not sent.",
    ),
    option("--no-cache", is_flag=True, help="Measure again, whatever was found before."),
)  # fmt: skip


def task_request(flags: dict[str, Any]) -> AdviceOptions:
    """Return what the flags of ``task_options`` ask for."""
    return AdviceOptions(
        device=flags["device"],
        memory_limit_bytes=flags["memory_limit"],
        margin_bytes=flags["margin"],
        build_kwargs=dict(flags["settings"]),
        # Not resolved: it is its place, not the program, that makes a virtual environment.
        python=str(flags["python"]) if flags["python"] else None,
    )


def advice_request(flags: dict[str, Any]) -> AdviceOptions:
    """Return what the flags of ``task_options`` and ``advice_options`` ask for."""
    if flags["no_trials"] and flags["trials"]:
        raise click.UsageError("--trials and --no-trials exclude each other")
    if flags["objective"] == Objective.COST and flags["device_hour_price"] is None:
        raise click.UsageError(
            "--objective cost needs the price of a device-hour, such as --device-hour-price 2.50"
        )
    budget_s, budget_share = flags["budget"] or (None, None)
    if budget_share is not None and flags["train_for"] is None:
        raise click.UsageError(
            f"--budget {100 * budget_share:g}% is a share of the training's own time: say how long "
            "that is, such as --train-for 90epochs"
        )
    return AdviceOptions(
        **task_request(flags),
        world_size=flags["gpus"],
        effective_batch_size=flags["effective_batch_size"],
        objective=flags["objective"],
        target_loss=flags["target_loss"],
        budget_s=budget_s,
        budget_share=budget_share,
        max_trials=0 if flags["no_trials"] else flags["trials"],
        seed=flags["seed"],
        use_cache=False if flags["no_cache"] else None,
        priority=flags["priority"],
        device_hour_price=flags["device_hour_price"],
        prior=flags["prior"],
        observe_only=flags["observe_only"] or None,
        train_for=flags["train_for"],
        schedule=_schedule(flags["schedule"], flags["warmup"]),
        model_class=flags["model_class"],
    )


def _schedule(
    schedule: LearningRateSchedule | None, warmup: tuple[float, int | None] | None
) -> LearningRateSchedule | None:
    """Return the schedule with its warm-up, which a constant rate may have as well."""
    if warmup is None:
        return schedule
    share, steps = warmup
    return replace(schedule or LearningRateSchedule(), warmup_share=share, warmup_steps=steps)
