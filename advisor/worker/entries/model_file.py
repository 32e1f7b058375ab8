"""The model file as a task: its hooks make the parts of a training, each checked when made."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.data.opening import open_data
from advisor.worker.data.random_state import seed_everything
from advisor.worker.data.source import DataSource, HeldOutLoader
from advisor.worker.entries.assembly import assemble, loss_problem, refuse_several, seed_weights
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, TaskSettings
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.loop.step import Parts
from advisor.worker.loop.training import Measure, StandardTraining
from advisor.worker.user.batch_tree import move
from advisor.worker.user.default_loss import NoDefaultLoss, default_loss
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.model_file import ModelFile, check_build_kwargs, load_model_file
from advisor.worker.user.optimizers import optimizer_problem
from advisor.worker.user.reading import (
    line_of_call,
    line_of_function,
    line_of_return,
    reentrant_checkpoint,
)

_REENTRANT_FIX = (
    "Re-entrant checkpointing gives no gradient where its input needs none, as over frozen "
    "weights: write `checkpoint(function, x, use_reentrant=False)`."
)


class ModelFileTask:
    """One model file. The file and its data are loaded once, when first needed."""

    def __init__(self, job: pipe_pb2.Job, hooks: Hooks) -> None:
        self.seed = job.seed
        self._hooks = hooks
        self._build_kwargs = {name: _value(text) for name, text in job.build_kwargs.items()}

    @cached_property
    def _file(self) -> ModelFile:
        return load_model_file(self._hooks)

    @property
    def settings(self) -> TaskSettings:
        """The constants of the file."""
        return TaskSettings(
            precision=self._file.precision,
            num_workers=self._file.num_workers,
            reference_batch_size=self._file.reference_batch_size,
            reference_learning_rate=self._file.reference_learning_rate,
            training_length=self._file.training_length,
        )

    @cached_property
    def data(self) -> DataSource:
        """The data."""
        seed_everything(self.seed)
        return open_data(self._file, self._hooks, self.seed)

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> StandardTraining:
        """Return a training with fresh weights.

        Raises:
            UserCodeFailed: The user's code raised, or does not keep to the contract.
            ValueError: Several processes are to take part.
        """
        refuse_several(world, "a model file")

        def built() -> nn.Module:
            return self._build_model(recipe)

        def moved(model: nn.Module) -> nn.Module:
            return self._hooks.guard("build_model", model.to, device)

        model = context.build_model(built, moved)
        optimizer = context.build_optimizer(lambda: self._build_optimizer(model, recipe))
        parts = Parts(model=model, optimizer=optimizer, loss=self._loss, guard=self._hooks.guard)
        return assemble(
            parts,
            recipe,
            self.data,
            device,
            precision=recipe.precision or self._file.precision,
            measure=self._measure(device),
        )

    def _build_model(self, recipe: Recipe) -> nn.Module:
        """Return a model with fresh weights, where the user's code puts it."""
        function = self._file.build_model
        check_build_kwargs(self._hooks, function, self._build_kwargs)
        seed_weights(recipe)
        model = self._hooks.call("build_model", function, **self._build_kwargs)
        if not isinstance(model, nn.Module):
            raise self._hooks.reject(
                "build_model",
                f"build_model returns a {type(model).__name__}, not a torch.nn.Module.",
                "Return the model itself, made and not called.",
                function=function,
            )
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            kind = type(model).__name__
            raise self._hooks.reject(
                "build_model",
                f"build_model returns the model in a {kind}.",
                "Return the plain model, and give `--gpus N` in place of the wrapper.",
                function=function,
                line=line_of_call(self._hooks.source, kind, "DDP"),
            )
        if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
            raise self._hooks.reject(
                "build_model",
                "build_model returns a model with lazy layers, whose weights are not there yet.",
                "Call it once before you return it: `model(x)` with an input of one sample.",
                function=function,
            )
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise self._hooks.reject(
                "build_model",
                "The model has no trainable parameters.",
                "Leave `requires_grad` on for the parameters that are to be trained, and assign "
                "layers to attributes of the module, not to a plain list.",
                function=function,
            )
        return model

    def _build_optimizer(self, model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        """Return the user's optimizer for a model, or AdamW."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        function: Any = self._file.build_optimizer or torch.optim.AdamW
        optimizer = self._hooks.call("build_optimizer", function, parameters, recipe.learning_rate)
        if not isinstance(optimizer, torch.optim.Optimizer):
            message, fix = optimizer_problem(optimizer)
            line = line_of_return(self._hooks.source, "build_optimizer")
            raise self._hooks.reject("build_optimizer", message, fix, function=function, line=line)
        return optimizer

    def _loss(self, model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        """Return the loss of a model on a batch that is on its device: a scalar tensor."""
        function = self._file.loss_fn
        try:
            loss = self._hooks.call("loss_fn", function or default_loss, model, batch)
        except NoDefaultLoss as error:
            raise self._hooks.reject(
                "loss_fn",
                str(error),
                error.fix,
                line=line_of_function(self._hooks.source, "forward"),
            ) from error
        problem = loss_problem(loss)
        if problem is not None:
            message, fix = problem
            checkpoint = reentrant_checkpoint(self._hooks.source)
            if checkpoint is not None and getattr(loss, "requires_grad", None) is False:
                raise self._hooks.reject("loss_fn", message, _REENTRANT_FIX, line=checkpoint)
            raise self._hooks.reject("loss_fn", message, fix, function=function)
        checked: Tensor = loss
        return checked

    def _measure(self, device: torch.device) -> Measure | None:
        """Return the user's held-out measure; None where the file defines none."""
        function = self._file.evaluate
        if function is None:
            return None

        def measure(model: nn.Module, batch_size: int) -> float:
            loader = HeldOutLoader(self.data, batch_size, lambda batch: move(batch, device))
            value = self._hooks.call("evaluate", function, model, loader)
            return _number(self._hooks, function, value)

        return measure


def _number(hooks: Hooks, function: Callable[..., Any], value: object) -> float:
    """Return the user's measure as a number, which it must be."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise hooks.reject(
            "evaluate",
            f"evaluate returns a {type(value).__name__}, not a number.",
            "Return one number of which less is better.",
            function=function,
        )
    return float(value)


def _value(text: str) -> object:
    """Return what the text of ``--set name=text`` stands for: a Python literal, else itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
