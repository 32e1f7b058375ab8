"""The models of the GPU run: of their published sizes, and small enough to train here."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from advisor.worker.user.default_loss import default_loss
from benchmarks.gpu.recommendation import MODELS, shrink


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Import a model file beside its modules, in the size that is asked for."""
    folder = Path(shutil.copytree(MODELS, tmp_path / "models"))
    monkeypatch.syspath_prepend(str(folder))
    # As where there is no compiler: what compiles takes seconds to import.
    monkeypatch.setattr(shutil, "which", lambda _: None)

    def load_model(name: str, *, is_small: bool) -> Any:
        if is_small:
            shrink(folder / "scale.py")
        return importlib.import_module(name)

    yield load_model
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    ("name", "count"), [("gpt2_synthetic", 124_439_808), ("resnet50_synthetic", 25_557_032)]
)
def test_the_models_have_their_published_sizes(
    load: Callable[..., Any], name: str, count: int
) -> None:
    with torch.device("meta"):
        model = load(name, is_small=False).build_model()
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", ["gpt2_synthetic", "gpt2_text", "resnet50_synthetic"])
def test_the_small_models_train(load: Callable[..., Any], name: str) -> None:
    module = load(name, is_small=True)
    if hasattr(module, "make_batch"):
        batch = module.make_batch(2)
    else:
        batch = next(iter(DataLoader(module.build_dataset(), 2)))
        assert len(module.build_eval_dataset()) > 0
    model = module.build_model()
    optimizer = module.build_optimizer(model.parameters(), 1e-3)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    loss_fn = getattr(module, "loss_fn", default_loss)
    torch.autograd.backward(loss_fn(model, batch))
    optimizer.step()
    assert not any(map(torch.equal, before, model.parameters()))
