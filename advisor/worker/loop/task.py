"""The user's task: a model, its optimizer, its loss and its data, each checked when it is made."""

from __future__ import annotations

import ast
import random
import sys
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.data.opening import open_data
from advisor.worker.data.source import DataSource
from advisor.worker.user.default_loss import NoDefaultLoss, default_loss
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.model_file import ModelFile, check_build_kwargs, load_model_file

ANY_LEARNING_RATE = 1e-3
"""For looking at an optimizer, and for memory and speed, which do not depend on the rate."""

_REPLICATE_SEEDS = 104_729
"""Distance of the seeds of two replicates: far from those that users name."""


class Task:
    """One model file at work. The file and its data are loaded once, when first needed."""

    def __init__(self, job: pipe_pb2.Job, hooks: Hooks) -> None:
        self.hooks = hooks
        self.seed = job.seed
        self._build_kwargs = {name: _value(text) for name, text in job.build_kwargs.items()}

    @cached_property
    def file(self) -> ModelFile:
        """The model file."""
        return load_model_file(self.hooks)

    @cached_property
    def data(self) -> DataSource:
        """The data."""
        seed_everything(self.seed)
        return open_data(self.file, self.hooks, self.seed)

    def build_model(self, replicate: int = 0) -> nn.Module:
        """Return a model with the job's fresh weights, where the user's code puts it.

        Args:
            replicate: 0 for the weights that the job's seed gives; other numbers for others.
        """
        function = self.file.build_model
        check_build_kwargs(self.hooks, function, self._build_kwargs)
        seed_everything(self.seed + _REPLICATE_SEEDS * replicate)
        model = self.hooks.call("build_model", function, **self._build_kwargs)
        if not isinstance(model, nn.Module):
            raise self.hooks.reject(
                "build_model",
                f"build_model returns a {type(model).__name__}, not a torch.nn.Module.",
                "Return the model itself, made and not called.",
                function=function,
            )
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise self.hooks.reject(
                "build_model",
                "The model has no trainable parameters.",
                "Leave `requires_grad` on for the parameters that are to be trained, and assign "
                "layers to attributes of the module, not to a plain list.",
                function=function,
            )
        return model

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """Return the user's optimizer for a model, or AdamW."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        function: Any = self.file.build_optimizer or torch.optim.AdamW
        optimizer = self.hooks.call("build_optimizer", function, parameters, learning_rate)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise self.hooks.reject(
                "build_optimizer",
                f"build_optimizer returns a {type(optimizer).__name__}, not an Optimizer.",
                "Return a torch.optim.Optimizer alone; schedules have no place here.",
                function=function,
            )
        return optimizer

    def loss(self, model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        """Return the loss of a model on a batch that is on its device: a scalar tensor."""
        function = self.file.loss_fn
        try:
            loss = self.hooks.call("loss_fn", function or default_loss, model, batch)
        except NoDefaultLoss as error:
            raise self.hooks.reject(
                "loss_fn", str(error), "Define `loss_fn(model, batch)` that returns a scalar."
            ) from error
        problem = _loss_problem(loss)
        if problem is not None:
            message, fix = problem
            raise self.hooks.reject("loss_fn", message, fix, function=function)
        checked: Tensor = loss
        return checked


def _loss_problem(loss: object) -> tuple[str, str] | None:
    if not isinstance(loss, Tensor):
        return (
            f"The loss is a {type(loss).__name__}, not a tensor.",
            "Return the loss as a tensor, without `.item()` or `float()`.",
        )
    if loss.numel() != 1:
        return (
            f"The loss is a tensor of shape {list(loss.shape)}, not a scalar.",
            "Return its mean over the batch, for example `loss.mean()`.",
        )
    if not loss.is_floating_point():
        return f"The loss is of type {loss.dtype}.", "Return a loss of a float type."
    if torch.is_grad_enabled() and not loss.requires_grad:
        return (
            "The loss does not depend on the model's trainable parameters.",
            "Leave out `.detach()`, `.data` and `torch.no_grad()` on the way to the loss.",
        )
    return None


def seed_everything(seed: int) -> None:
    """Seed every generator that models and data sets commonly draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % (1 << 32))


def _value(text: str) -> object:
    """Return what the text of ``--set name=text`` stands for: a Python literal, else itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
