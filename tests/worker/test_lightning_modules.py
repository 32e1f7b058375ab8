"""What users write in Lightning modules, hook by hook."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from advisor.worker.entries.fit_call import FitCall, optimizers_and_schedulers
from advisor.worker.entries.lightning import LightningTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.loop.training import StandardTraining
from advisor.worker.user.hooks import Hooks, UserCodeFailed
from tests.support import lightning_modules as modules

pytestmark = pytest.mark.filterwarnings("default")

CPU = torch.device("cpu")


class Plain(pl.LightningModule):  # type: ignore[misc]
    """The least that Lightning takes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(modules.FEATURES, modules.CLASSES)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        return nn.functional.cross_entropy(self.layer(x), y)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def task_of(module: Any, data: Any = None, **settings: Any) -> LightningTask:
    given = {"datamodule": modules.Data()} if data is None else {"train_dataloaders": data}
    call = FitCall.of(modules.trainer(max_epochs=2, **settings), (module,), given)
    return LightningTask(call, Hooks(Path(), "train.py", lambda _: None), 3)


def built(task: LightningTask, **settings: Any) -> StandardTraining:
    return task.build(Recipe(micro_batch_size=8, **settings), CPU, SINGLE_PROCESS)


def test_hooks_are_called_in_lightnings_order() -> None:
    called: list[str] = []

    def note(name: str) -> Any:
        return lambda self, *args: called.append(name)

    names = (
        "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
        "on_before_optimizer_step", "on_train_batch_end",
    )  # fmt: skip
    noting = type("Noting", (Plain,), {name: note(name) for name in names})
    with closing(built(task_of(noting()), accumulation_steps=2)) as training:
        training.step()
    micro_batch = ["on_train_batch_start", "on_before_backward", "on_after_backward"]
    assert called == [
        "on_train_batch_start", "on_before_zero_grad", *micro_batch[1:], "on_train_batch_end",
        *micro_batch, "on_before_optimizer_step", "on_train_batch_end",
    ]  # fmt: skip


def test_a_batch_is_changed_on_its_way_to_the_device() -> None:
    class Zeroing(Plain):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            x, y = batch
            return torch.zeros_like(x), torch.zeros_like(y)

    module = Zeroing()
    expected = nn.functional.cross_entropy(module.layer.bias[None], torch.tensor([0]))
    with closing(built(task_of(module))) as training:
        assert float(training.step().loss) == pytest.approx(float(expected.detach()))


def test_a_micro_batch_that_is_skipped_changes_nothing() -> None:
    class Skipping(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None if self.global_step else super().training_step(batch, batch_idx)

    with closing(built(task_of(Skipping()))) as training:
        first = training.step().loss
        before = [p.detach().clone() for p in training.model.parameters()]
        assert training.step().loss == first
        assert all(map(torch.equal, before, training.model.parameters()))


@pytest.mark.parametrize("how", ["returned", "dictionary", "logged", "at the end", "monitored"])
def test_the_held_out_loss_is_what_validation_says(how: str) -> None:
    class Validating(Plain):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            values = batch[0].mean(1).square().mean()
            if how == "logged":
                self.log("accuracy", torch.tensor(0.5))
                self.log("val_loss", values)
            elif how == "monitored":
                self.log_dict({"a_loss": values + 1, "perplexity": values, "b_loss": values + 2})
            elif how == "at the end":
                self.sums = [*getattr(self, "sums", []), values * len(batch[0])]
            return {"returned": values, "dictionary": {"loss": values}}.get(how)

        def on_validation_epoch_end(self) -> None:
            if how == "at the end":
                self.log("val/loss", torch.stack(self.sums).sum() / modules.HELD_OUT)

    stopping = pl.callbacks.EarlyStopping(monitor="perplexity")
    with closing(built(task_of(Validating(), callbacks=[stopping]))) as training:
        found = training.evaluate(10)
    x = modules.dataset(modules.HELD_OUT, 1).tensors[0]
    assert found == pytest.approx(float(x.mean(1).square().mean()), rel=1e-5)


def test_without_validation_the_training_loss_is_held_out() -> None:
    loader = torch.utils.data.DataLoader(modules.dataset(100, 0), batch_size=5, shuffle=True)
    task = task_of(Plain(), loader)
    assert task.data.evaluation_size == 10
    with closing(built(task)) as training:
        assert training.evaluate(10) == pytest.approx(training.evaluate(3), rel=1e-5)


class Averaging(pl.Callback):  # type: ignore[misc]
    def on_train_batch_end(self, *args: Any) -> None:
        """Average weights."""


def test_callbacks_that_act_are_named_and_others_are_not() -> None:
    watching = pl.callbacks.EarlyStopping(monitor="val_loss")
    task = task_of(Plain(), callbacks=[Averaging(), watching])
    (caveat,) = task.settings.caveats
    assert "Averaging" in caveat.text
    assert "EarlyStopping" not in caveat.text


def test_the_groups_keep_their_ratio_at_the_peak() -> None:
    class Grouped(Plain):
        def configure_optimizers(self) -> Any:
            groups: list[dict[str, Any]] = [
                {"params": [self.layer.weight]},
                {"params": [self.layer.bias], "lr": 0.5},
            ]
            optimizer = torch.optim.SGD(groups, lr=0.1)
            warming = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=10)
            return [optimizer], [{"scheduler": warming, "interval": "step"}]

    task = task_of(Grouped())
    assert task.settings.reference_learning_rate == pytest.approx(0.1)
    with closing(built(task, learning_rate=0.2)) as training:
        rates = [group["lr"] for group in training.optimizer.param_groups]
    assert rates == pytest.approx([0.2, 1.0])


class TwoAtOnce(Plain):
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD([p], lr=0.1) for p in self.parameters()]


class OwnStep(Plain):
    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Warm up by hand."""


class Locked(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class NoLoss(Plain):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"output": batch[0]}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (TwoAtOnce, "returns 2 optimizers"),
        (OwnStep, "overrides optimizer_step"),
        (Locked, "cannot be copied"),
        (NoLoss, "The loss is a NoneType"),
        (lambda: nn.Linear(1, 1), "not a LightningModule"),
    ],
)
def test_refusals(module: Any, message: str) -> None:
    with pytest.raises(UserCodeFailed, match=message) as caught:
        built(task_of(module())).step()
    assert caught.value.fault.fix


def test_every_form_of_configure_optimizers() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    forms: list[tuple[Any, int, int]] = [
        (None, 0, 0),
        (optimizer, 1, 0),
        ([optimizer], 1, 0),
        ([optimizer, optimizer], 2, 0),
        (([optimizer], [schedule]), 1, 1),
        (([optimizer], schedule), 1, 1),
        ({"optimizer": optimizer}, 1, 0),
        ({"optimizer": optimizer, "lr_scheduler": schedule}, 1, 1),
        ({"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "frequency": 2}}, 1, 1),
        ([{"optimizer": optimizer, "lr_scheduler": plateau}, {"optimizer": optimizer}], 2, 1),
    ]
    for returned, optimizer_count, schedule_count in forms:
        optimizers, schedulers = optimizers_and_schedulers(returned)
        assert (len(optimizers), len(schedulers)) == (optimizer_count, schedule_count), returned
        assert all({"interval", "frequency"} <= found.keys() for found in schedulers)
    _, (found,) = optimizers_and_schedulers({"optimizer": optimizer, "lr_scheduler": plateau})
    assert found["reduce_on_plateau"]


def test_the_module_finds_its_trainer_around_it() -> None:
    seen: list[Any] = []

    class Asking(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            trainer = self.trainer
            self.logger.experiment.add_scalar("x", 1)
            seen.append((
                trainer.world_size, trainer.is_global_zero, self.current_epoch, self.global_step,
                batch_idx, trainer.max_epochs, trainer.num_training_batches,
                self.optimizers().param_groups[0]["lr"],
            ))  # fmt: skip
            loss: Tensor = super().training_step(batch, batch_idx)
            return loss

    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", devices=1, default_root_dir="/nowhere")
    call = FitCall.of(trainer, (Asking(),), {"datamodule": modules.Data()})
    task = LightningTask(call, Hooks(Path(), "train.py", lambda _: None), 3)
    with closing(built(task, learning_rate=0.3)) as training:
        for _ in range(21):
            training.step()
    assert seen[0] == (1, True, 0, 0, 0, 2, 20, 0.3)
    assert seen[20] == (1, True, 1, 20, 0, 2, 20, 0.3)
