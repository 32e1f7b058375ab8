"""Loops of scripts do what they are asked for, and nothing that their users would not have done."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from bsadvise.model.measurements import Fault, FaultCode
from torch import Tensor, nn

from advisor.worker.commands.batch_probe import probe_batches
from advisor.worker.data.random_state import seed_everything
from advisor.worker.entries.own_loop.task import OwnLoopTask
from advisor.worker.entries.own_loop.training import OwnLoopTraining
from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.scripts.handler import AnyLoader, PassiveHandler
from advisor.worker.user.hooks import UserCodeFailed
from tests.support.own_loops import own_loop, own_loop_task
from tests.support.scripts import run_intercepted, write_script

CPU = torch.device("cpu")
MakeTask = Callable[..., OwnLoopTask]

PREAMBLE = """
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x.pow(2).sum(1, keepdim=True))
    loader = DataLoader(data, batch_size=8, shuffle=True)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeTask]:
    """Make tasks of the script of a name, or of a source."""
    made: list[OwnLoopTask] = []

    def make(name: str = "", source: str = "", *arguments: str, **seen: Any) -> OwnLoopTask:
        if name:
            script = own_loop(tmp_path, name, *arguments)
        else:
            parts = map(textwrap.dedent, (PREAMBLE, source))
            script = write_script(tmp_path, "\n".join(parts), *arguments)
        made.append(own_loop_task(script, seed=3, **seen))
        return made[-1]

    yield make
    for task in reversed(made):
        task.close()


def build(task: OwnLoopTask, **recipe: Any) -> OwnLoopTraining:
    return task.build(Recipe(seed=task.seed, **recipe), CPU, SINGLE_PROCESS)


def fault_of(task: OwnLoopTask, micro_batch_size: int = 8) -> Fault:
    """Return why a step cannot be taken."""
    with pytest.raises(UserCodeFailed) as raised:
        build(task, micro_batch_size=micro_batch_size).step()
    return raised.value.fault


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


class Recorded(PassiveHandler):
    """Records what a script trains with by itself: batches, draws, rates, losses."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, Tensor]] = []
        self.losses: list[float] = []
        self.rates: list[float] = []
        self._scales: list[float] = []

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        for batch in make_iterator():
            self.batches.append((copy.deepcopy(batch), torch.get_rng_state()))
            yield batch

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        self.losses.append(float(tensors[0]))
        backward()

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        self.rates.append(optimizer.param_groups[0]["lr"])
        return step()

    def served_again(self) -> Iterator[Any]:
        """Serve the batches with the draws that followed them."""
        for batch, draws in self.batches:
            torch.set_rng_state(draws)
            yield batch


class Rates:
    """A schedule of rates that were recorded."""

    def __init__(self, rates: Sequence[float]) -> None:
        self._rates = rates

    def multiplier(self, step: int) -> float:
        return self._rates[step]


@pytest.mark.parametrize(
    ("name", "accumulation_steps"),
    [("flags", 1), ("counting", 1), ("tensors", 1), ("accumulating", 3)],
)
def test_at_its_own_setting_a_loop_does_what_it_does_by_itself(
    make: MakeTask, name: str, accumulation_steps: int
) -> None:
    task = make(name)
    recorded = Recorded()
    seed_everything(Recipe(micro_batch_size=1, seed=task.seed).weights_seed)
    run_intercepted(task._script, recorded)
    training = build(
        task,
        micro_batch_size=len(recorded.batches[0][0][0]),
        accumulation_steps=accumulation_steps,
        learning_rate=1.0,
        schedule=Rates(recorded.rates),
    )
    batches = recorded.served_again()
    losses = [float(training.step(batches).loss) for _ in recorded.rates]
    groups = zip(*[iter(recorded.losses)] * accumulation_steps, strict=True)
    # A loop that accumulates divides: what it passes to backward are parts of the step's loss.
    own = [float(torch.tensor(group).sum()) for group in groups]
    if accumulation_steps == 1:
        assert losses == own
    else:
        assert losses == pytest.approx(own, rel=1e-6)


def by_hand(
    training: OwnLoopTraining, batches: Iterator[Any], recipe: Recipe, steps: int
) -> tuple[list[float], list[Tensor]]:
    """Return the losses and the weights of a loop as one would write it for a recipe."""
    model = copy.deepcopy(training.model)
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum=0.9)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        total = torch.zeros(())
        for _ in range(recipe.accumulation_steps):
            x, y = next(batches)
            loss = nn.functional.mse_loss(model(x), y) / recipe.accumulation_steps
            torch.autograd.backward(loss)
            total = total + loss.detach()
        optimizer.step()
        losses.append(float(total))
    return losses, weights(model)


@pytest.mark.parametrize("name", ["flags", "counting", "accumulating"])
@pytest.mark.parametrize(("micro_batch_size", "accumulation_steps"), [(10, 1), (32, 1), (5, 4)])
def test_a_step_of_another_size_and_rate_is_that_of_a_loop_written_for_it(
    make: MakeTask, name: str, micro_batch_size: int, accumulation_steps: int
) -> None:
    task = make(name)
    recipe = Recipe(
        seed=task.seed,
        micro_batch_size=micro_batch_size,
        accumulation_steps=accumulation_steps,
        learning_rate=0.013,
    )
    training = task.build(recipe, CPU, SINGLE_PROCESS)
    with closing(task.data.training_batches(micro_batch_size)) as batches:
        losses, expected = by_hand(training, batches, recipe, steps=4)
    assert [float(training.step().loss) for _ in range(4)] == pytest.approx(losses, rel=1e-6)
    for own, other in zip(weights(training.model), expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-7)


def test_parameter_groups_keep_their_ratio_and_the_script_its_own_rates(make: MakeTask) -> None:
    task = make("constants")
    training = build(task, micro_batch_size=8, learning_rate=0.5)
    seen: list[list[float]] = []

    class AtTheStep(StepObserver):
        def entering(self, phase: Phase) -> None:
            if phase is Phase.OPTIMIZER:
                seen.append([group["lr"] for group in training.optimizer.param_groups])

    shown = [group["lr"] for group in training.optimizer.param_groups]
    training.step(observers=[AtTheStep()])
    assert shown == pytest.approx([0.5, 5.0])
    # A warm-up from nothing: in between, the script finds what its schedule had set.
    assert seen == [[0.0, 0.0]]


def test_a_script_that_remembers_more_than_its_modules_is_run_anew(make: MakeTask) -> None:
    task = make("remembering")
    losses = []
    for _ in range(3):
        training = build(task, micro_batch_size=8, learning_rate=0.01)
        losses.append([float(training.step().loss) for _ in range(3)])
        assert training.evaluate(8) is not None
    assert losses[0] == losses[1] == losses[2]
    found = probe_batches(
        build(task, micro_batch_size=2), task.data, reference_batch_size=8, time_limit_s=600
    )
    assert found.has_unsaved_state


def test_a_replicate_has_other_weights_and_the_script_its_seed(make: MakeTask) -> None:
    task = make(
        source="""
        torch.manual_seed(1)
        model = nn.Linear(6, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for x, y in loader:
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        """
    )
    first, second, again = (
        weights(build(task, micro_batch_size=8, replicate=replicate).model)[0]
        for replicate in (0, 1, 0)
    )
    torch.manual_seed(1)
    assert torch.equal(first, nn.Linear(6, 1).weight)
    assert torch.equal(again, first)
    assert not torch.equal(first, second)


def test_a_sampler_says_which_samples_are_drawn(make: MakeTask) -> None:
    task = make(
        source="""
        sampler = torch.utils.data.SubsetRandomSampler(range(0, 64, 4))
        for x, y in DataLoader(data, batch_size=4, sampler=sampler):
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        """
    )
    assert task.data.dataset_size == 16
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    with closing(task.data.training_batches(4)) as batches:
        for sample in next(batches)[0]:
            assert any(torch.equal(sample, x[index]) for index in range(0, 64, 4))


def test_a_loss_of_derivatives_is_evaluated_too(make: MakeTask) -> None:
    task = make(
        source="""
        for x, y in loader:
            x.requires_grad_()
            slope, = torch.autograd.grad(model(x).sum(), x, create_graph=True)
            loss = F.mse_loss(slope, 2 * x.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        """
    )
    training = build(task, micro_batch_size=8, learning_rate=0.01)
    before = training.evaluate(8)
    for _ in range(20):
        training.step()
    after = training.evaluate(8)
    assert before is not None
    assert after is not None
    assert after < before


def test_losses_of_a_sum_in_several_passes_are_added(make: MakeTask) -> None:
    task = make("summing")
    training = build(task, micro_batch_size=8, accumulation_steps=2, is_loss_sum=True)
    with closing(task.data.training_batches(8)) as batches:
        first = next(batches)
        with torch.no_grad():
            output = training.model(first[0])
            loss = nn.functional.mse_loss(output, first[1], reduction="sum") + output.abs().sum()
    with closing(task.data.training_batches(8)) as batches:
        told = training.accumulate(batches)
    assert float(told[0]) == pytest.approx(float(loss) / 16)
    assert float(training.evaluate_batch(first)) == pytest.approx(float(loss))


def test_several_optimizers_take_all_steps_that_the_loop_gives_them(make: MakeTask) -> None:
    task = make(
        source="""
        first = torch.optim.SGD([model[0].weight], lr=0.01, momentum=0.9)
        second = torch.optim.SGD([model[2].weight], lr=0.02, momentum=0.5)
        for number, (x, y) in enumerate(loader):
            loss = F.mse_loss(model(x), y)
            first.zero_grad()
            second.zero_grad()
            loss.backward()
            first.step()
            if number % 3 == 2:
                F.mse_loss(model(x), y).backward()
                second.step()
        """,
        optimizer_count=2,
    )
    training = build(task, micro_batch_size=8, learning_rate=0.1)
    assert (task.data.is_synthetic, training.evaluate(8)) == (True, None)
    assert [group["lr"] for group in training.optimizer.param_groups] == [0.1, 0.2]
    phases: list[Phase] = []

    class Phases(StepObserver):
        def entering(self, phase: Phase) -> None:
            phases.append(phase)

    before = [training.model.state_dict()[name].clone() for name in ("0.weight", "2.weight")]
    with closing(task.data.training_batches(8)) as batches:
        for count in range(1, 7):
            batch = next(batches)
            model = copy.deepcopy(training.model)
            torch.autograd.backward(nn.functional.mse_loss(model(batch[0]), batch[1]))
            training.step(iter([batch]), observers=[Phases()])
            assert phases.count(Phase.OPTIMIZER) == count
            assert phases[-1] is Phase.LOADING
            after = [training.model.state_dict()[name].clone() for name in ("0.weight", "2.weight")]
            assert not torch.equal(before[0], after[0])
            if count == 1:
                gradient = next(model.parameters()).grad
                assert gradient is not None
                torch.testing.assert_close(after[0], before[0] - 0.1 * gradient)
            before = after
    assert len(training.state().optimizer["state"]) == 2
    again = build(task, micro_batch_size=8)
    assert not torch.equal(before[1], again.model.state_dict()["2.weight"])
    assert not training.optimizer.state


def test_a_loader_that_is_read_before_each_pass_does_not_train(make: MakeTask) -> None:
    task = make(
        source="""
        other = DataLoader(data, batch_size=5)

        @torch.no_grad()
        def evaluate():
            return sum(F.mse_loss(model(x), y) for x, y in other)

        for x, y in loader:
            print(evaluate())
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
        """
    )
    training = build(task, micro_batch_size=8, learning_rate=0.01)
    losses = [float(training.step().loss) for _ in range(8)]
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] != losses[0]


def test_a_script_that_ends_is_gone_on_with(make: MakeTask) -> None:
    task = make("counting")  # Seven batches a start.
    training = build(task, micro_batch_size=4, accumulation_steps=3, learning_rate=0.01)
    first = [float(training.step().loss) for _ in range(3)]
    state = copy.deepcopy(training.state())
    after = [float(training.step().loss) for _ in range(4)]
    training.restore(state)
    assert [float(training.step().loss) for _ in range(4)] == after
    again = build(task, micro_batch_size=4, accumulation_steps=3, learning_rate=0.01)
    assert float(again.step().loss) == first[0]


def test_the_peak_is_that_of_the_same_steps_by_hand(make: MakeTask) -> None:
    peaks = []
    task = make("flags")
    for accumulation_steps in (1, 2):
        recipe = Recipe(
            seed=3, micro_batch_size=400, accumulation_steps=accumulation_steps, learning_rate=0.01
        )
        training = task.build(recipe, CPU, SINGLE_PROCESS)
        batch = task.data.longest_batch(400)
        tracker = AllocationTracker(training.model, training.optimizer, CPU)
        with tracking(tracker):
            for _ in range(2):
                training.step(iter([batch] * accumulation_steps), observers=[tracker])
        peaks.append(tracker.peak_bytes)
        model = copy.deepcopy(training.model)
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        hand = AllocationTracker(model, optimizer, CPU)
        with tracking(hand):
            for _ in range(2):
                hand.entering(Phase.FORWARD)
                hand.received(batch)
                optimizer.zero_grad()
                for _ in range(accumulation_steps):
                    loss = nn.functional.mse_loss(model(batch[0]), batch[1])
                    torch.autograd.backward(loss)
                hand.entering(Phase.OPTIMIZER)
                optimizer.step()
                hand.entering(Phase.LOADING)
        assert tracker.peak_bytes == pytest.approx(hand.peak_bytes, rel=0.05)
    assert peaks[0] < peaks[1]


def test_a_limit_is_a_limit_in_the_scripts_thread(make: MakeTask) -> None:
    task = make("flags")
    training = build(task, micro_batch_size=64)
    tracker = AllocationTracker(training.model, training.optimizer, CPU, limit_bytes=6000)
    with tracking(tracker), pytest.raises(torch.OutOfMemoryError, match="limit"):
        training.step(observers=[tracker])


def test_running_out_of_memory_is_told_where_the_script_catches_it(make: MakeTask) -> None:
    task = make(
        source="""
        for x, y in loader:
            try:
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            except torch.OutOfMemoryError:
                print("once more")
        """
    )
    training = build(task, micro_batch_size=64)
    tracker = AllocationTracker(training.model, training.optimizer, CPU, limit_bytes=6000)
    with tracking(tracker), pytest.raises(torch.OutOfMemoryError, match="limit"):
        training.step(observers=[tracker])


@pytest.mark.parametrize("ending", ["raise SystemExit(1)", "raise ValueError(loss)", "continue"])
def test_a_loss_that_is_not_finite_is_a_divergence(make: MakeTask, ending: str) -> None:
    task = make(
        source=f"""
        for x, y in loader:
            loss = F.mse_loss(model(x), y)
            if not torch.isfinite(loss):
                {ending}
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        """
    )
    training = build(task, micro_batch_size=8, learning_rate=1e15)
    losses = [float(training.step().loss) for _ in range(2)]
    while all(torch.isfinite(torch.tensor(losses))):
        losses.append(float(training.step().loss))
    assert len(losses) < 20
    # The next training is not touched by it.
    assert torch.isfinite(build(task, micro_batch_size=8).step().loss)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            """
            for x, y in loader:
                F.mse_loss(model(x.reshape(8, -1)), y).backward()
                optimizer.step()
            """,
            r"takes 8 samples, its own batch, and not 2: RuntimeError: shape '\[8, -1\]'",
        ),
        (
            """
            other = torch.optim.SGD(model.parameters(), lr=0.01)
            for x, y in loader:
                F.mse_loss(model(x), y).backward()
                optimizer.step()
                other.step()
            """,
            "several optimizers",
        ),
        (
            """
            for x, y in loader:
                def closure():
                    loss = F.mse_loss(model(x), y)
                    loss.backward()
                    return loss
                optimizer.step(closure)
            """,
            "closure",
        ),
        (
            """
            for first in range(0, 64, 8):
                F.mse_loss(model(x[first : first + 8]), torch.zeros(8, 1)).backward()
                optimizer.step()
            """,
            "no DataLoader",
        ),
        (
            """
            for x, y in loader:
                F.mse_loss(model(x), y).backward()
            """,
            "no optimizer step",
        ),
        ("print('nothing')", "ends before it has taken an optimizer step"),
        (
            """
            class Sampler(torch.utils.data.Sampler):
                def __iter__(self):
                    return iter([[0, 1], [2, 3]])
            for x, y in DataLoader(data, batch_sampler=Sampler()):
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            """,
            "batch sampler, Sampler,",
        ),
    ],
)
def test_what_cannot_be_driven_is_said(make: MakeTask, source: str, message: str) -> None:
    fault = fault_of(make(source=source))
    assert fault.code is FaultCode.USER_EXCEPTION
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(fault.message)


def test_an_exception_names_the_scripts_own_line(make: MakeTask) -> None:
    task = make(
        source="""
        for x, y in loader:
            if len(x) > 20:
                raise RuntimeError("too many")
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        """
    )
    assert torch.isfinite(build(task, micro_batch_size=20).step().loss)
    fault = fault_of(task, micro_batch_size=21)
    assert (fault.file, fault.line) == ("train.py", 16)
    assert fault.message == "RuntimeError: too many"
    assert torch.isfinite(build(task, micro_batch_size=20).step().loss)
