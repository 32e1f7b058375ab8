"""The held-out loss of a Lightning module: what its ``validation_step`` returns or logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from advisor.worker.entries.fit_call import overrides, takes_index
from advisor.worker.entries.inert_trainer import InertTrainer
from advisor.worker.user.batch_tree import count_samples
from advisor.worker.user.hooks import Hooks


class Validation:
    """Validates a module that is attached to an inert trainer."""

    def __init__(self, trainer: InertTrainer, hooks: Hooks, monitored: Iterable[str]) -> None:
        """Take note of what is validated.

        Args:
            trainer: What the module is attached to.
            hooks: Calls the user's code.
            monitored: Names of logged values that callbacks minimise, best first.
        """
        self._trainer = trainer
        self._hooks = hooks
        self._monitored = tuple(monitored)

    def measure(
        self,
        module: Any,  # noqa: ANN401 - a Lightning module
        batches: Iterable[Any],
        loss: Callable[[Any], Tensor],
        context: Callable[[], AbstractContextManager[Any]],
    ) -> float:
        """Return the mean loss a sample over held-out batches.

        Args:
            module: The module, in evaluation.
            batches: The batches, on the device.
            loss: Returns the training loss on a batch, where validation says of none.
            context: In which each batch is validated.
        """
        total, sample_count = 0.0, 0
        self._trainer.validating, self._trainer.training = True, False
        self._call(module, "on_validation_epoch_start")
        for index, batch in enumerate(batches):
            count = count_samples(batch) or 1
            with context():
                value = self._of_batch(module, batch, index)
                value = loss(batch) if value is None else value
            total += count * float(value)
            sample_count += count
        self._trainer.callback_metrics.clear()
        self._call(module, "on_validation_epoch_end")
        self._trainer.validating = False
        whole = self._logged()
        return float(whole) if whole is not None else total / max(sample_count, 1)

    def _of_batch(self, module: Any, batch: Any, index: int) -> Any:  # noqa: ANN401
        self._trainer.callback_metrics.clear()
        step = module.validation_step
        output = self._hooks.call(
            "validation_step", step, *((batch, index) if takes_index(step) else (batch,))
        )
        returned = output.get("loss") if isinstance(output, Mapping) else output
        if isinstance(returned, Tensor) and returned.numel() == 1:
            return returned
        return self._logged()

    def _logged(self) -> Any:  # noqa: ANN401 - a number, or None
        """Return the logged value that is a loss by its name; None where none or several are."""
        logged = self._trainer.callback_metrics
        losses = [name for name in logged if "loss" in name.lower()]
        chosen = [name for name in self._monitored if name in logged] or (
            losses if len(losses) == 1 else []
        )
        value = logged[chosen[0]] if chosen else None
        return value if isinstance(value, int | float | Tensor) else None

    def _call(self, module: Any, name: str) -> None:  # noqa: ANN401 - a Lightning module
        if overrides(module, name):
            self._hooks.call(name, getattr(module, name))


def minimised(trainer: Any) -> list[str]:  # noqa: ANN401 - a Lightning trainer
    """Return the names that a trainer's callbacks monitor and want small."""
    found = [
        callback.monitor
        for callback in trainer.callbacks
        if getattr(callback, "monitor", None) and getattr(callback, "mode", "min") == "min"
    ]
    return [name for name in found if isinstance(name, str)]
