"""A call of Lightning's ``Trainer.fit`` as a task: the module trains, the trainer does not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from advisor.worker.data.random_state import random_state_kept, seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.data.user_loader import open_loaders
from advisor.worker.entries.assembly import assemble, refuse_several, seed_weights
from advisor.worker.entries.construction import Construction, Replicates
from advisor.worker.entries.fit_call import (
    FitCall,
    optimizers_and_schedulers,
    overrides,
)
from advisor.worker.entries.inert_trainer import InertTrainer
from advisor.worker.entries.lightning_caveats import caveats_of
from advisor.worker.entries.lightning_hooks import LightningHooks
from advisor.worker.entries.lightning_manual import ManualHooks
from advisor.worker.entries.lightning_preparation import LOADERS, prepared
from advisor.worker.entries.lightning_validation import Validation, minimised
from advisor.worker.entries.schedules import OwnSchedule, run_through
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, TaskSettings
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.loop.several_optimizers import SeveralOptimizers
from advisor.worker.loop.step import PartNames, Parts, autocasting
from advisor.worker.loop.training import Measure, StandardTraining
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.oom import out_of_memory

_NAMES = PartNames(loss="training_step", optimizer="configure_optimizers")
_BEGINNINGS = ("on_fit_start", "on_train_start", "on_train_epoch_start")


class LightningTask:
    """One module, as it was when ``fit`` was called: each training has a copy of it."""

    def __init__(
        self, call: FitCall, hooks: Hooks, seed: int, construction: Construction | None = None
    ) -> None:
        """Take the call over. Runs none of the user's code yet.

        Args:
            call: What ``fit`` was called with.
            hooks: Calls the user's code.
            seed: The job's.
            construction: How the module was made; None where that is not known.
        """
        self._replicates = Replicates(construction, lambda: self._module)
        self.seed = seed
        self._call = call
        self._hooks = hooks

    @cached_property
    def _trainer(self) -> InertTrainer:
        """A trainer that knows the loaders; the module is complete, and attached to nothing."""
        return prepared(self._call, self._hooks)

    @cached_property
    def _module(self) -> Any:  # noqa: ANN401 - a Lightning module
        """The module as training begins with it."""
        _ = self._trainer
        return self._call.module

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
            learning_rate_name="the peak rate of the first parameter group",
            held_out_name="val_dataloader()",
            caveats=caveats_of(
                call, loader, self._module, depends_on_loss=self.own_schedule.depends_on_loss
            ),
        )

    @cached_property
    def data(self) -> DataSource:
        """The data of the training loader, and of the validation loader where there is one."""
        seed_everything(self.seed)
        trainer = self._trainer
        data = open_loaders(
            trainer.train_dataloader, trainer.val_dataloaders, self._hooks, self.seed, LOADERS
        )
        if not self._module.automatic_optimization:
            # What it does to one loss at a rate says nothing of the others.
            data.is_synthetic, data.evaluation_size = True, 0
        return data

    @cached_property
    def own_schedule(self) -> OwnSchedule:
        """The schedule of the user's own training, over the steps that it plans."""
        with random_state_kept():
            module, trainer = self._copy(), self._new_trainer()
            trainer.attach(module)
            optimizer, schedulers = self._configure(module)
        followed = [s for s in schedulers if not s["reduce_on_plateau"]]
        if isinstance(optimizer, SeveralOptimizers):
            followed = []  # It steps them itself.
        steps_per_epoch = trainer.steps_per_epoch

        def advance(step: int) -> None:
            for schedule in followed:
                a_time = 1 if schedule["interval"] == "step" else steps_per_epoch
                due = step % a_time == 0 and (step // a_time) % schedule["frequency"] == 0
                if due:
                    module.lr_scheduler_step(schedule["scheduler"], None)  # type: ignore[operator]

        found = self._hooks.call(
            "configure_optimizers",
            run_through,
            optimizer,
            advance if followed else None,
            trainer.estimated_stepping_batches,
        )
        return replace(found, depends_on_loss=any(s["reduce_on_plateau"] for s in schedulers))

    def _copy(self) -> nn.Module:
        """Return a copy of the module as training begins with it."""
        module: nn.Module = self._module
        try:
            return copy.deepcopy(module)
        except (TypeError, RuntimeError, NotImplementedError) as error:
            if out_of_memory(error) is not None:
                raise
            raise self._hooks.reject(
                "fit",
                f"The module cannot be copied, as each training needs one of its own: {error}",
                "Keep open files, locks and generators out of the module.",
                function=getattr(type(module), "__init__", None),
            ) from error

    def _fresh(self, recipe: Recipe) -> nn.Module:
        """Return a module with the weights of the user's; of a replicate, others if they can be."""
        module = self._copy()
        self._replicates.redraw(module, recipe)
        return module

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
        if optimizers and not module.automatic_optimization:
            return SeveralOptimizers(optimizers), schedulers
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
            module = self._hooks.call("fit", self._fresh, recipe)
            if self._call.converts:
                module = self._call.trainer.precision_plugin.convert_module(module)
            return module

        def moved(module: nn.Module) -> nn.Module:
            return self._hooks.guard("fit", module.to, device)

        module = context.build_model(built, moved)
        _note_device(module, device)
        trainer.attach(module)

        def optimizer() -> torch.optim.Optimizer:
            made, schedulers = self._configure(module)
            own.impose(made, recipe.learning_rate)
            several = made.optimizers if isinstance(made, SeveralOptimizers) else [made]
            trainer.train_with(several, [schedule["scheduler"] for schedule in schedulers])
            for name in _BEGINNINGS:
                if overrides(module, name):
                    self._hooks.call(name, getattr(module, name))
            return made

        made = context.build_optimizer(optimizer)
        about = (self._call, trainer, recipe, self._hooks, self.data.dataset_size)
        hooks = (
            ManualHooks(made, *about)
            if isinstance(made, SeveralOptimizers)
            else LightningHooks(*about)
        )
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
        if trainer.val_dataloaders is None or self.data.evaluation_size == 0:
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
