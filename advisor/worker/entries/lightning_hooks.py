"""A Lightning module's part in a training step, hook by hook, as Lightning's own loop calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from advisor.worker.entries.assembly import loss_problem
from advisor.worker.entries.fit_call import FitCall, overrides, takes_index
from advisor.worker.entries.inert_trainer import InertTrainer
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.step import StepHooks
from advisor.worker.user.batch_tree import move
from advisor.worker.user.hooks import Hooks

_TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class LightningHooks(StepHooks):
    """The hooks of one training's module, which is attached to an inert trainer.

    Gradients of the step before live through the first forward pass: Lightning zeroes them
    between the two.
    """

    zeroes_after_forward = True

    def __init__(
        self,
        call: FitCall,
        trainer: InertTrainer,
        recipe: Recipe,
        hooks: Hooks,
        dataset_size: int | None,
    ) -> None:
        """Take note of what the user's code overrides.

        Args:
            call: What is trained.
            trainer: What the module is attached to.
            recipe: How it is trained.
            hooks: Calls the user's code.
            dataset_size: Samples of an epoch; None where it has no end.
        """
        self._call = call
        self._trainer = trainer
        self._recipe = recipe
        self._hooks = hooks
        self._dataset_size = dataset_size
        self._module: Any = trainer.lightning_module
        self._micro_batch = 0
        self._last_loss: Tensor | None = None
        self._unended: Callable[[], None] | None = None
        self._clip_value = float(call.trainer.gradient_clip_val or 0)
        self.changes_gradients = self._clip_value > 0 or any(
            overrides(self._module, name)
            for name in ("configure_gradient_clipping", "on_before_optimizer_step")
        )

    def begin(self, step: int) -> None:
        """Tell the module where in the training it is."""
        self._micro_batch = step * self._recipe.accumulation_steps
        self._trainer.global_step = step
        samples = step * self._recipe.effective_batch_size
        self._trainer.current_epoch = samples // self._dataset_size if self._dataset_size else 0

    @property
    def _batch_index(self) -> int:
        """Number of the micro-batch in its epoch."""
        if not self._dataset_size:
            return self._micro_batch
        a_epoch = max(1, self._dataset_size // self._recipe.micro_batch_size)
        return self._micro_batch % a_epoch

    def _converting(self) -> AbstractContextManager[Any]:
        """Return the context in which a model runs whose parameters are not of float32."""
        if not self._call.converts:
            return nullcontext()
        context: AbstractContextManager[Any] = self._call.trainer.precision_plugin.forward_context()
        return context

    def receive(self, batch: Any, device: torch.device) -> Any:  # noqa: ANN401 - the user's batch
        """Return a batch on the device, after the hooks of its way there."""
        if self._call.converts:
            batch = self._call.trainer.precision_plugin.convert_input(batch)
        for name in _TRANSFER:
            hook = self._call.batch_hook(name, self._module)
            moves = name == "transfer_batch_to_device"
            if hook is not None:
                arguments = (batch, device, 0) if moves else (batch, 0)
                batch = self._hooks.call(name, hook, *arguments)
            elif moves:
                batch = move(batch, device)
        return batch

    def loss(self, module: Any, batch: Any) -> Tensor:  # noqa: ANN401 - the user's module, batch
        """Return the loss of ``training_step`` on a batch that is on the device."""
        index = self._batch_index
        if module.training:
            self._end_micro_batch()
            self._call_overridden("on_train_batch_start", batch, index)
        arguments = (batch, index) if takes_index(module.training_step) else (batch,)
        self._trainer.training = True
        with self._converting():
            output = self._hooks.call("training_step", module.training_step, *arguments)
        loss: Tensor = self._checked(output)
        if module.training:
            self._micro_batch += 1
            self._last_loss = loss.detach()
            if overrides(module, "on_train_batch_end"):
                told = dict(output) if isinstance(output, Mapping) else {}
                told["loss"] = loss.detach()
                self._unended = lambda: self._call_overridden(
                    "on_train_batch_end", told, batch, index
                )
        return loss

    def _checked(self, output: Any) -> Any:  # noqa: ANN401 - what training_step returns
        """Return the loss in what ``training_step`` returns.

        None skips the micro-batch: what is told of it is the loss of the one before.
        """
        loss: Any = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None and self._last_loss is not None:
            return self._last_loss
        problem = loss_problem(loss)
        if problem is None:
            return loss
        message, fix = problem
        step = self._module.training_step
        raise self._hooks.reject("training_step", message, fix, function=step)

    def _call_overridden(self, name: str, *args: object) -> None:
        """Call a hook of the module where it defines one."""
        if not overrides(self._module, name):
            return
        hook = getattr(self._module, name)
        if self._hooks.call(name, hook, *args) == -1 and name == "on_train_batch_start":
            raise self._hooks.reject(
                name,
                "on_train_batch_start returns -1, which ends the epoch.",
                "Leave the samples that end it out of the data set.",
                function=hook,
            )

    def _end_micro_batch(self) -> None:
        ending, self._unended = self._unended, None
        if ending is not None:
            ending()

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Let go of gradients as the module says."""
        self._call_overridden("on_before_zero_grad", optimizer)
        if overrides(self._module, "optimizer_zero_grad"):
            zero = self._module.optimizer_zero_grad
            epoch = self._trainer.current_epoch
            self._hooks.call("optimizer_zero_grad", zero, epoch, self._batch_index, optimizer)
        else:
            optimizer.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, unless the micro-batch is skipped."""
        if not loss.requires_grad:
            return
        self._call_overridden("on_before_backward", loss)
        self._module.backward(loss)
        self._call_overridden("on_after_backward")

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients as the trainer or the module says."""
        self._call_overridden("on_before_optimizer_step", optimizer)
        value = self._clip_value
        algorithm = str(self._call.trainer.gradient_clip_algorithm or "norm").rpartition(".")[2]
        if overrides(self._module, "configure_gradient_clipping"):
            clip = self._module.configure_gradient_clipping
            given = (self._call.trainer.gradient_clip_val, algorithm.lower())
            self._hooks.call("configure_gradient_clipping", clip, optimizer, *given)
        elif value > 0:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            if algorithm.lower() == "value":
                torch.nn.utils.clip_grad_value_(parameters, value)
            else:
                torch.nn.utils.clip_grad_norm_(parameters, value)

    def after_update(self) -> None:
        """End the step's last micro-batch."""
        self._trainer.global_step += 1
        self._end_micro_batch()
