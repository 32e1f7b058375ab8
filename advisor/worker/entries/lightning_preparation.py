"""Completes a Lightning module and its data, in the order of Lightning's own ``fit``."""

from __future__ import annotations

from typing import Any

from advisor.worker.data.user_loader import LoaderNames, checked_loader
from advisor.worker.entries.fit_call import FitCall, base_of, overrides
from advisor.worker.entries.inert_trainer import InertTrainer
from advisor.worker.user.hooks import Hooks

LOADERS = LoaderNames(training="train_dataloader", held_out="val_dataloader")

_STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prepare_data", ()),
    ("setup", ("fit",)),
    ("configure_model", ()),
)


def prepared(call: FitCall, hooks: Hooks) -> InertTrainer:
    """Return a trainer that knows the loaders of a module, which is complete then.

    Modules may be completed by ``setup`` or ``configure_model``, for which they may ask their
    trainer, and for the data.

    Args:
        call: The call of ``fit``.
        hooks: Calls the user's code.

    Raises:
        UserCodeFailed: The user's code raised, or cannot be trained here.
    """
    module, datamodule = call.module, call.datamodule
    if base_of(module, "LightningModule") is None:
        raise hooks.reject(
            "fit",
            f"fit was given a {type(module).__name__}, not a LightningModule.",
            "Give it the module itself.",
        )
    if overrides(module, "optimizer_step"):
        raise hooks.reject(
            "optimizer_step",
            "The module overrides optimizer_step, where it may change the rate by itself.",
            "Move a warm-up to a scheduler with interval 'step', and leave optimizer_step out.",
            function=getattr(type(module), "optimizer_step", None),
        )
    trainer = InertTrainer(call.trainer, datamodule=datamodule)
    trainer.attach(module.to("cpu"))
    if datamodule is not None:
        datamodule.trainer = trainer
    makers = [owner for owner in (datamodule, module) if owner is not None]
    for name, arguments in _STAGES:
        for owner in makers:
            if overrides(owner, name):
                hooks.call(name, getattr(owner, name), *arguments)
    given = _loader(LOADERS.training, call.train_loaders, makers, hooks)
    trainer.train_dataloader = checked_loader(given, hooks, LOADERS.training)
    if overrides(module, "validation_step"):
        trainer.val_dataloaders = _loader(LOADERS.held_out, call.val_loaders, makers, hooks)
    trainer.detach(module)
    return trainer


def _loader(name: str, given: Any, makers: list[Any], hooks: Hooks) -> Any:  # noqa: ANN401
    """Return the loader of a name: the one that was given, or that a module makes."""
    if given is None:
        owner = next((maker for maker in makers if overrides(maker, name)), None)
        given = None if owner is None else hooks.call(name, getattr(owner, name))
    if isinstance(given, list | tuple) and given:
        # Several validation loaders measure several things; the first is what is monitored.
        return given[0] if len(given) == 1 or name == LOADERS.held_out else given
    return given
