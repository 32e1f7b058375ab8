"""A recurrent language model: padded text, packed sequences, tied weights, the loss inside the output's object.

Right: an answer; the tied matrix counts once; the loss is a mean over tokens, which is said if steps are
accumulated; the text of 200 tokens decides the memory; samples are texts, not tokens.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 16
REFERENCE_LR = 2e-3
VOCABULARY, IGNORED = 50, -100


class Texts(Dataset):
    def __len__(self):
        return 1500

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        length = 200 if index == 33 else int(torch.randint(3, 30, (), generator=generator))
        return {"input_ids": (torch.randint(1, 4, (length,), generator=generator).cumsum(0) % VOCABULARY)}


@dataclass
class Output:
    loss: torch.Tensor | None
    logits: torch.Tensor


class Model(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.recurrent = nn.LSTM(width, width, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids, attention_mask, labels=None):
        lengths = attention_mask.sum(1).cpu()
        packed = pack_padded_sequence(self.embed(input_ids), lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)
        logits = self.head(self.drop(hidden))
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
            )
        return Output(loss, logits)


def build_model():
    return Model()


def build_dataset():
    return Texts()


def collate_fn(samples):
    texts = [sample["input_ids"] for sample in samples]
    return {
        "input_ids": pad_sequence(texts, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(text) for text in texts], batch_first=True),
        "labels": pad_sequence(texts, batch_first=True, padding_value=IGNORED),
    }
