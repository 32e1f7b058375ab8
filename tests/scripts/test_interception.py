"""Where scripts train is told of once, whatever stands around it, and nothing else is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from advisor.worker.scripts.handler import AnyLoader, PassiveHandler, StopScript, TrainerKind
from advisor.worker.scripts.running import EndingKind
from tests.support.scripts import run_intercepted, write_script


class _Counting(PassiveHandler):
    """Notes each call, and stops the script after a number of steps."""

    def __init__(self, step_count: int | None = None) -> None:
        self.calls: list[str] = []
        self.has_closure: bool | None = None
        self._steps_left = step_count

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        self.calls.append("loader")
        return super().on_loader(loader, make_iterator)

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        self.calls.append(f"backward of {len(tensors)}")
        super().on_backward(tensors, backward)

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        self.calls.append("step")
        self.has_closure = has_closure
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left < 0:
                raise StopScript
        return super().on_step(optimizer, step, has_closure=has_closure)

    def on_trainer(
        self,
        kind: TrainerKind,
        trainer: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        run: Callable[[], Any],
    ) -> Any:
        self.calls.append(f"{kind.value} {type(trainer).__name__} {args} {dict(kwargs)}")
        return super().on_trainer(kind, trainer, args, kwargs, run)


_PREPARE = """
import torch
from torch.utils.data import DataLoader, TensorDataset
model = torch.nn.Linear(2, 1)
loader = DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2)
"""


def _calls(tmp_path: Path, source: str, **others: str) -> list[str]:
    handler = _Counting()
    ending = run_intercepted(write_script(tmp_path, _PREPARE + source, **others), handler)
    assert ending.kind is EndingKind.RETURNED, ending
    return handler.calls


def test_a_plain_loop(tmp_path: Path) -> None:
    source = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (x,) in loader:
    model(x).mean().backward()
    optimizer.step()
"""
    assert _calls(tmp_path, source) == ["loader"] + ["backward of 1", "step"] * 2


@pytest.mark.parametrize(
    "wrapping",
    [
        "torch.optim.lr_scheduler.StepLR(optimizer, 1)",
        "optimizer = SkipsNone(optimizer)",
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)",  # a second of the class
    ],
)
def test_steps_are_told_of_once_below_what_wraps_them(tmp_path: Path, wrapping: str) -> None:
    source = f"""
class SkipsNone(torch.optim.Optimizer):
    def __init__(self, inner):
        self.inner = inner
    def step(self, closure=None):
        return self.inner.step(closure)

class Own(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)

optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
own = Own(model.parameters(), lr=0.1)
{wrapping}
model(torch.ones(1, 2)).backward()
optimizer.step()
own.step()
"""
    assert _calls(tmp_path, source) == ["backward of 1", "step", "step"]


def test_backward_passes_are_told_of_once(tmp_path: Path) -> None:
    source = """
from torch.autograd import backward
from torch.utils.checkpoint import checkpoint
x = torch.ones(1, 2, requires_grad=True)
backward([model(x), model(x)], [torch.ones(1, 1)] * 2)
torch.autograd.backward(tensors=model(x))
checkpoint(model, x, use_reentrant=True).sum().backward()
"""
    assert _calls(tmp_path, source) == ["backward of 2", "backward of 1", "backward of 1"]


def test_a_closure_is_told_of(tmp_path: Path) -> None:
    source = """
optimizer = torch.optim.LBFGS(model.parameters())
def closure():
    optimizer.zero_grad()
    loss = model(torch.ones(1, 2)).square().mean()
    loss.backward()
    return loss
optimizer.step(closure)
"""
    handler = _Counting()
    run_intercepted(write_script(tmp_path, _PREPARE + source), handler)
    assert handler.has_closure
    assert handler.calls[:2] == ["step", "backward of 1"]


def test_loaders_of_subclasses_are_told_of_and_their_processes_are_not(tmp_path: Path) -> None:
    source = """
class Own(DataLoader):
    def __iter__(self):
        yield from super().__iter__()

class Nested(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return next(iter(loader))[0]

assert len(list(Own(TensorDataset(torch.ones(4))))) == 4
assert len(list(DataLoader(Nested(), num_workers=1, multiprocessing_context="fork"))) == 2
"""
    assert _calls(tmp_path, source) == ["loader", "loader"]


_STUBBORN = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    try:
        for (x,) in loader:
            model(x).mean().backward()
            optimizer.step()
    except BaseException:
        pass
"""


def test_a_script_that_catches_everything_ends_all_the_same(tmp_path: Path) -> None:
    handler = _Counting(step_count=1)
    ending = run_intercepted(write_script(tmp_path, _PREPARE + _STUBBORN), handler)
    assert ending.kind is EndingKind.STOPPED
    assert handler.calls == ["loader"] + ["backward of 1", "step"] * 2


def test_all_is_as_before_when_the_script_has_ended(tmp_path: Path) -> None:
    def functions() -> list[Any]:
        own = [DataLoader.__iter__, Tensor.backward, torch.autograd.backward]
        return [*own, torch.optim.Optimizer.__init__, torch.optim.SGD.step, *sys.meta_path]

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)  # Torch wraps step for good.
    before = functions()
    kept = """
from torch.autograd import backward
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
torch.kept = (backward, optimizer)
"""
    assert _calls(tmp_path, kept) == []
    backward, optimizer = torch.kept  # type: ignore[attr-defined]
    del torch.kept  # type: ignore[attr-defined]
    assert functions() == before
    backward(sum(p.sum() for p in optimizer.param_groups[0]["params"]))
    optimizer.step()


_TRAINER = """
class Trainer:
    def train(self, resume=False):
        return "trained"
"""


def test_trainers_are_told_of_when_the_script_imports_them(tmp_path: Path) -> None:
    source = """
from transformers import Trainer

class Own(Trainer):
    def train(self, *args, **kwargs):
        return super().train(*args, **kwargs)

assert Own().train(resume=True) == "trained"
import transformers.trainer
assert transformers.trainer.__spec__.loader.__class__.__name__ == "SourceFileLoader"
"""
    script = write_script(tmp_path, _PREPARE + source)
    package = script.source_dir / "transformers"
    package.mkdir()
    (package / "__init__.py").write_text("from .trainer import Trainer\n", encoding="utf-8")
    (package / "trainer.py").write_text(_TRAINER, encoding="utf-8")
    hidden = {
        name: sys.modules.pop(name)
        for name in list(sys.modules)
        if name.partition(".")[0] == "transformers"
    }
    handler = _Counting()
    try:
        ending = run_intercepted(script, handler)
    finally:
        sys.modules.update(hidden)
    assert ending.kind is EndingKind.RETURNED, ending
    assert handler.calls == ["transformers Own () {'resume': True}"]
