"""Transformers trainers of tiny models with random weights, as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

VOCABULARY, LENGTH, SAMPLES, HELD_OUT = 40, 12, 120, 24


class Sequences(torch.utils.data.Dataset[dict[str, Any]]):
    """Random tokens; whether the first is even is the class. One column is of no use."""

    def __init__(self, size: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.tokens = torch.randint(1, VOCABULARY, (size, LENGTH), generator=generator)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens = self.tokens[index]
        return {"input_ids": tokens, "labels": tokens[0] % 2, "unused": index}


class Sentences(Sequences):
    """Counting, in sentences of any length: the rest is padding, which has no label."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        length = 3 + index % (LENGTH - 3)
        tokens = (self.tokens[index, 0] + torch.arange(LENGTH)) % VOCABULARY
        labels = torch.where(torch.arange(LENGTH) < length, tokens, -100)
        return {"input_ids": tokens, "attention_mask": (labels >= 0).long(), "labels": labels}


class FullSentences(Sentences):
    """Counting, without padding."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens = (self.tokens[index, 0] + torch.arange(LENGTH)) % VOCABULARY
        return {"input_ids": tokens, "labels": tokens}


class Recording(transformers.Trainer):  # type: ignore[misc]
    """Keeps the batches that it trains on and the losses that it reports."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        self.seen = getattr(self, "seen", [])
        self.seen.append(dict(inputs))
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.told = [*getattr(self, "told", []), loss]
        return loss


def bert(dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return transformers.BertForSequenceClassification(config)


def llama() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
    )
    return transformers.LlamaForCausalLM(config)


def trainer(
    directory: Path,
    model: Any,
    data: type[Sequences],
    kind: type[transformers.Trainer] = transformers.Trainer,
    *,
    held_out: bool = True,
    **settings: Any,
) -> Any:
    """Return a trainer on the CPU that reports to nobody."""
    args = transformers.TrainingArguments(
        output_dir=str(directory / "out"),
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **{"per_device_train_batch_size": 6, "learning_rate": 5e-3, **settings},
    )
    evaluation = data(HELD_OUT, 1) if held_out else None
    return kind(model=model, args=args, train_dataset=data(SAMPLES, 0), eval_dataset=evaluation)
