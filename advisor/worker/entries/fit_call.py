"""What a call of Lightning's ``Trainer.fit`` was given, and what its modules override.

Lightning comes under two names, ``lightning.pytorch`` and ``pytorch_lightning``, whose classes
have nothing in common. Neither is imported here: a class is known by its name among the bases.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

_PARAMETERS = ("model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCall:
    """The arguments of ``fit``.

    Attributes:
        trainer: The user's trainer.
        module: The LightningModule.
        train_loaders: What it was given to train on; None where a module makes it.
        val_loaders: What it was given to validate on; None where a module makes it, if any does.
        datamodule: The LightningDataModule; None without one.
        is_compiled: Whether the module was compiled.
        has_checkpoint: Whether training was to go on from a checkpoint.
    """

    trainer: Any
    module: Any
    train_loaders: Any = None
    val_loaders: Any = None
    datamodule: Any = None
    is_compiled: bool = False
    has_checkpoint: bool = False

    @classmethod
    def of(cls, trainer: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FitCall:
        """Return what ``fit`` was called with."""
        given = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        model = given.get("model")
        call = cls(
            trainer=trainer,
            module=getattr(model, "_orig_mod", model),
            train_loaders=given.get("train_dataloaders"),
            val_loaders=given.get("val_dataloaders"),
            datamodule=given.get("datamodule"),
            is_compiled=hasattr(model, "_orig_mod"),
            has_checkpoint=given.get("ckpt_path") is not None,
        )
        if base_of(call.train_loaders, "LightningDataModule") is None:
            return call
        return replace(call, train_loaders=None, datamodule=call.train_loaders)

    @property
    def precision(self) -> str:
        """The trainer's precision: "fp32", "bf16" or "fp16", of autocast alone."""
        named = str(self.trainer.precision)
        return {"bf16-mixed": "bf16", "16-mixed": "fp16"}.get(named, "fp32")

    @property
    def converts(self) -> bool:
        """Whether the trainer gives the parameters themselves another type than float32."""
        named = str(self.trainer.precision)
        return not named.endswith("-mixed") and named not in ("32-true", "32")

    def batch_hook(self, name: str, module: Any) -> Any | None:  # noqa: ANN401 - a method
        """Return a hook of the batch's way to the device; None where nobody overrides it."""
        for owner in (self.datamodule, module):
            if owner is not None and overrides(owner, name):
                return getattr(owner, name)
        return None


def base_of(value: object, name: str) -> type | None:
    """Return the class of a name among the bases of a value's class; None where there is none.

    The most basic of them: users give their own classes the names that libraries have.
    """
    bases = reversed(type(value).__mro__)
    return next((base for base in bases if base.__name__ == name), None)


def overrides(owner: object, name: str) -> bool:
    """Return whether a module or data module defines a hook of its own."""
    for kind in ("LightningModule", "LightningDataModule", "Callback"):
        base = base_of(owner, kind)
        if base is not None:
            return getattr(type(owner), name, None) is not getattr(base, name, None)
    return False


def takes_index(step: Any) -> bool:  # noqa: ANN401 - a method
    """Return whether a ``training_step`` takes the number of the batch after the batch."""
    try:
        parameters = inspect.signature(step).parameters.values()
    except (TypeError, ValueError):
        return True
    return len(parameters) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def optimizers_and_schedulers(
    returned: Any,  # noqa: ANN401 - whatever the user returns
) -> tuple[list[torch.optim.Optimizer], list[dict[str, Any]]]:
    """Return what ``configure_optimizers`` returns, in any of its forms.

    Each scheduler is a dictionary as Lightning takes it: "scheduler", and maybe "interval",
    "frequency" and "reduce_on_plateau".
    """
    if isinstance(returned, Mapping):
        schedule = returned.get("lr_scheduler")
        return [returned["optimizer"]], [] if schedule is None else [_dictionary(schedule)]
    if not isinstance(returned, list | tuple):
        return ([] if returned is None else [returned]), []
    if len(returned) == 2 and isinstance(returned[0], list):
        optimizers, given = returned
        schedules = given if isinstance(given, list | tuple) else [given]
        return optimizers, [_dictionary(schedule) for schedule in schedules]
    found = [optimizers_and_schedulers(part) for part in returned]
    return [o for opts, _ in found for o in opts], [s for _, scheds in found for s in scheds]


def _dictionary(schedule: Any) -> dict[str, Any]:  # noqa: ANN401 - a scheduler or a dictionary
    found = dict(schedule) if isinstance(schedule, Mapping) else {"scheduler": schedule}
    plateau = isinstance(found["scheduler"], torch.optim.lr_scheduler.ReduceLROnPlateau)
    return {"interval": "epoch", "frequency": 1, "reduce_on_plateau": plateau, **found}
