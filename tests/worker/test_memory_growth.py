"""Memory that each batch leaves taken is told of; what is made once, or small, is not."""

from __future__ import annotations

import textwrap

import pytest
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

# Long: how busy the machine is must not decide whether batches are tried.
INSPECT = InspectTask(time_limit_s=100 * LIMIT_S)

SOURCE = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 256), nn.Linear(256, 3)
            self.kept = []
            self.register_buffer("bank", torch.zeros(0, 256), persistent=False)

        def forward(self, x):
            hidden = self.first(x)
            {keep}
            return self.last(hidden)

    def build_model():
        return Net()

    def build_dataset():
        x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long())
"""


@pytest.mark.parametrize(
    ("keep", "grows"),
    [
        ("self.kept.append(hidden)", True),
        ("self.kept.append(hidden.detach())", True),
        ("self.bank = torch.cat([self.bank, hidden.detach()])", True),
        ("self.kept.append(hidden.mean().detach())", False),
        ("self.kept = [hidden]", False),
        ("self.kept.append(hidden); self.kept = self.kept[-1:]", False),
        ("hidden.itself = [hidden]", False),
    ],
)
def test_what_is_kept_from_batch_to_batch_is_told(bench: Bench, keep: str, grows: bool) -> None:
    bench.write(textwrap.dedent(SOURCE).format(keep=keep))
    caveats = outcome_of(bench.worker(), INSPECT, TaskProfile).caveats
    told = [caveat for caveat in caveats if caveat.code == CaveatCode.MEMORY_GROWS]
    assert bool(told) is grows, caveats
