"""What every task and its trainings must do, whatever the user's code is written with."""

from __future__ import annotations

import dataclasses
import io
import math
from abc import ABC, abstractmethod
from contextlib import closing
from typing import Any, ClassVar

import pytest
import torch
from bsadvise.model.task import BatchSemantics
from torch import Tensor

from advisor.worker.commands.batch_probe import probe_batches
from advisor.worker.data.random_state import random_state
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.loop.protocol import Task, Training, TrainingState
from advisor.worker.loop.recipe import SINGLE_PROCESS, Exponential, Recipe, World

CPU = torch.device("cpu")
RECIPE = Recipe(micro_batch_size=4, accumulation_steps=2, learning_rate=0.01)
EVALUATION_BATCH_SIZE = 8


class Recorder(StepObserver):
    """Records what it is told, in order: phases, and "batch" for a batch."""

    def __init__(self) -> None:
        self.told: list[Phase | str] = []

    def entering(self, phase: Phase) -> None:
        self.told.append(phase)

    def received(self, batch: Any) -> None:
        self.told.append("batch")


def phases_of_a_step(accumulation_steps: int) -> list[Phase | str]:
    """Return what an observer must be told of one step."""
    micro_batch: list[Phase | str] = [Phase.LOADING, Phase.FORWARD, "batch", Phase.BACKWARD]
    ending = [Phase.OPTIMIZER, Phase.LOADING]
    return [Phase.ZERO_GRAD, *micro_batch * accumulation_steps, *ending]


def losses_of(training: Training, count: int) -> list[float]:
    """Return the losses of the next steps."""
    return [float(training.step().loss) for _ in range(count)]


def saved(state: TrainingState) -> TrainingState:
    """Return a state as it is read back from a file."""
    file = io.BytesIO()
    torch.save({f.name: getattr(state, f.name) for f in dataclasses.fields(state)}, file)
    file.seek(0)
    return TrainingState(**torch.load(file, map_location="cpu", weights_only=True))


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    """Compare two states bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (mine, yours) in enumerate(zip(one, other, strict=True)):
            assert_same(mine, yours, f"{where}[{index}]")
    else:
        assert one == other, where


def as_saved(training: Training) -> dict[str, Any]:
    """Return all that a training would go on with, to be compared."""
    return dataclasses.asdict(saved(training.state()))


class TrainingContract(ABC):
    """Inherit from this and make a task; the tests come along.

    Each test stands for a promise of ``advisor.worker.loop.protocol``. The data must be longer
    than 70 samples; the learning rate of ``RECIPE`` must not diverge in ten steps.

    Attributes:
        is_loss_a_mean: Whether the gradient of a batch is the mean of its samples' gradients:
            not with batch normalisation, dropout, or random batches.
        batch_semantics: What the loss of a batch is, which a few batches must show.
        keeps_state: Whether they must show that it depends on the batches before it.
        has_unsaved_state: Whether they must show state that no checkpoint holds.
        tolerance: Of the identities of gradients, relative and absolute.
    """

    is_loss_a_mean: ClassVar[bool] = True
    batch_semantics: ClassVar[BatchSemantics] = BatchSemantics.MEAN
    keeps_state: ClassVar[bool] = False
    has_unsaved_state: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-4

    @abstractmethod
    def make(self, seed: int) -> Task:
        """Return a task over the same code, as a new process would load it."""

    def build(self, seed: int = 3, **changes: Any) -> Training:
        """Return a fresh training of a fresh task."""
        recipe = dataclasses.replace(RECIPE, seed=seed, **changes)
        return self.make(seed).build(recipe, CPU, SINGLE_PROCESS)

    def test_the_same_seed_gives_the_same_losses(self) -> None:
        with closing(self.build()) as training:
            first = losses_of(training, 8)
        torch.manual_seed(99)  # What was drawn before a training is built must not matter.
        with closing(self.build()) as again:
            assert losses_of(again, 8) == first

    def test_another_seed_and_another_replicate_give_other_losses(self) -> None:
        runs = [{"seed": 3}, {"seed": 4}, {"replicate": 1}]
        losses = []
        for changes in runs:
            with closing(self.build(**changes)) as training:
                losses.append(tuple(losses_of(training, 3)))
        assert len(set(losses)) == len(runs)

    @pytest.mark.parametrize("at", [0, 1, 5])
    def test_a_fresh_training_that_is_restored_goes_on_as_the_first(self, at: int) -> None:
        with closing(self.build()) as whole:
            losses_of(whole, at)
            state = saved(whole.state())
            expected = losses_of(whole, 5)
            with closing(self.build()) as resumed:
                resumed.restore(state)
                assert losses_of(resumed, 5) == expected
                end = as_saved(resumed)
        with closing(self.build()) as uninterrupted:
            losses_of(uninterrupted, at + 5)
            assert_same(as_saved(uninterrupted), end)

    def test_a_training_can_go_back_to_a_state_of_its_own(self) -> None:
        with closing(self.build()) as training:
            losses_of(training, 2)
            state = saved(training.state())
            first = losses_of(training, 4)
            training.restore(state)
            assert losses_of(training, 4) == first

    def test_to_ask_for_the_state_changes_nothing(self) -> None:
        with closing(self.build()) as asked:
            losses = []
            for _ in range(4):
                asked.state()
                losses += losses_of(asked, 1)
        with closing(self.build()) as plain:
            assert losses_of(plain, 4) == losses

    def test_the_state_counts_steps_and_samples(self) -> None:
        with closing(self.build()) as training:
            first = training.state().next_sample
            losses_of(training, 3)
            state = training.state()
        assert state.step_count == 3
        assert state.next_sample - first == 3 * 8

    def test_the_data_order_goes_on_where_a_recipe_begins(self) -> None:
        with closing(self.build()) as training:
            first = training.state().next_sample
        with closing(self.build(first_sample=40)) as training:
            assert training.state().next_sample == first + 40

    def test_a_schedule_goes_on_after_a_restore(self) -> None:
        falling = Exponential(0.5)
        with closing(self.build(schedule=falling)) as whole:
            rates = [whole.step().learning_rate for _ in range(4)]
            state = saved(whole.state())
            expected = losses_of(whole, 3)
            end = as_saved(whole)
        assert rates == pytest.approx([0.01, 0.005, 0.0025, 0.00125])
        with closing(self.build(schedule=falling)) as resumed:
            resumed.restore(state)
            assert losses_of(resumed, 3) == expected
            assert_same(as_saved(resumed), end)

    def test_a_restored_training_keeps_the_rate_of_its_own_recipe(self) -> None:
        with closing(self.build()) as first:
            losses_of(first, 2)
            state = saved(first.state())
        with closing(self.build(learning_rate=1e-12)) as still:
            still.restore(state)
            before = [p.detach().clone() for p in still.model.parameters()]
            assert still.step().learning_rate == 1e-12
            for now, then in zip(still.model.parameters(), before, strict=True):
                assert torch.allclose(now, then, atol=1e-7)

    def test_accumulation_is_the_mean_of_its_micro_batches(self) -> None:
        if not self.is_loss_a_mean:
            pytest.skip("the samples of a batch depend on one another, or on what is drawn")
        gradients = []
        for micro, steps in ((2, 8), (8, 2), (16, 1)):
            task = self.make(3)
            recipe = Recipe(seed=3, micro_batch_size=micro, accumulation_steps=steps)
            training = task.build(recipe, CPU, SINGLE_PROCESS)
            with closing(training), closing(task.data.training_batches(micro)) as batches:
                losses = training.accumulate(batches)
                assert len(losses) == steps
                gradients.append([p.grad for p in training.model.parameters()])
                assert training.gradient_scale is None
        for one in gradients[1:]:
            for gradient, other in zip(one, gradients[0], strict=True):
                assert gradient is not None
                assert other is not None
                torch.testing.assert_close(
                    gradient, other, rtol=self.tolerance, atol=self.tolerance
                )

    def test_micro_batches_of_a_sum_are_added_and_their_losses_are_of_one_sample(self) -> None:
        found = []
        for is_loss_sum in (False, True):
            task = self.make(3)
            recipe = dataclasses.replace(
                RECIPE, seed=3, is_loss_sum=is_loss_sum, use_grad_scaler=False
            )
            training = task.build(recipe, CPU, SINGLE_PROCESS)
            with closing(training), closing(task.data.training_batches(4)) as batches:
                losses = list(map(float, training.accumulate(batches)))
                gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
            found.append((losses, training.gradient_scale, gradients))
        (losses, scale, gradients), (told, sum_scale, sums) = found
        assert (scale, sum_scale) == (None, 8)
        # Divided by a = 2 as a mean, by the step's 8 samples as a sum.
        assert told == pytest.approx([loss * 2 / 8 for loss in losses], rel=1e-5)
        for one, other in zip(gradients, sums, strict=True):
            torch.testing.assert_close(other, 2 * one, rtol=self.tolerance, atol=self.tolerance)

    def test_the_held_out_loss_of_a_sum_is_that_of_one_sample(self) -> None:
        if self.batch_semantics is not BatchSemantics.SUM:
            pytest.skip("the loss is no sum")
        with closing(self.build(is_loss_sum=True)) as training:
            small, large = training.evaluate(3), training.evaluate(EVALUATION_BATCH_SIZE)
        assert small == pytest.approx(large, rel=1e-5)

    def test_a_few_batches_show_what_the_loss_of_a_batch_is(self) -> None:
        task = self.make(3)
        recipe = Recipe(micro_batch_size=2, seed=3, precision="fp32")
        with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
            draws = random_state()
            # Whatever the machine is doing: nothing here depends on the time that it takes.
            found = probe_batches(
                training, task.data, reference_batch_size=None, time_limit_s=math.inf
            )
            assert_same(random_state(), draws)
        assert found.batch_semantics is self.batch_semantics, found.caveats
        assert found.has_unsaved_state is self.has_unsaved_state
        assert bool(found.caveats) is self.keeps_state

    def test_to_accumulate_updates_nothing(self) -> None:
        task = self.make(3)
        with (
            closing(task.build(RECIPE, CPU, SINGLE_PROCESS)) as training,
            closing(task.data.training_batches(4)) as batches,
        ):
            before = [p.detach().clone() for p in training.model.parameters()]
            training.accumulate(batches)
            assert all(map(torch.equal, training.model.parameters(), before))
            assert any(p.grad is not None for p in training.model.parameters())

    @pytest.mark.parametrize("accumulation_steps", [1, 2, 3])
    def test_observers_see_every_phase_in_order(self, accumulation_steps: int) -> None:
        one, other = Recorder(), Recorder()
        with closing(self.build(accumulation_steps=accumulation_steps)) as training:
            for _ in range(2):
                training.step(observers=[one, other])
        assert one.told == 2 * phases_of_a_step(accumulation_steps)
        assert other.told == one.told

    def test_observers_see_an_evaluated_batch(self) -> None:
        recorder = Recorder()
        task = self.make(3)
        with closing(task.build(RECIPE, CPU, SINGLE_PROCESS)) as training:
            loss = training.evaluate_batch(task.data.longest_batch(2), observers=[recorder])
        assert not loss.requires_grad
        assert recorder.told == [Phase.FORWARD, "batch", Phase.LOADING]

    def test_observers_change_nothing(self) -> None:
        with closing(self.build()) as observed:
            seen = [float(observed.step(observers=[Recorder()]).loss) for _ in range(4)]
        with closing(self.build()) as plain:
            assert losses_of(plain, 4) == seen

    def test_batches_that_are_given_are_the_ones_trained_on(self) -> None:
        task = self.make(3)
        with closing(task.build(RECIPE, CPU, SINGLE_PROCESS)) as training:
            position = training.state().next_sample
            batch = task.data.longest_batch(4)
            training.step(iter([batch, batch]))
            assert training.state().next_sample == position
            assert training.state().step_count == 1

    def test_an_evaluation_leaves_training_as_it_was(self) -> None:
        with closing(self.build()) as evaluated:
            losses = losses_of(evaluated, 2)
            mode, draws = evaluated.model.training, random_state()
            first = evaluated.evaluate(EVALUATION_BATCH_SIZE)
            assert evaluated.model.training is mode
            assert_same(random_state(), draws)
            assert evaluated.evaluate(EVALUATION_BATCH_SIZE) == first
            losses += losses_of(evaluated, 3)
            end = as_saved(evaluated)
        with closing(self.build()) as plain:
            assert losses_of(plain, 5) == losses
            assert_same(as_saved(plain), end)

    def test_a_closed_training_goes_on(self) -> None:
        with closing(self.build()) as training:
            losses = losses_of(training, 2)
            training.close()
            training.close()
            losses += losses_of(training, 2)
        with closing(self.build()) as plain:
            assert losses_of(plain, 4) == losses

    def test_one_process_takes_part(self) -> None:
        with pytest.raises(ValueError, match="one process"):
            self.make(3).build(RECIPE, CPU, World(rank=0, size=2))
