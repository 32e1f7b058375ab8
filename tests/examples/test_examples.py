"""The examples keep to the model file's contract, and learn."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everyone uses
from torch.utils.data import DataLoader

EXAMPLES = Path(__file__).parents[2] / "examples"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _loss(module: ModuleType, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    if hasattr(module, "loss_fn"):
        loss: Tensor = module.loss_fn(model, batch)
        return loss
    inputs, targets = batch
    return F.cross_entropy(model(inputs), targets)


def _evaluate(module: ModuleType, model: nn.Module, batch_count: int = 4) -> float:
    model.eval()
    loader = DataLoader(module.build_eval_dataset(), batch_size=64)
    with torch.no_grad():
        batches = list(itertools.islice(loader, batch_count))
        return sum(_loss(module, model, batch).item() for batch in batches) / len(batches)


def _train(module: ModuleType, step_count: int) -> tuple[float, float]:
    """Train by the reference recipe; return the held-out loss before and after."""
    torch.manual_seed(0)
    model = module.build_model()
    optimizer = module.build_optimizer(model.parameters(), module.REFERENCE_LR)
    before = _evaluate(module, model)
    model.train()
    loader = DataLoader(module.build_dataset(), module.REFERENCE_BATCH_SIZE, shuffle=True)
    for batch in itertools.islice(itertools.cycle(loader), step_count):
        optimizer.zero_grad()
        loss = _loss(module, model, batch)
        assert math.isfinite(loss.item())
        torch.autograd.backward(loss)
        optimizer.step()
    return before, _evaluate(module, model)


@pytest.mark.parametrize(
    ("name", "class_count", "step_count", "share"),
    [("digits_mlp", 10, 150, 0.5), ("char_gpt", 100, 15, 0.8)],
)
def test_an_example_learns(name: str, class_count: int, step_count: int, share: float) -> None:
    before, after = _train(_load(name), step_count)
    assert before == pytest.approx(math.log(class_count), rel=0.15), "it begins with a guess"
    assert after < share * before


def test_char_gpt_does_not_look_ahead() -> None:
    module = _load("char_gpt")
    torch.manual_seed(0)
    model = module.build_model().eval()
    tokens = module.build_dataset()[0][0].unsqueeze(0)
    changed = tokens.clone()
    changed[0, 40:] = (changed[0, 40:] + 1) % 50
    with torch.no_grad():
        one, other = model(tokens), model(changed)
    torch.testing.assert_close(one[0, :40], other[0, :40])
    assert not torch.allclose(one[0, 40:], other[0, 40:])


def test_char_gpt_is_small() -> None:
    model = _load("char_gpt").build_model()
    assert 500_000 < sum(parameter.numel() for parameter in model.parameters()) < 800_000


def test_windows_cover_the_text_and_no_more() -> None:
    module = _load("char_gpt")
    windows = module.Windows(torch.arange(200), stride=16)
    inputs, targets = windows[len(windows) - 1]
    assert len(inputs) == module.CONTEXT
    assert targets.tolist() == (inputs + 1).tolist()
    assert 200 - 16 <= int(targets[-1]) < 200


@pytest.mark.parametrize("name", ["digits_mlp", "char_gpt"])
def test_an_example_keeps_held_out_samples_apart(name: str) -> None:
    module = _load(name)
    trained, held_out = (
        [tuple(dataset[n][0].tolist()) for n in range(len(dataset))]
        for dataset in (module.build_dataset(), module.build_eval_dataset())
    )
    assert held_out
    # A handful of passages stand twice in the manual; images do not repeat.
    assert len(set(trained) & set(held_out)) <= len(held_out) // 100


def test_fashion_cnn_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _load("fashion_cnn")
    monkeypatch.setattr(module, "DATA_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        module.build_dataset()


def test_fashion_cnn_reads_images_and_classes_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _load("fashion_cnn")
    monkeypatch.setattr(module, "DATA_DIR", tmp_path)
    images = bytes(16) + bytes(784) + bytes([255] * 784)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([3, 9])))
    (dark, trousers), (bright, boot) = module.build_dataset()
    assert dark.shape == (1, 28, 28)
    assert (dark.max().item(), bright.min().item()) == (0.0, 1.0)
    assert (trousers.item(), boot.item()) == (3, 9)
    model = module.build_model()
    loss = _loss(module, model, (torch.stack([dark, bright]), torch.stack([trousers, boot])))
    torch.autograd.backward(loss)
    assert math.isfinite(loss.item())


def test_fashion_cnn_learns() -> None:
    module = _load("fashion_cnn")
    if not module.DATA_DIR.is_dir():
        pytest.skip("needs the package dataset-fashion-mnist")
    before, after = _train(module, step_count=30)
    assert after < 0.6 * before
