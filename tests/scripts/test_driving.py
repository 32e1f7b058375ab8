"""Each script of the corpus is driven at other settings, and takes the memory that it takes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from bsadvise.model.observation import Observation, Reference

from advisor.estimators.cuda_allocator import BLOCK_BYTES
from advisor.worker.entries.own_loop.live_objects import live_modules, model_of
from advisor.worker.entries.own_loop.task import OwnLoopTask
from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.observers import Phase
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.loop.several_optimizers import SeveralOptimizers
from advisor.worker.scripts.child import call_in_child
from advisor.worker.scripts.handler import AnyLoader, PassiveHandler, StopScript
from advisor.worker.scripts.observation import observe_here
from advisor.worker.scripts.surroundings import Script
from tests.scripts.test_corpus import LIMIT_S, corpus_script
from tests.scripts.truth import ANSWERED
from tests.support.scripts import run_intercepted

CPU = torch.device("cpu")
_TRACKED_STEP = 3
"""Steps that are over before one is tracked: optimizers have their state by then."""
_SETTLED_STEPS = 10
"""As many are over before, where a gradient scaler may skip the first."""


class _Tracked(PassiveHandler):
    """Tracks the memory of one step of a script that is otherwise left alone.

    Attributes:
        batches: What that step was taken on.
        peak_bytes: What it took.
    """

    def __init__(self, reference: Reference) -> None:
        self.batches: list[Any] = []
        self.peak_bytes = 0
        self._reference = reference
        self._loaders: list[AnyLoader] = []
        self._optimizers: list[torch.optim.Optimizer] = []
        self._step_count = 0
        self._tracker: AllocationTracker | None = None
        self._tracking = ExitStack()

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        if not any(loader is seen for seen in self._loaders):
            self._loaders.append(loader)
        number = next(i for i, seen in enumerate(self._loaders) if seen is loader)
        trains = number == self._reference.loader_number
        for batch in make_iterator():
            if trains and self._step_count == _TRACKED_STEP * len(self._optimizers) > 0:
                self._begin(batch)
            yield batch
            self._tracking.close()  # Of what fetching the next one takes, nothing is counted.

    def _begin(self, batch: Any) -> None:
        self.batches.append(copy.deepcopy(batch))
        if self._tracker is None:
            several = self._optimizers[1:]
            optimizer = SeveralOptimizers(self._optimizers) if several else self._optimizers[0]
            model = model_of(optimizer, live_modules())
            self._tracker = AllocationTracker(model, optimizer, CPU)
        self._tracking.enter_context(tracking(self._tracker))
        self._tracker.entering(Phase.FORWARD)
        self._tracker.received(batch)

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        if not any(optimizer is seen for seen in self._optimizers):
            self._optimizers.append(optimizer)
        self._step_count += 1
        result = step()
        if self._tracker is not None and optimizer is self._optimizers[-1]:
            self._tracking.close()
            self.peak_bytes = self._tracker.peak_bytes
            raise StopScript
        return result


def _driven(script: Script) -> dict[str, Any]:
    """Return what a script takes by itself, and what it does when it is driven."""
    seen = observe_here(script, step_count=8)
    assert isinstance(seen, Observation)
    assert seen.reference is not None
    reference = seen.reference
    own = _Tracked(reference)
    run_intercepted(script, own)
    task = OwnLoopTask(script, reference, lambda _: None, 0)

    def train(step_count: int, **recipe: Any) -> list[float]:
        made = task.build(Recipe(seed=0, learning_rate=1e-3, **recipe), CPU, SINGLE_PROCESS)
        with closing(made) as training:
            return [float(training.step().loss) for _ in range(step_count)]

    size, count = reference.micro_batch_size, reference.accumulation_steps
    losses = [train(4, micro_batch_size=2 * size + 1), train(2, micro_batch_size=3)]
    losses.append(train(3, micro_batch_size=size, accumulation_steps=2 * count))
    recipe = Recipe(seed=0, micro_batch_size=size, accumulation_steps=count, learning_rate=1e-3)
    training = task.build(recipe, CPU, SINGLE_PROCESS)
    for _ in range(_SETTLED_STEPS):
        training.step()
    tracker = AllocationTracker(training.model, training.optimizer, CPU)
    with tracking(tracker):
        training.step(map(copy.deepcopy, own.batches), observers=[tracker])
    task.close()
    return {"peaks": (own.peak_bytes, tracker.peak_bytes), "losses": losses, "kept": count}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_script_is_driven_and_takes_the_memory_that_it_takes(name: str, tmp_path: Path) -> None:
    script = corpus_script(tmp_path, name, *ANSWERED[name].arguments)

    def run() -> bytes:
        with redirect_stdout(StringIO()):
            return json.dumps(_driven(script)).encode()

    found = json.loads(call_in_child(run, LIMIT_S))
    own, driven = found["peaks"]
    assert own > 0
    # The loss of each batch is kept until the step is over; models are so small that this block,
    # and two for scalars more or less, are more than 5 %.
    assert driven == pytest.approx(own, rel=0.05, abs=(2 + found["kept"]) * BLOCK_BYTES)
    assert torch.tensor([loss for losses in found["losses"] for loss in losses]).isfinite().all()
