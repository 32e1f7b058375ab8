"""Inspection finds what the loss of a batch is of its samples', and what a batch leaves behind."""

from __future__ import annotations

import textwrap

import pytest
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import BatchSemantics, TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

# Long: how busy the machine is must not decide how many samples are run.
INSPECT = InspectTask(time_limit_s=100 * LIMIT_S)

DATA = """
    import torch
    from torch import nn
    from torch.nn import functional as F

    def build_dataset():
        g = torch.Generator().manual_seed(0)
        x, y = torch.randn(300, 6, generator=g), torch.randint(0, 3, (300,), generator=g)
        return torch.utils.data.TensorDataset(x, y)

    def build_model():
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
"""

TRIPLETS = """
    def loss_fn(model, batch):
        x, y = batch
        z = model(x)
        distance, same = torch.cdist(z, z), y[:, None] == y
        hardest = (distance * same).amax(1) - (distance + 9 * same).amin(1)
        return F.relu(1 + hardest).mean()
"""
BROADCAST = """
    def loss_fn(model, batch):
        x, _ = batch
        return (model(x)[:, :1] - x[:, 0]).pow(2).mean()
"""
NOISY_SUM = """
    def loss_fn(model, batch):
        x, y = batch
        noisy = x + 0.1 * torch.randn_like(x)
        penalty = 1e-3 * model[0].weight.pow(2).sum()
        return F.cross_entropy(model(noisy), y, reduction="sum") + penalty
"""
DROPOUT = """
    def build_model():
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 3))
"""
CLASS_WEIGHTS = """
    def loss_fn(model, batch):
        x, y = batch
        return F.cross_entropy(model(x), y, weight=torch.tensor([1.0, 5.0, 20.0]))
"""
TOKENS = """
    def build_model():
        return nn.Embedding(11, 11)

    def build_dataset():
        g = torch.Generator().manual_seed(0)
        lengths = torch.randint(3, 30, (200,), generator=g).tolist()
        return [torch.randint(1, 11, (n,), generator=g) for n in lengths]

    def collate_fn(samples):
        return nn.utils.rnn.pad_sequence(samples, batch_first=True)

    def loss_fn(model, batch):
        return F.cross_entropy(
            model(batch[:, :-1]).transpose(1, 2), batch[:, 1:], ignore_index=0
        )
"""
PADDED = TOKENS.replace(", ignore_index=0", "")
MASKED_AT_RANDOM = """
    def collate_fn(samples):
        x, y = map(torch.stack, zip(*samples))
        return x * (torch.rand_like(x) > 0.3), y
"""
CHANGES_ITS_BATCH = """
    def loss_fn(model, batch):
        x, y = batch
        return F.cross_entropy(model(x.mul_(1.5)), y)
"""
SYNTHETIC_SUM = """
    del build_dataset

    def make_batch(batch_size):
        return torch.randn(batch_size, 6), torch.randint(0, 3, (batch_size,))

    def loss_fn(model, batch):
        x, y = batch
        return F.cross_entropy(model(x), y, reduction="sum")
"""
ONE_SAMPLE = """
    def build_dataset():
        return [(torch.ones(6), torch.tensor(1))]
"""

KINDS = {
    "plain": ("", BatchSemantics.MEAN),
    "dropout": (DROPOUT, BatchSemantics.MEAN),
    "masked_at_random": (MASKED_AT_RANDOM, BatchSemantics.MEAN),
    "changes_its_batch": (CHANGES_ITS_BATCH, BatchSemantics.MEAN),
    "padded": (PADDED, BatchSemantics.MEAN),
    "bf16": ("    PRECISION = 'bf16'\n", BatchSemantics.MEAN),
    "noisy_sum": (NOISY_SUM, BatchSemantics.SUM),
    "synthetic_sum": (SYNTHETIC_SUM, BatchSemantics.SUM),
    "class_weights": (CLASS_WEIGHTS, BatchSemantics.WEIGHTED_MEAN),
    "tokens": (TOKENS, BatchSemantics.WEIGHTED_MEAN),
    "triplets": (TRIPLETS, BatchSemantics.COUPLED),
    "broadcast": (BROADCAST, BatchSemantics.COUPLED),
    "one_sample": (ONE_SAMPLE, None),
}


def inspect(bench: Bench, *sources: str) -> TaskProfile:
    bench.write("\n".join(map(textwrap.dedent, (DATA, *sources))))
    return outcome_of(bench.worker(), INSPECT, TaskProfile)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_what_its_loss_makes_of_it(bench: Bench, kind: str) -> None:
    source, expected = KINDS[kind]
    profile = inspect(bench, source)
    assert profile.batch_semantics is expected, profile.caveats
    assert not profile.has_unsaved_state
    about_batches = {CaveatCode.BATCH_SEMANTICS_UNKNOWN, CaveatCode.STATE_BETWEEN_BATCHES}
    assert not about_batches & {caveat.code for caveat in profile.caveats}


CARRIED = """
    class Carrying(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head, self.last = nn.GRUCell(6, 8), nn.Linear(8, 3), None

        def forward(self, x):
            last = None if self.last is None else self.last.expand(len(x), -1)
            out = self.cell(x, last)
            self.last = out.detach().mean(0, keepdim=True)
            return self.head(out)

    def build_model():
        return Carrying()
"""
COUNTED = """
    STEPS = []

    def loss_fn(model, batch):
        x, y = batch
        STEPS.append(1)
        return F.cross_entropy(model(x), y) * (1 + len(STEPS) / 100)
"""
BANK = """
    class Bank(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)
            self.register_buffer("bank", torch.zeros(3))

        def forward(self, x):
            out = self.linear(x) - self.bank
            if self.training:
                self.bank.lerp_(out.detach().mean(0), 0.5)
            return out

    def build_model():
        return Bank()
"""
INNER_OPTIMIZER = """
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(6, 3), nn.Linear(6, 3)
            self.inner = torch.optim.Adam(self.other.parameters(), 0.01)

    def build_model():
        return Two()

    def loss_fn(model, batch):
        x, y = batch
        if torch.is_grad_enabled():
            model.inner.zero_grad()
            F.cross_entropy(model.other(x), y).backward()
            model.inner.step()
        return F.cross_entropy(model.one(x) + model.other(x).detach(), y)
"""


@pytest.mark.parametrize(
    ("source", "code", "is_unsaved"),
    [
        (CARRIED, CaveatCode.STATE_BETWEEN_BATCHES, True),
        (COUNTED, CaveatCode.STATE_BETWEEN_BATCHES, True),
        (BANK, CaveatCode.STATE_BETWEEN_BATCHES, False),
        (INNER_OPTIMIZER, CaveatCode.WEIGHTS_CHANGED_IN_LOSS, True),
    ],
    ids=["carried", "counted", "bank", "inner_optimizer"],
)
def test_what_a_batch_leaves_behind_is_said(
    bench: Bench, source: str, code: CaveatCode, is_unsaved: bool
) -> None:
    profile = inspect(bench, source)
    assert code in {caveat.code for caveat in profile.caveats}
    assert profile.has_unsaved_state is is_unsaved


def test_a_loss_that_fails_on_other_sizes_is_reported_and_no_reason_to_refuse(
    bench: Bench,
) -> None:
    profile = inspect(
        bench,
        """
    def loss_fn(model, batch):
        x, y = batch
        if len(x) > 2:
            raise ValueError("too many for me")
        return F.cross_entropy(model(x), y)
    """,
    )
    assert profile.batch_semantics is None
    (caveat,) = profile.caveats
    assert caveat.code == CaveatCode.BATCH_SEMANTICS_UNKNOWN
    assert "too many for me" in caveat.text


def test_where_time_is_short_nothing_is_concluded(bench: Bench) -> None:
    bench.write(textwrap.dedent(DATA))
    hurried = InspectTask(time_limit_s=1e-6)
    profile = outcome_of(bench.worker(), hurried, TaskProfile)
    assert profile.batch_semantics is None
    assert [caveat.code for caveat in profile.caveats] == [CaveatCode.BATCH_SEMANTICS_UNKNOWN]


def test_a_model_that_the_file_keeps_has_its_dropout_back(bench: Bench) -> None:
    profile = inspect(
        bench,
        """
    KEPT = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    SEEN = []

    def build_model():
        SEEN.append(KEPT[1].p)
        assert set(SEEN) == {0.5}
        return KEPT
    """,
    )
    assert profile.batch_semantics is BatchSemantics.MEAN
    outcome_of(bench.worker(), INSPECT, TaskProfile)
