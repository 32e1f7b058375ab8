"""A call of Lightning's ``Trainer.fit`` as a task: the module trains, the trainer does not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from typing import Any

import torch
from torch import nn

from advisor.worker.data.random_state import random_state_kept, seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.data.user_loader import LoaderNames, checked_loader, open_loaders
from advisor.worker.entries.assembly import assemble, refuse_several, seed_weights
from advisor.worker.entries.fit_call import (
    FitCall,
    base_of,
    optimizers_and_schedulers,
    overrides,
)
from advisor.worker.entries.inert_trainer import InertTrainer
from advisor.worker.entries.lightning_caveats import caveats_of
from advisor.worker.entries.lightning_hooks import LightningHooks
from advisor.worker.entries.lightning_validation import Validation, minimised
from advisor.worker.entries.schedules import OwnSchedule, run_through
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, TaskSettings
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.loop.step import PartNames, Parts, autocasting
from advisor.worker.loop.training import Measure, StandardTraining
from advisor.worker.user.hooks import Hooks

_NAMES = PartNames(loss="training_step", optimizer="configure_optimizers")
_LOADERS = LoaderNames(training="train_dataloader", held_out="val_dataloader")
_BEGINNINGS = ("on_fit_start", "on_train_start", "on_train_epoch_start")


class LightningTask:
    """One module, as it was when ``fit`` was called: each training has a copy of it."""

    def __init__(self, call: FitCall, hooks: Hooks, seed: int) -> None:
        """Take the call over. Runs none of the user's code yet.

        Args:
            call: What ``fit`` was called with.
            hooks: Calls the user's code.
            seed: The job's.
        """
        self.seed = seed
        self._call = call
        self._hooks = hooks

    @cached_property
    def _trainer(self) -> InertTrainer:
        """What the module is attached to until it is complete; it knows the loaders.

        Modules may be completed by ``setup`` or ``configure_model``, for which they may ask for
        the data: all of it is done in the order of Lightning's own ``fit``.
        """
        call, module, datamodule = self._call, self._call.module, self._call.datamodule
        if base_of(module, "LightningModule") is None:
            raise self._hooks.reject(
                "fit",
                f"fit was given a {type(module).__name__}, not a LightningModule.",
                "Give it the module itself.",
            )
        trainer = InertTrainer(call.trainer, datamodule=datamodule)
        trainer.attach(module.to("cpu"))
        if datamodule is not None:
            datamodule.trainer = trainer
        makers = [owner for owner in (datamodule, module) if owner is not None]
        for name, arguments in (("prepare_data", ()), ("setup", ("fit",)), ("configure_model", ())):
            for owner in makers:
                if overrides(owner, name):
                    self._hooks.call(name, getattr(owner, name), *arguments)
        trainer.train_dataloader = self._only(_LOADERS.training, call.train_loaders, makers)
        if overrides(module, "validation_step"):
            trainer.val_dataloaders = self._only(_LOADERS.held_out, call.val_loaders, makers)
        checked_loader(trainer.train_dataloader, self._hooks, _LOADERS.training)
        return trainer

    def _only(self, name: str, given: Any, makers: list[Any]) -> Any:  # noqa: ANN401 - a loader
        """Return the loader of a name: the one that was given, or that a module makes."""
        if given is None:
            owner = next((maker for maker in makers if overrides(maker, name)), None)
            given = None if owner is None else self._hooks.call(name, getattr(owner, name))
        # Several validation loaders measure several things; the first is what is monitored.
        if (
            isinstance(given, list | tuple)
            and given
            and (len(given) == 1 or name == "val_dataloader")
        ):
            return given[0]
        return given

    @cached_property
    def _module(self) -> nn.Module:
        """The module as training begins with it, attached to nothing."""
        trainer = self._trainer
        module: nn.Module = self._call.module
        if not module.automatic_optimization:
            raise self._hooks.reject(
                "training_step",
                "The module optimizes by itself (automatic_optimization = False).",
                "Leave the optimization to Lightning: return the loss from training_step, and one "
                "optimizer from configure_optimizers.",
                function=getattr(type(module), "training_step", None),
            )
        if overrides(module, "optimizer_step"):
            raise self._hooks.reject(
                "optimizer_step",
                "The module overrides optimizer_step, where it may change the rate by itself.",
                "Move a warm-up to a scheduler with interval 'step', and leave optimizer_step out.",
                function=getattr(type(module), "optimizer_step", None),
            )
        trainer.detach(module)
        return module

    @cached_property
    def settings(self) -> TaskSettings:
        """What the trainer, the loader and the optimizer say."""
        trainer, call = self._trainer, self._call
        loader: Any = trainer.train_dataloader
        batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
        accumulation = int(call.trainer.accumulate_grad_batches)
        return TaskSettings(
            precision=call.precision,
            num_workers=loader.num_workers,
            reference_batch_size=None if batch_size is None else batch_size * accumulation,
            reference_learning_rate=self.own_schedule.peak_rate,
            caveats=caveats_of(call, loader, self._schedulers_depend_on_loss),
        )

    @cached_property
    def data(self) -> DataSource:
        """The data of the training loader, and of the validation loader where there is one."""
        seed_everything(self.seed)
        trainer = self._trainer
        return open_loaders(
            trainer.train_dataloader, trainer.val_dataloaders, self._hooks, self.seed, _LOADERS
        )

    @cached_property
    def own_schedule(self) -> OwnSchedule:
        """The schedule of the user's own training, over the steps that it plans."""
        with random_state_kept():
            module, trainer = self._copy(), self._new_trainer()
            trainer.attach(module)
            optimizer, schedulers = self._configure(module)
        self._schedulers_depend_on_loss = any(s["reduce_on_plateau"] for s in schedulers)
        followed = [s for s in schedulers if not s["reduce_on_plateau"]]
        steps_per_epoch = trainer.steps_per_epoch

        def advance(step: int) -> None:
            for schedule in followed:
                a_time = 1 if schedule["interval"] == "step" else steps_per_epoch
                due = step % a_time == 0 and (step // a_time) % schedule["frequency"] == 0
                if due:
                    module.lr_scheduler_step(schedule["scheduler"], None)  # type: ignore[operator]

        return self._hooks.call(
            "configure_optimizers",
            run_through,
            optimizer,
            advance if followed else None,
            trainer.estimated_stepping_batches,
        )

    _schedulers_depend_on_loss = False

    def _copy(self) -> nn.Module:
        """Return a copy of the module as training begins with it."""
        module = self._module
        try:
            return copy.deepcopy(module)
        except (TypeError, RuntimeError, NotImplementedError) as error:
            raise self._hooks.reject(
                "fit",
                f"The module cannot be copied, as each training needs one of its own: {error}",
                "Keep open files, locks and generators out of the module.",
                function=getattr(type(module), "__init__", None),
            ) from error

    def _new_trainer(self) -> InertTrainer:
        made = self._trainer
        return InertTrainer(
            self._call.trainer,
            datamodule=self._call.datamodule,
            train_dataloader=made.train_dataloader,
            val_dataloaders=made.val_dataloaders,
        )

    def _configure(self, module: Any) -> tuple[torch.optim.Optimizer, list[dict[str, Any]]]:  # noqa: ANN401
        """Return the one optimizer of a module, and its schedulers."""
        configure = module.configure_optimizers
        returned = self._hooks.call("configure_optimizers", configure)
        optimizers, schedulers = optimizers_and_schedulers(returned)
        if len(optimizers) == 1 and isinstance(optimizers[0], torch.optim.Optimizer):
            return optimizers[0], schedulers
        names = ", ".join(type(optimizer).__name__ for optimizer in optimizers) or "none"
        raise self._hooks.reject(
            "configure_optimizers",
            f"configure_optimizers returns {len(optimizers)} optimizers ({names}); one is needed.",
            "Return one torch.optim.Optimizer, with a parameter group for each part.",
            function=configure.__func__,
        )

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> StandardTraining:
        """Return a training of a copy of the module, with the weights that it had.

        Raises:
            UserCodeFailed: The user's code raised, or cannot be trained here.
            ValueError: Several processes are to take part.
        """
        refuse_several(world, "a Lightning module")
        own, trainer = self.own_schedule, self._new_trainer()
        trainer.accumulate_grad_batches = recipe.accumulation_steps
        trainer.strategy.root_device = device

        def built() -> nn.Module:
            seed_weights(recipe)
            module = self._hooks.call("fit", self._copy)
            if self._call.converts:
                module = self._call.trainer.precision_plugin.convert_module(module)
            return module

        def moved(module: nn.Module) -> nn.Module:
            return self._hooks.guard("fit", module.to, device)

        module = context.build_model(built, moved)
        _note_device(module, device)
        trainer.attach(module)

        def optimizer() -> torch.optim.Optimizer:
            made, _ = self._configure(module)
            own.impose(made, recipe.learning_rate)
            trainer.train_with(made)
            for name in _BEGINNINGS:
                if overrides(module, name):
                    self._hooks.call(name, getattr(module, name))
            return made

        made = context.build_optimizer(optimizer)
        hooks = LightningHooks(self._call, trainer, recipe, self._hooks, self.data.dataset_size)
        parts = Parts(
            model=module,
            optimizer=made,
            loss=hooks.loss,
            guard=self._hooks.guard,
            names=_NAMES,
            hooks=hooks,
        )
        precision = recipe.precision or self._call.precision
        return assemble(
            parts,
            recipe,
            self.data,
            device,
            precision=precision,
            measure=self._measure(trainer, hooks, device, precision),
        )

    def _measure(
        self, trainer: InertTrainer, hooks: LightningHooks, device: torch.device, precision: str
    ) -> Measure | None:
        """Return the measure by ``validation_step``; None where the module validates nothing."""
        if trainer.val_dataloaders is None:
            return None
        validation = Validation(trainer, self._hooks, minimised(self._call.trainer))

        def measure(module: nn.Module, batch_size: int) -> float:
            with closing(self.data.held_out_batches(batch_size)) as batches:
                return validation.measure(
                    module,
                    _received(batches, hooks, device),
                    lambda batch: hooks.loss(module, batch),
                    lambda: autocasting(device, precision),
                )

        return measure


def _received(batches: Iterator[Any], hooks: LightningHooks, device: torch.device) -> Iterator[Any]:
    return (hooks.receive(batch, device) for batch in batches)


def _note_device(module: nn.Module, device: torch.device) -> None:
    """Let modules say that they are on a device: fake tensors get there without ``Module.to``."""
    for part in module.modules():
        if hasattr(part, "_device"):
            vars(part)["_device"] = device
