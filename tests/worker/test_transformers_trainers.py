"""What users write around Transformers' trainer."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.user.hooks import Hooks, UserCodeFailed
from tests.support import transformers_trainers as trainers

pytestmark = pytest.mark.filterwarnings("default")

CPU = torch.device("cpu")


def task_of(trainer: Any) -> TransformersTask:
    return TransformersTask(trainer, Hooks(Path(), "train.py", lambda _: None), 3)


def weights_of(task: TransformersTask, **changes: Any) -> list[torch.Tensor]:
    training = task.build(Recipe(micro_batch_size=4, **changes), CPU, SINGLE_PROCESS)
    return [parameter.detach() for parameter in training.model.parameters()]


def test_model_init_makes_the_weights_of_each_seed(tmp_path: Path) -> None:
    config = trainers.bert().config
    given = trainers.trainer(tmp_path, trainers.bert(), trainers.Sequences)
    given.model_init = lambda: transformers.BertForSequenceClassification(config)
    task = task_of(given)
    first, again = weights_of(task), weights_of(task)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, weights_of(task, seed=1)))
    assert not all(map(torch.equal, first, weights_of(task, replicate=1)))


def test_an_optimizer_that_is_given_is_copied_with_its_groups(tmp_path: Path) -> None:
    given = trainers.trainer(tmp_path, trainers.bert(), trainers.Sequences)
    head, body = given.model.classifier.parameters(), given.model.bert.parameters()
    groups: list[Any] = [{"params": list(body)}, {"params": list(head), "lr": 0.1}]
    given.optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.5)
    task = task_of(given)
    assert task.settings.reference_learning_rate == 0.01
    recipe = Recipe(micro_batch_size=4, learning_rate=0.02)
    with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
        rates = [group["lr"] for group in training.optimizer.param_groups]
        before = [parameter.clone() for parameter in training.model.parameters()]
        training.step()
        moved = [
            not torch.equal(*pair) for pair in zip(before, training.model.parameters(), strict=True)
        ]
    assert rates == pytest.approx([0.02, 0.2])
    assert any(moved)
    assert all(map(torch.equal, before, given.model.parameters()))


class Ragged(trainers.Sequences):
    """Samples of 3 to 11 tokens."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.tokens[index, : 3 + index % 9]}


def lengths_of(samples: list[Any]) -> dict[str, Any]:
    return {"labels": torch.tensor([len(sample["input_ids"]) for sample in samples])}


def test_samples_are_grouped_by_length_as_the_trainer_groups_them(tmp_path: Path) -> None:
    settings: Any = {"train_sampling_strategy": "group_by_length", "remove_unused_columns": False}
    given = trainers.trainer(tmp_path, trainers.llama(), Ragged, **settings)
    given.data_collator = lengths_of
    with closing(task_of(given).data.training_batches(6)) as batches:
        lengths = [next(batches)["labels"].tolist() for _ in range(20)]
    spreads = [max(batch) - min(batch) for batch in lengths]
    assert sum(spreads) / 20 < 4  # In random batches of six it is above 6.


class Evaluating(transformers.TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Look at something."""


def test_what_trials_leave_out_is_named(tmp_path: Path) -> None:
    given = trainers.trainer(
        tmp_path,
        trainers.llama(),
        trainers.Sentences,
        neftune_noise_alpha=5,
        lr_scheduler_type="reduce_lr_on_plateau",
        eval_strategy="epoch",
        train_sampling_strategy="sequential",
    )
    given.add_callback(Evaluating())
    texts = " ".join(caveat.text for caveat in task_of(given).settings.caveats)
    for words in ("Evaluating", "NEFTune", "stops falling", "does not shuffle"):
        assert words in texts


def sharded(trainer: Any) -> None:
    trainer.args.deepspeed = {"zero_optimization": {}}


def generating(trainer: Any) -> None:
    trainer.args.num_generations = 8


class OwnLoop(transformers.Trainer):  # type: ignore[misc]
    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> None:
        """Train in some other way."""


def looping(trainer: Any) -> None:
    trainer.__class__ = OwnLoop


class NoBackward(transformers.Trainer):  # type: ignore[misc]
    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        return torch.zeros(())


def doing_nothing(trainer: Any) -> None:
    trainer.__class__ = NoBackward


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (sharded, "shards its model"),
        (generating, "generates its samples"),
        (looping, "training loop of its own"),
        (doing_nothing, "training_step gives accelerator.backward no loss"),
    ],
)
def test_refusals(change: Any, message: str, tmp_path: Path) -> None:
    given = trainers.trainer(tmp_path, trainers.llama(), trainers.Sentences)
    change(given)
    with pytest.raises(UserCodeFailed, match=message) as caught:
        task_of(given).build(Recipe(micro_batch_size=4), CPU, SINGLE_PROCESS).step()
    assert caught.value.fault.fix
