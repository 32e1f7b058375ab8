"""Trainers that inherit Transformers', each trained as by its own ``train``.

Skipped where their library is not installed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.user.hooks import Hooks
from tests.support import transformers_trainers as trainers

pytestmark = pytest.mark.filterwarnings("default")

SETTINGS: dict[str, Any] = {
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_steps": 12,
    "learning_rate": 1e-2,
}


def fine_tuning(directory: Path) -> Any:
    """Return TRL's trainer on sentences of many lengths."""
    trl = pytest.importorskip("trl")
    datasets, tokenizers = map(pytest.importorskip, ("datasets", "tokenizers"))
    vocabulary = {f"t{i}": i for i in range(trainers.VOCABULARY)}
    words = tokenizers.models.WordLevel(vocabulary, unk_token="t1")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words),
        pad_token="t0",
        eos_token="t2",
        unk_token="t1",
    )
    rows = [{"input_ids": list(range(1, 5 + i % 7))} for i in range(120)]
    return trl.SFTTrainer(
        model=trainers.llama(),
        args=trl.SFTConfig(
            output_dir=str(directory),
            bf16=False,
            max_length=trainers.LENGTH,
            gradient_checkpointing=False,
            **SETTINGS,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def sentence_similarity(directory: Path) -> Any:
    """Return Sentence Transformers' trainer, whose loss holds the model."""
    st = pytest.importorskip("sentence_transformers")
    datasets = pytest.importorskip("datasets")
    torch.manual_seed(0)
    words, draw = [f"w{i}" for i in range(40)], random.Random(0)
    models: Any = pytest.importorskip("sentence_transformers.models")
    layers = [models.BoW(vocab=words), models.Dense(in_features=40, out_features=8)]
    model = st.SentenceTransformer(modules=layers, device="cpu")
    losses: Any = pytest.importorskip("sentence_transformers.losses")
    rows = {
        "one": [" ".join(draw.choices(words, k=5)) for _ in range(120)],
        "other": [" ".join(draw.choices(words, k=5)) for _ in range(120)],
        "score": [draw.random() for _ in range(120)],
    }
    return st.SentenceTransformerTrainer(
        model=model,
        args=st.SentenceTransformerTrainingArguments(output_dir=str(directory), **SETTINGS),
        train_dataset=datasets.Dataset.from_dict(rows),
        loss=losses.CosineSimilarityLoss(model),
    )


@pytest.mark.parametrize("make", [fine_tuning, sentence_similarity])
def test_losses_are_those_of_train(make: Callable[[Path], Any], tmp_path: Path) -> None:
    real, seen, told = make(tmp_path), [], []
    step = real.training_step

    def recorded(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(dict(inputs))
        told.append(step(model, inputs, *args, **kwargs))
        return told[-1]

    real.training_step = recorded
    task = TransformersTask(make(tmp_path), Hooks(Path(), "train.py", lambda _: None), 3)
    real.train()
    assert task.settings.reference_batch_size == 8
    recipe = Recipe(
        micro_batch_size=4,
        accumulation_steps=2,
        learning_rate=1e-2,
        schedule=task.own_schedule.schedule,
    )
    with closing(task.build(recipe, torch.device("cpu"), SINGLE_PROCESS)) as training:
        batches = iter(seen)
        losses = [training.step(batches).loss for _ in range(12)]
        assert training.evaluate(8) is not None
        training.step()
    shares = [torch.stack(told[i : i + 2]).sum() for i in range(0, 24, 2)]
    torch.testing.assert_close(torch.stack(losses), torch.stack(shares), rtol=0, atol=0)
