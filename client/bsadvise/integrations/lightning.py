"""A Lightning callback that asks for advice when ``fit`` begins, and trains with it.

    trainer = Trainer(callbacks=[BatchSizeAdvisor(budget_s=120)])
    trainer.fit(module, datamodule=data)

Without a change of code, ``BSADVISE=advise python train.py`` shows the advice for any Lightning
training, and ``BSADVISE=apply`` trains with it: Lightning asks ``callbacks_from_environment``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from bsadvise.exports.formats.settings import learning_rate
from bsadvise.integrations.libraries import library
from bsadvise.integrations.running_script import is_observed, recommend_running_script
from bsadvise.model.advice import Advice
from bsadvise.model.errors import ApplyingFailed, BsadviseError
from bsadvise.model.request import AdviceOptions
from bsadvise.model.units import parse_seconds

if TYPE_CHECKING:
    from bsadvise.client import Client

_NAMES = ("lightning.pytorch", "pytorch_lightning")
"""Lightning comes under two names, whose trainers take each other's callbacks."""

_RATES = ("learning_rate", "lr")
_SWITCH, _BUDGET = "BSADVISE", "BSADVISE_BUDGET"


def _callback() -> Any:  # noqa: ANN401 - a class
    loaded = next((name for name in _NAMES if name in sys.modules), _NAMES[0])
    return library(loaded, "lightning").Callback


class BatchSizeAdvisor(_callback()):  # type: ignore[misc]
    """Sets batch size, accumulation and learning rate before the loaders and optimizers are made.

    The script that runs is measured as ``bsadvise recommend SCRIPT -- ARGUMENTS`` would; in the
    worker's run of it, this does nothing. Before the first step the setting is read back from the
    training loader and the optimizer: a training that does not have it is not begun.

    Attributes:
        advice: The answer; None before there is one.
    """

    def __init__(
        self,
        *,
        apply: bool = True,
        batch_size_name: str = "batch_size",
        learning_rate_name: str | None = None,
        client: Client | None = None,
        include: Sequence[str | PathLike[str]] = (),
        quiet: bool = False,
        **options: Unpack[AdviceOptions],
    ) -> None:
        """Take note of what to ask for.

        Args:
            apply: Whether to train with the answer; else it is shown, and nothing is changed.
            batch_size_name: The attribute of the module, the data module or their ``hparams`` of
                which the training loader is made.
            learning_rate_name: The same of the optimizer; None for "learning_rate" or "lr".
            client: Whom to ask; None for a client of its own.
            include: Files and folders to send with the script.
            quiet: Whether to show neither progress nor the answer on stderr.
            **options: What is asked for; see ``AdviceRequest``. The device is the CPU where the
                trainer trains on it, and else the daemon's choice.
        """
        self.advice: Advice | None = None
        self._apply = apply
        self._batch_size_name = batch_size_name
        self._rate_names = _RATES if learning_rate_name is None else (learning_rate_name,)
        self._client = client
        self._include = include
        self._quiet = quiet
        self._options = options

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ANN401
        """Ask when ``fit`` begins, and set what is advised.

        Raises:
            ApplyingFailed: The training cannot be given a setting.
            BsadviseError: There is no advice; the class says why.
        """
        self.advice = None
        advisors = [one for one in trainer.callbacks if isinstance(one, BatchSizeAdvisor)]
        if stage != "fit" or is_observed() or trainer.fast_dev_run or advisors[0] is not self:
            return
        if trainer.world_size > 1:
            raise ApplyingFailed(
                f"the trainer is for {trainer.world_size} devices, of which measuring needs one "
                f"alone: ask before, with: bsadvise recommend train.py --gpus {trainer.world_size}"
            )
        batches, rates = self._settable(trainer, pl_module) if self._apply else ([], [])
        options = self._options.copy()
        if trainer.strategy.root_device.type == "cpu":
            options.setdefault("device", "cpu")
        self.advice = recommend_running_script(
            options, client=self._client, include=self._include, quiet=self._quiet
        )
        if not self._quiet:
            _show(self.advice)
        if self._apply:
            _apply(self.advice, trainer, pl_module, batches, rates)

    def _settable(self, trainer: Any, module: Any) -> tuple[list[_Place], list[_Place]]:  # noqa: ANN401
        """Return where batch size and learning rate are set; raises ApplyingFailed without one."""
        batches = list(_places(trainer, module, [self._batch_size_name]))
        rates = list(_places(trainer, module, self._rate_names))
        missing = " or ".join(self._rate_names) if batches else self._batch_size_name
        if not batches or not rates:
            raise ApplyingFailed(
                f"neither the module nor the data module has {missing}, in itself or its hparams: "
                "have its loader and optimizer made with such attributes, name yours "
                "(batch_size_name, learning_rate_name), or give apply=False"
            )
        return batches, rates

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002
        """Read the setting back. Raises ApplyingFailed where the training has another."""
        advice = self.advice
        if advice is None or not self._apply:
            return
        loader = trainer.train_dataloader
        sampler = getattr(loader, "batch_sampler", None)
        size = getattr(loader, "batch_size", None) or getattr(sampler, "batch_size", None)
        if size != advice.micro_batch_size:
            raise ApplyingFailed(
                f"the training loader makes batches of {size} although {self._batch_size_name} is "
                f"{advice.micro_batch_size}: {_said(advice, 'train_dataloader')}"
            )
        if trainer.accumulate_grad_batches != advice.accumulation_steps:
            raise ApplyingFailed(
                f"{trainer.accumulate_grad_batches} batches are accumulated and not "
                f"{advice.accumulation_steps}: leave GradientAccumulationScheduler out"
            )
        rate, group = learning_rate(advice), trainer.optimizers[0].param_groups[0]
        # Schedules begin elsewhere than at their peak, and name it.
        found = [group[name] for name in ("lr", "initial_lr", "max_lr") if name in group]
        if rate is not None and not any(math.isclose(one, rate, rel_tol=1e-6) for one in found):
            raise ApplyingFailed(
                f"the optimizer's learning rate is {found[0]:g} although {rate:g} is advised and "
                f"set: {_said(advice, 'configure_optimizers')}. What goes on from a "
                "checkpoint keeps its rate: leave BatchSizeAdvisor out there"
            )


def callbacks_from_environment() -> list[BatchSizeAdvisor]:
    """Return the callback that ``BSADVISE`` asks for: "advise" (or "1") or "apply"; else none.

    Raises:
        BsadviseError: It says anything else.
    """
    said = os.environ.get(_SWITCH, "")
    if said in ("", "0") or is_observed():
        return []
    if said not in ("1", "advise", "apply"):
        raise BsadviseError(f"{_SWITCH} is {said!r}; it may be advise, apply, or not set")
    budget = os.environ.get(_BUDGET)
    options = AdviceOptions(budget_s=parse_seconds(budget)) if budget else AdviceOptions()
    return [BatchSizeAdvisor(apply=said == "apply", **options)]


class _Place:
    """An attribute, or a key of a dictionary."""

    def __init__(self, owner: Any, name: str) -> None:  # noqa: ANN401
        self._owner = owner
        self._name = name

    def set(self, value: float) -> None:
        """Give it a value."""
        if isinstance(self._owner, dict):
            self._owner[self._name] = value
        else:
            setattr(self._owner, self._name, value)


def _apply(
    advice: Advice,
    trainer: Any,  # noqa: ANN401
    module: Any,  # noqa: ANN401
    batches: Iterable[_Place],
    rates: Iterable[_Place],
) -> None:
    """Set what is advised. Raises ApplyingFailed where the module would not follow it."""
    if advice.accumulation_steps > 1 and not module.automatic_optimization:
        raise ApplyingFailed(
            f"{advice.accumulation_steps} micro-batches are to be accumulated, which a module with "
            "automatic_optimization = False has to do by itself"
        )
    trainer.accumulate_grad_batches = advice.accumulation_steps
    for place in batches:
        place.set(advice.micro_batch_size)
    rate = learning_rate(advice)
    if rate is not None:
        for place in rates:
            place.set(rate)


def _places(trainer: Any, module: Any, names: Sequence[str]) -> Iterator[_Place]:  # noqa: ANN401
    """Yield where the module and the data module have any of these."""
    for owner in (module, trainer.datamodule):
        for name in names if owner is not None else ():
            # A loader that is a property, or a parameter, is no place to set.
            if isinstance(getattr(owner, name, None), int | float):
                yield _Place(owner, name)
            if name in owner.hparams:
                yield _Place(owner.hparams, name)


def _said(advice: Advice, method: str) -> str:
    """Return how a method is to be made to follow, and where the script says values."""
    where = "" if advice.reference is None else "; ".join(map(str, advice.reference.where))
    return f"{method} must read it" + (f"; the script says values at {where}" if where else "")


def _show(advice: Advice) -> None:
    from bsadvise.cli.render.output import say_aside, view_text  # noqa: PLC0415
    from bsadvise.cli.render.views import advice_view  # noqa: PLC0415

    say_aside(view_text(advice_view(advice)))
