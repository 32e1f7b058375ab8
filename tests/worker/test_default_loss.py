from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advisor.worker.user.default_loss import NoDefaultLoss, default_loss


class Gives(nn.Module):
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.output


def loss(output: Any, y: Any) -> Tensor:
    result: Tensor = default_loss(Gives(output), (torch.ones(2), y))
    return result


def test_integer_targets_get_cross_entropy() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.equal(loss(logits, labels), functional.cross_entropy(logits, labels))
    assert torch.equal(loss(logits, labels.int()), functional.cross_entropy(logits, labels))


def test_language_models_have_their_classes_last_and_images_second() -> None:
    logits, tokens = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    expected = functional.cross_entropy(logits.transpose(1, 2), tokens)
    assert loss(logits, tokens) == pytest.approx(float(expected))
    maps, pixels = torch.randn(2, 4, 8, 9), torch.randint(4, (2, 8, 9))
    assert torch.equal(loss(maps, pixels), functional.cross_entropy(maps, pixels))


def test_float_targets_get_the_squared_error_without_broadcasting() -> None:
    output, target = torch.randn(6, 1), torch.randn(6)
    assert loss(output, target) == pytest.approx(float(((output[:, 0] - target) ** 2).mean()))


@pytest.mark.parametrize("output", [torch.randn(6, 2), torch.randn(6, 2, dtype=torch.cfloat)])
def test_complex_targets_get_the_squared_distance(output: Tensor) -> None:
    target = torch.randn(6, 2, dtype=torch.cfloat)
    expected = float((output - target).abs().square().mean())
    assert loss(output, target) == pytest.approx(expected)
    assert loss(target, output) == pytest.approx(expected)


@pytest.mark.parametrize(
    "output", [{"loss": torch.tensor(2.0)}, SimpleNamespace(loss=torch.tensor(2.0))]
)
def test_a_mapping_batch_is_given_by_name_and_its_loss_taken(output: Any) -> None:
    assert float(default_loss(Gives(output), {"x": torch.ones(2)})) == 2.0
    assert float(loss(output, torch.ones(2))) == 2.0


@pytest.mark.parametrize(
    ("batch", "output", "words"),
    [
        ({"x": 1}, torch.ones(2), "no `loss`"),
        (torch.ones(3), torch.ones(2), "neither a mapping nor"),
        ((1, 2, 3), torch.ones(2), "3 parts"),
        ((1, torch.tensor([0])), torch.ones(1, 2, dtype=torch.cfloat), "output is complex"),
        ((1, "label"), torch.ones(2), "target a str"),
        ((1, torch.ones(3)), torch.ones(2), r"\[2\] and the float target of shape \[3\]"),
        ((1, torch.ones(3).long()), torch.ones(3), "and the target is integer"),
        ((1, torch.ones(3) > 0), torch.ones(3, 1), "and the target is boolean"),
        ((1, torch.ones(3, 2).long()), torch.ones(3, 2), "integer target"),
        ((1, torch.ones(3, 4).long()), torch.ones(3, 5, 6), "do not fit"),
        ((1, torch.ones(3).long()), torch.ones(4, 5), "do not fit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(batch: Any, output: Any, words: str) -> None:
    with pytest.raises(NoDefaultLoss, match=words):
        default_loss(Gives(output), batch)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (torch.tensor([True, False, True]), math.log(2)),
        (torch.tensor([1, 0, 1]), math.log(2)),
        (torch.tensor([[3], [0], [4]]), 25 / 3),
    ],
)
def test_the_loss_of_one_output_is_written_out(target: Tensor, expected: float) -> None:
    with pytest.raises(NoDefaultLoss) as raised:
        loss(torch.zeros(3, 1), target)
    written = raised.value.fix.partition("return ")[2]
    names = {"torch": torch, "model": Gives(torch.zeros(3, 1)), "batch": (1, target)}
    assert float(eval(written, names)) == pytest.approx(expected)  # noqa: S307 - what is advised
