"""A rate is tried in an optimizer whose schedule goes on unaware."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advisor.worker.entries.own_loop.rates import GroupRates

RATES = st.floats(1e-6, 10)


def optimizer_of(*rates: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


@given(own=st.lists(RATES, min_size=1, max_size=4), tried=st.lists(RATES, min_size=1, max_size=3))
def test_groups_keep_their_ratios_and_get_their_own_back(
    own: list[float], tried: list[float]
) -> None:
    optimizer = optimizer_of(*own)
    rates = GroupRates(optimizer)
    for rate in tried:
        rates.impose(rate)
        assert rates_of(optimizer) == pytest.approx([rate * one / own[0] for one in own])
        assert rates_of(optimizer)[0] == rate
    rates.release()
    assert rates_of(optimizer) == own
    rates.release()
    assert rates_of(optimizer) == own


def test_a_warm_up_from_nothing_is_compared_by_what_it_leads_to() -> None:
    optimizer = optimizer_of(0.1, 0.4)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))
    assert rates_of(optimizer) == [0.0, 0.0]
    rates = GroupRates(optimizer)
    rates.impose(1.0)
    assert rates_of(optimizer) == pytest.approx([1.0, 4.0])
    rates.release()
    assert rates_of(optimizer) == [0.0, 0.0]


def test_a_rate_that_is_a_tensor_stays_the_tensor_that_it_is() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=torch.tensor(0.5), capturable=False)
    tensor = optimizer.param_groups[0]["lr"]
    rates = GroupRates(optimizer)
    rates.impose(0.25)
    assert optimizer.param_groups[0]["lr"] is tensor
    assert float(tensor) == 0.25
    rates.release()
    assert float(tensor) == 0.5
