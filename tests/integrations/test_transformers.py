"""A trainer asks, is given the answer, and trains with it; in the worker's run it changes nothing.

What was applied is read back from Transformers' own objects.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bsadvise import (
    ApplyingFailed,
    Client,
    EntryKind,
    Observation,
    SourceUnusable,
    TrainingLoop,
)
from bsadvise.integrations.transformers import _off_accelerator, recommend
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.request import AdviceRequest
from bsadvise.v1 import recommendation_service_pb2
from bsadvise.wire.messages import from_message

from advisor.worker.scripts.observation import observe_here
from tests.support.builders import an_advice
from tests.support.fake_server import FakeDaemon
from tests.support.scripts import write_script

transformers = pytest.importorskip("transformers")
trainers = pytest.importorskip("tests.support.transformers_trainers")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("default")  # What libraries warn of is theirs.


def _trainer(directory: Path, **settings: Any) -> Any:
    return trainers.trainer(
        directory,
        trainers.bert(),
        trainers.Sequences,
        trainers.Recording,
        **{"max_steps": 2, "lr_scheduler_type": "constant", **settings},
    )


def _request(daemon: FakeDaemon) -> AdviceRequest:
    (created,) = (
        one for one in daemon.requests
        if isinstance(one, recommendation_service_pb2.CreateRecommendationRequest)
    )  # fmt: skip
    return from_message(created.request, AdviceRequest)


def test_the_running_script_is_asked_about(
    daemon: FakeDaemon, client: Client, script: Path, tmp_path: Path
) -> None:
    recommend(_trainer(tmp_path), client=client, quiet=True, budget_s=30, max_trials=2)
    request = _request(daemon)
    assert (request.source.entry_path, request.source.entry_kind) == ("train.py", EntryKind.SCRIPT)
    assert request.source.arguments == ("--epochs", "3")
    assert (request.budget_s, request.max_trials) == (30, 2)
    assert request.device == "cpu"  # As the trainer has it.


@pytest.mark.usefixtures("script")
def test_the_training_that_follows_has_the_advised_setting(client: Client, tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    advice = recommend(trainer, client=client, quiet=True)
    applied = advice.apply(trainer.args)
    trainer.train()
    # Of 120 samples, three batches: the second step is of the last one alone.
    assert [len(batch["input_ids"]) for batch in trainer.seen] == [32, 32, 32]
    assert trainer.state.global_step == 2
    assert trainer.optimizer.param_groups[0]["lr"] == 3e-3
    assert trainer.get_total_train_batch_size(trainer.args) == 64
    assert applied == {
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 2,
        "learning_rate": 3e-3,
        "dataloader_num_workers": 0,
        "dataloader_drop_last": True,
    }


def test_a_trainer_made_later_has_it_too(tmp_path: Path) -> None:
    arguments = _trainer(tmp_path).args
    an_advice(micro_batch_size=10, accumulation_steps=1, effective_batch_size=10).apply(arguments)
    trainer = transformers.Trainer(trainers.bert(), arguments, train_dataset=range(40))
    assert trainer.get_train_dataloader().total_batch_size == 10
    assert trainer.create_optimizer().param_groups[0]["lr"] == an_advice().learning_rate


def test_an_optimizer_that_a_trainer_was_given_keeps_the_ratio_of_its_groups(
    tmp_path: Path,
) -> None:
    trainer, (first, *rest) = _trainer(tmp_path), trainers.bert().parameters()
    groups = [{"params": [first], "lr": 0.4}, {"params": rest, "lr": 0.1}]
    trainer.optimizer = torch.optim.SGD(groups)
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: 0.5)
    an_advice(learning_rate=0.8).apply(trainer)
    trainer.optimizer.step()
    trainer.lr_scheduler.step()
    assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx([0.4, 0.1])


@pytest.mark.parametrize(
    ("change", "advised", "words"),
    [
        ({"auto_find_batch_size": True}, {}, "auto_find_batch_size=False"),
        ({}, {"world_size": 2}, "advice for 2 device"),
        (
            {},
            {"caveats": (Caveat(code=CaveatCode.OBSERVED_ONLY, text=""),)},
            "only observed",
        ),
    ],
)
def test_what_cannot_be_applied_is_said_and_changes_nothing(
    change: dict[str, Any], advised: dict[str, Any], words: str, tmp_path: Path
) -> None:
    arguments = _trainer(tmp_path, **change).args
    with pytest.raises(ApplyingFailed, match=words):
        an_advice(**advised).apply(arguments)
    assert arguments.per_device_train_batch_size == 6


def test_what_could_not_be_applied_is_not_asked_for(
    daemon: FakeDaemon, client: Client, script: Path, tmp_path: Path
) -> None:
    trainer = _trainer(tmp_path, auto_find_batch_size=True)
    with pytest.raises(ApplyingFailed, match="auto_find_batch_size=False"):
        recommend(trainer, client=client)
    with pytest.raises(ApplyingFailed, match="which uses 1"):
        recommend(_trainer(tmp_path), client=client, world_size=4)
    assert not daemon.jobs


def test_anything_else_is_named_with_the_way_on() -> None:
    with pytest.raises(TypeError, match="not a dict; a Lightning Trainer"):
        an_advice().apply({})


def test_one_of_several_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch, client: Client, script: Path, tmp_path: Path
) -> None:
    trainer = _trainer(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SourceUnusable, match="--gpus 4"):
        recommend(trainer, client=client)


def test_a_notebook_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, client: Client, script: Path, tmp_path: Path
) -> None:
    monkeypatch.delattr("__main__.__file__")
    with pytest.raises(SourceUnusable, match="write the training to a file"):
        recommend(_trainer(tmp_path), client=client)


def test_the_model_leaves_its_accelerator_while_it_is_measured() -> None:
    moves: list[Any] = []
    cuda = torch.device("cuda", 0)
    model = SimpleNamespace(device=cuda, to=moves.append)
    with _off_accelerator(model):
        assert moves == ["cpu"]
    assert moves == ["cpu", cuda]
    with _off_accelerator(SimpleNamespace(device=cuda, to=moves.append, hf_device_map={"": 0})):
        assert len(moves) == 2


SCRIPT = """
    import transformers
    from tests.support import transformers_trainers as trainers
    from bsadvise.integrations.transformers import recommend
    from pathlib import Path

    trainer = trainers.trainer(Path("."), trainers.bert(), trainers.Sequences, learning_rate=0.02)
    advice = recommend(trainer, client=None)
    applied = advice.apply(trainer.args)
    assert applied["per_device_train_batch_size"] == advice.micro_batch_size == 6
    trainer.train()
"""


def test_the_workers_run_of_the_script_sees_its_own_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BSADVISE_ADDRESS", "127.0.0.1:1")  # Nobody is there to be asked.
    outcome = observe_here(write_script(tmp_path, SCRIPT), step_count=3)
    assert isinstance(outcome, Observation), outcome
    assert outcome.reference is not None
    assert outcome.reference.loop is TrainingLoop.TRANSFORMERS
    assert (outcome.reference.micro_batch_size, outcome.reference.accumulation_steps) == (6, 1)
    assert outcome.reference.learning_rate == 0.02
