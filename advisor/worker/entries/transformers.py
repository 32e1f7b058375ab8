"""A call of Transformers' ``Trainer.train`` as a task: the trainer computes losses, no more."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from torch import nn
from torch.utils.data import DataLoader

from advisor.worker.data.random_state import random_state_kept, seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.data.user_loader import LoaderNames, checked_loader, open_loaders
from advisor.worker.entries.assembly import assemble, refuse_several, seed_weights
from advisor.worker.entries.construction import Construction, Replicates
from advisor.worker.entries.schedules import DEPENDS_ON_LOSS, OwnSchedule, run_through
from advisor.worker.entries.transformers_checks import (
    NOT_DIVIDED,
    is_taken_for_share,
    left_out,
    losses_by_count,
    precision_of,
    problem_of,
)
from advisor.worker.entries.transformers_hooks import TransformersHooks
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, TaskSettings
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.loop.step import PartNames, Parts
from advisor.worker.loop.training import StandardTraining
from advisor.worker.user.hooks import Hooks, UserCodeFailed

_NAMES = PartNames(loss="training_step", optimizer="create_optimizer")
_TRIED_SAMPLES = 2
_LOADERS = LoaderNames(training="get_train_dataloader", held_out="get_eval_dataloader")


class TransformersTask:
    """One trainer, as it was when ``train`` was called: each training has a copy of its model."""

    def __init__(
        self,
        trainer: Any,  # noqa: ANN401 - the user's
        hooks: Hooks,
        seed: int,
        construction: Construction | None = None,
    ) -> None:
        """Take the trainer over. Runs none of the user's code yet.

        Args:
            trainer: A ``transformers.Trainer``, or what inherits it.
            hooks: Calls the user's code.
            seed: The job's.
            construction: How its model was made; None where that is not known.
        """
        self._replicates = Replicates(construction, lambda: self._trainer.model)
        self.seed = seed
        self._hooks = hooks
        self._given = trainer

    @cached_property
    def _trainer(self) -> Any:  # noqa: ANN401 - the user's
        """The user's trainer, whose model leaves the device to the trainings."""
        trainer = self._given
        problem = problem_of(trainer)
        if problem is not None:
            message, fix = problem
            raise self._hooks.reject("train", message, fix)
        self._hooks.call("train", trainer.model.to, "cpu")
        return trainer

    @cached_property
    def _loader(self) -> DataLoader[Any]:
        make = self._trainer.get_train_dataloader
        loader = self._hooks.call(_LOADERS.training, make)
        return checked_loader(loader, self._hooks, _LOADERS.training)

    @cached_property
    def settings(self) -> TaskSettings:
        """What the trainer's arguments say."""
        args = self._trainer.args
        accumulation = int(args.gradient_accumulation_steps)
        return TaskSettings(
            precision=precision_of(args),
            num_workers=self._loader.num_workers,
            reference_batch_size=int(args.per_device_train_batch_size) * accumulation,
            reference_learning_rate=self.own_schedule.peak_rate,
            learning_rate_name="the peak rate of the first parameter group",
            held_out_name="an eval_dataset",
            caveats=tuple(
                Caveat(code=CaveatCode.TRAINER_PARTS_LEFT_OUT, text=text)
                for text in (
                    *left_out(self._trainer, self._loader),
                    *((DEPENDS_ON_LOSS,) if self.own_schedule.depends_on_loss else ()),
                    *(() if self._is_share else (NOT_DIVIDED,)),
                )
            ),
        )

    @cached_property
    def data(self) -> DataSource:
        """The training data, and the evaluation data where the trainer has them."""
        seed_everything(self.seed)
        held_out = self._trainer.eval_dataset
        if isinstance(held_out, Mapping):
            # Of several data sets the first is as good as any: losses are compared with it alone.
            held_out = next(iter(held_out.values()), None)
        if held_out is not None:
            make = self._trainer.get_eval_dataloader
            held_out = self._hooks.call(_LOADERS.held_out, make, held_out)
        return open_loaders(self._loader, held_out, self._hooks, self.seed, _LOADERS)

    @cached_property
    def own_schedule(self) -> OwnSchedule:
        """The schedule of the user's own training, over the steps that it plans."""
        steps = self._planned_steps()
        with random_state_kept():
            trainer = copy.copy(self._trainer)
            optimizer = self._make_optimizer(trainer)
            if trainer.lr_scheduler is None:
                make = trainer.create_scheduler
                self._hooks.call("create_scheduler", make, int(min(steps, 1e9)), optimizer)
            schedule = trainer.lr_scheduler
        kinds = torch.optim.lr_scheduler
        depends_on_loss = isinstance(schedule, kinds.ReduceLROnPlateau) or not isinstance(
            schedule, kinds.LRScheduler
        )
        advance = None if depends_on_loss else (lambda _: schedule.step())
        found = self._hooks.call("create_scheduler", run_through, optimizer, advance, steps)
        return replace(found, depends_on_loss=depends_on_loss)

    @cached_property
    def _is_share(self) -> bool:
        """Whether the loss of a micro-batch in training is its share of the step's loss.

        The trainer takes it for one where the model's ``forward`` takes any keyword, the number of
        labels in the step among them. Some models take no notice of that number.
        """
        if not is_taken_for_share(self._trainer):
            return True
        with random_state_kept():
            with closing(self.data.training_batches(_TRIED_SAMPLES)) as batches:
                batch = next(batches)
            try:
                losses = self._hooks.call("compute_loss", losses_by_count, self._trainer, batch)
            except UserCodeFailed:
                return True  # It may run on another device alone.
        return losses is None or losses[0] != losses[1]

    def _fresh(self, recipe: Recipe) -> nn.Module:
        """Return a model with the weights of the user's; of a replicate, others if they can be."""
        trainer = self._trainer
        if trainer.model_init is not None:
            model = trainer.call_model_init()
        else:
            model = copy.deepcopy(trainer.model)
            self._replicates.redraw(model, recipe)
        return _with_checkpointing(model, trainer.args)

    def _planned_steps(self) -> float:
        args = self._trainer.args
        if args.max_steps > 0:
            return int(args.max_steps)
        try:
            batches = len(self._loader)
        except TypeError:
            return math.inf
        a_epoch = max(math.ceil(batches / int(args.gradient_accumulation_steps)), 1)
        return math.ceil(float(args.num_train_epochs) * a_epoch)

    def _make_optimizer(self, trainer: Any) -> torch.optim.Optimizer:  # noqa: ANN401
        """Give a copy of the trainer an optimizer of its model, and return it.

        One that the user made is copied with its schedule, over the parameters of the same names.
        """
        if self._trainer.optimizer is None:
            trainer.optimizer = trainer.lr_scheduler = None
            made = self._hooks.call("create_optimizer", trainer.create_optimizer)
        else:
            theirs = dict(self._trainer.model.named_parameters())
            ours = trainer.model.named_parameters()
            memo = {id(theirs[name]): parameter for name, parameter in ours}
            pair = (self._trainer.optimizer, self._trainer.lr_scheduler)
            made, trainer.lr_scheduler = copy.deepcopy(pair, memo)
        if not isinstance(made, torch.optim.Optimizer):
            raise self._hooks.reject(
                "create_optimizer",
                f"create_optimizer returns a {type(made).__name__}, not an Optimizer.",
                "Return a torch.optim.Optimizer alone: `return optimizer`.",
            )
        trainer.optimizer = made
        return made

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> StandardTraining:
        """Return a training of a copy of the model, or of what ``model_init`` returns.

        Raises:
            UserCodeFailed: The user's code raised, or cannot be trained here.
            ValueError: Several processes are to take part.
        """
        refuse_several(world, "a Transformers trainer")
        own, trainer = self.own_schedule, copy.copy(self._trainer)
        trainer.state = copy.copy(trainer.state)

        def built() -> nn.Module:
            seed_weights(recipe)
            return self._hooks.call("train", self._fresh, recipe)

        def moved(model: nn.Module) -> nn.Module:
            return self._hooks.guard("train", model.to, device)

        model = context.build_model(built, moved)
        _replace_model(trainer, model, device)

        def optimizer() -> torch.optim.Optimizer:
            made = self._make_optimizer(trainer)
            own.impose(made, recipe.learning_rate)
            return made

        made = context.build_optimizer(optimizer)
        hooks = TransformersHooks(
            trainer,
            recipe,
            device,
            self._hooks,
            is_share=recipe.accumulation_steps == 1 or self._is_share,
        )
        parts = Parts(
            model=model,
            optimizer=made,
            loss=hooks.loss,
            guard=self._hooks.guard,
            names=_NAMES,
            hooks=hooks,
        )
        precision = recipe.precision or precision_of(self._trainer.args)
        return assemble(parts, recipe, self.data, device, precision=precision, measure=None)


def _with_checkpointing(model: Any, args: Any) -> nn.Module:  # noqa: ANN401
    """Return a model that recomputes its activations where the trainer's arguments say so."""
    if getattr(args, "activation_checkpointing", False):
        kwargs = dict(args.activation_checkpointing_kwargs or {})
        how = {key: kwargs.pop(key) for key in ("every_n_layers", "offload") if key in kwargs}
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=kwargs or None, **how)
    elif getattr(args, "gradient_checkpointing", False):
        model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
    return model  # type: ignore[no-any-return]


def _replace_model(trainer: Any, model: nn.Module, device: torch.device) -> None:  # noqa: ANN401
    """Give a copy of a trainer a model, also where its losses hold the one that it had."""
    theirs = trainer.model
    for name, value in list(vars(trainer).items()):
        if isinstance(value, nn.Module) and value is not theirs and theirs in value.modules():
            setattr(trainer, name, copy.deepcopy(value, {id(theirs): model}).to(device))
    trainer.model = trainer.model_wrapped = model
