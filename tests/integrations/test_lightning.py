"""The callback asks, and the fit that follows has the answer; in the worker's run it does nothing.

What was applied is read back from Lightning's own objects.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from bsadvise import ApplyingFailed, BsadviseError, Client, Observation, TrainingLoop
from bsadvise.v1 import recommendation_service_pb2
from torch.utils.data import DataLoader

from advisor.worker.scripts.observation import observe_here
from tests.support.fake_server import FakeDaemon
from tests.support.scripts import write_script

pytest.importorskip("lightning")
modules: Any = pytest.importorskip("tests.support.lightning_modules")
ours: Any = pytest.importorskip("bsadvise.integrations.lightning")

pytestmark = pytest.mark.filterwarnings("default")  # What libraries warn of is theirs.


class Recording(modules.Classifier):  # type: ignore[misc]
    """Keeps the sizes of the batches that it trains on."""

    def __init__(self, lr: float = 0.05) -> None:
        super().__init__(lr=lr)
        self.sizes: list[int] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.sizes.append(len(batch[0]))
        return super().training_step(batch, batch_idx)


def _fit(callback: Any, module: Any = None, **given: Any) -> tuple[Any, Any]:
    """Return the trainer and the module after two epochs with a callback."""
    settings = given.pop("settings", {})
    trainer = modules.trainer(max_epochs=2, callbacks=[callback], **settings)
    module = module or Recording()
    trainer.fit(module, **{"datamodule": modules.Data(), **given})
    return trainer, module


@pytest.mark.usefixtures("script")
def test_the_fit_that_follows_has_the_advised_setting(client: Client, daemon: FakeDaemon) -> None:
    callback = ours.BatchSizeAdvisor(client=client, quiet=True, budget_s=30)
    trainer, module = _fit(callback)
    assert trainer.train_dataloader.batch_size == callback.advice.micro_batch_size == 32
    assert module.sizes == [32] * 10  # Two epochs of 160 samples.
    assert trainer.accumulate_grad_batches == 2
    assert trainer.global_step == 6  # In each, two steps of two batches and one of the last.
    assert trainer.optimizers[0].param_groups[0]["max_lr"] == 3e-3
    assert max(module.rates) == pytest.approx(3e-3, rel=0.1)
    assert module.hparams["lr"] == 3e-3
    (created,) = (
        one.request for one in daemon.requests
        if isinstance(one, recommendation_service_pb2.CreateRecommendationRequest)
    )  # fmt: skip
    assert (created.budget_s, created.device) == (30, "cpu")
    assert list(created.source.arguments) == ["--epochs", "3"]


@pytest.mark.usefixtures("script")
def test_it_can_only_advise(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    callback = ours.BatchSizeAdvisor(client=client, apply=False)
    trainer, module = _fit(callback)
    assert trainer.train_dataloader.batch_size == 8
    assert module.hparams["lr"] == 0.05
    assert "batch 64 (32 x 2), lr 0.003" in capsys.readouterr().err


class Literal(Recording):
    """Its optimizer follows no attribute."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Manual(Recording):
    """Takes its steps by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False


class Nameless(modules.Regression):  # type: ignore[misc]
    """Has no attribute of a rate."""


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(
    ("module", "given", "words", "is_asked"),
    [
        (Nameless, {}, "has learning_rate or lr", False),
        (Recording, {"ckpt_path": "a.ckpt"}, "What goes on from a checkpoint keeps its rate", True),
        (Manual, {}, "2 micro-batches are to be accumulated", True),
        (Literal, {}, "the optimizer's learning rate is 0.1 although 0.003", True),
    ],
)
def test_a_training_that_would_not_have_it_is_not_begun(
    module: Any, given: dict[str, Any], words: str, is_asked: bool, client: Client, tmp_path: Path,
    daemon: FakeDaemon,
) -> None:  # fmt: skip
    if "ckpt_path" in given:
        first = modules.trainer(max_epochs=1)
        first.fit(Recording(), datamodule=modules.Data())
        first.save_checkpoint(tmp_path / "a.ckpt")
    made = module()
    with pytest.raises(ApplyingFailed, match=words):
        _fit(ours.BatchSizeAdvisor(client=client, quiet=True), made, **given)
    assert not getattr(made, "sizes", [])
    assert bool(daemon.jobs) is is_asked


@pytest.mark.usefixtures("script")
def test_loaders_given_to_fit_are_told_from_those_that_follow(client: Client) -> None:
    module = Recording()
    module.batch_size = 8
    loader: DataLoader[Any] = DataLoader(modules.dataset(40, 0), batch_size=8)
    callback = ours.BatchSizeAdvisor(client=client, quiet=True)
    with pytest.raises(ApplyingFailed, match="makes batches of 8 although batch_size is 32"):
        _fit(callback, module, datamodule=None, train_dataloaders=loader)


def test_several_devices_are_asked_for_before(client: Client) -> None:
    callback = ours.BatchSizeAdvisor(client=client)

    class _Trainer:
        callbacks, fast_dev_run, world_size = [callback], False, 2

    with pytest.raises(ApplyingFailed, match="--gpus 2"):
        callback.setup(_Trainer(), None, "fit")


@pytest.mark.parametrize("group", ["lightning.pytorch", "pytorch_lightning"])
def test_every_trainer_asks_the_environment(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = pytest.importorskip(group)
    (entry,) = entry_points(group=f"{group}.callbacks_factory", name="bsadvise")
    assert entry.load() is ours.callbacks_from_environment

    def advisors() -> list[Any]:
        trainer = library.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        return [one for one in trainer.callbacks if isinstance(one, ours.BatchSizeAdvisor)]

    assert advisors() == []
    monkeypatch.setenv("BSADVISE", "apply")
    monkeypatch.setenv("BSADVISE_BUDGET", "5m")
    (one,) = advisors()
    assert (one._apply, one._options) == (True, {"budget_s": 300})
    monkeypatch.setenv("BSADVISE", "yes")
    with pytest.raises(BsadviseError, match="advise, apply"):
        advisors()
    monkeypatch.setenv("BSADVISE_OBSERVED", "1")
    assert advisors() == []


SCRIPT = """
    import lightning
    from bsadvise.integrations.lightning import BatchSizeAdvisor
    from tests.support import lightning_modules as modules

    trainer = modules.trainer(max_epochs=2, callbacks=[BatchSizeAdvisor()])
    trainer.fit(modules.Classifier(), datamodule=modules.Data())
"""


def test_the_workers_run_of_the_script_sees_its_own_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BSADVISE_ADDRESS", "127.0.0.1:1")  # Nobody is there to be asked.
    outcome = observe_here(write_script(tmp_path, SCRIPT), step_count=3)
    assert isinstance(outcome, Observation), outcome
    assert outcome.reference is not None
    assert outcome.reference.loop is TrainingLoop.LIGHTNING
    assert outcome.reference.micro_batch_size == 8
    assert outcome.reference.learning_rate == 0.05
