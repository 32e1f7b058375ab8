"""A script with a training loop of its own as a task."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.measurements import Fault, FaultCode
from bsadvise.model.observation import Reference

from advisor.worker.data.random_state import seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.entries.assembly import refuse_several
from advisor.worker.entries.own_loop.endings import ended_early, not_driven
from advisor.worker.entries.own_loop.execution import Execution, ScriptEnded
from advisor.worker.entries.own_loop.learning import LoopNotDriven, LoopTraits
from advisor.worker.entries.own_loop.loader_data import LoaderHooks, open_loader
from advisor.worker.entries.own_loop.training import OwnLoopTraining, on_host
from advisor.worker.loop.batch_semantics import is_same
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, TaskSettings, TrainingState
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.scripts.surroundings import Script
from advisor.worker.user.hooks import UserCodeFailed

_REPLAYED = Recipe(micro_batch_size=2)  # Batch normalisation cannot train on one.
_OTHER_LOADER = Caveat(
    code=CaveatCode.TRAINER_PARTS_LEFT_OUT,
    text="Each step reads a batch of another DataLoader too, which stays of the size that it has: "
    "the batch size and the samples are those of the loader that is read last.",
)
_NO_GRAPH = "does not require grad"
"""What torch says where a derivative is asked for of what was computed without gradients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _First:
    """What is kept of a task's first run.

    Attributes:
        run: The run. Its copy of the files stays: its data set may read them later.
        traits: How its loop goes.
        num_workers: Processes of its training loader.
        data: Its data.
        replayed_batch: Of which the loss at the beginning is compared.
        caveats: What trials leave as it is.
    """

    run: Execution
    traits: LoopTraits
    num_workers: int
    data: DataSource
    replayed_batch: Any
    caveats: tuple[Caveat, ...] = ()


class OwnLoopTask:
    """One script. Its trainings share a run where what it keeps for itself allows it.

    A training begins where the run was before its first step: weights, buffers, optimizer, scaler
    and random numbers are put back. What else a script keeps, such as averages of its weights, is
    not seen. So the loss of one batch is compared with what it was then; where it is another, each
    training has a run of its own.
    """

    def __init__(
        self, script: Script, reference: Reference, announce: Callable[[str], None], seed: int
    ) -> None:
        """Take a script. Runs none of it yet.

        Args:
            script: The script.
            reference: What it was seen to train with by itself.
            announce: Called with what is run before it is.
            seed: The job's.
        """
        self.seed = seed
        self._script = script
        self._reference = reference
        self._announce = announce
        self._first: _First | None = None
        self._execution: Execution | None = None
        self._own_seed = self._weights_seed = Recipe(micro_batch_size=1, seed=seed).weights_seed
        self._beginning: TrainingState | None = None
        self._loss_at_beginning = 0.0
        self._is_at_beginning = False
        self._repeats = True
        self._needs_graph = False

    @property
    def settings(self) -> TaskSettings:
        """What the loop does at the script's own setting."""
        first = self._first or self._start(self._weights_seed)
        return TaskSettings(
            precision=first.traits.precision,
            num_workers=first.num_workers,
            reference_batch_size=self._reference.batch_size,
            reference_learning_rate=self._reference.learning_rate,
            is_traceable=False,
            learning_rate_name="that of the first parameter group",
            caveats=first.caveats,
        )

    @property
    def data(self) -> DataSource:
        """The data of the first run's training loader."""
        return (self._first or self._start(self._weights_seed)).data

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> OwnLoopTraining:
        """Return a training with fresh weights, in place of any other of this process.

        Raises:
            UserCodeFailed: The script raised, or has no loop that can be driven.
            ValueError: Several processes are to take part.
        """
        refuse_several(world, "a script's own loop")
        if not self._can_begin_again(recipe.weights_seed):
            self._start(recipe.weights_seed)
        self._is_at_beginning = False
        training = self._training(recipe, self.data)
        context.build_model(lambda: training.model, lambda model: model)
        self._check_device(training, device)
        seed_everything(recipe.training_seed)
        return training

    def close(self) -> None:
        """End the run, and remove what was copied for any."""
        for run in (self._execution, self._first.run if self._first else None):
            if run is not None:
                run.remove_files()
        self._execution = None

    def _can_begin_again(self, weights_seed: int) -> bool:
        """Return whether the run that there is can be put back to its beginning."""
        run, first = self._execution, self._first
        is_there = run is not None and run.is_running and weights_seed == self._weights_seed
        if first is None or not is_there or self._is_at_beginning:
            return is_there
        if self._repeats:
            self._repeats = is_same(self._replayed_loss(first), self._loss_at_beginning)
        return self._repeats

    def _start(self, weights_seed: int) -> _First:
        """Begin a run of the script, in place of the one that there is; return the first."""
        last, self._execution = self._execution, None
        if last is not None:
            last.stop()
            if self._first is None or last is not self._first.run:
                last.remove_files()
        self._announce("the script")
        seed_everything(weights_seed)
        try:
            run = self._execute(weights_seed)
        except ScriptEnded as ended:
            raise UserCodeFailed(_why_ended(ended)) from None
        except LoopNotDriven as reason:
            raise UserCodeFailed(not_driven(reason)) from None
        self._execution, self._weights_seed = run, weights_seed
        first = self._first = self._first or self._first_of(run)
        self._beginning = None
        self._beginning = on_host(self._training(_REPLAYED, first.data).state())
        self._loss_at_beginning = self._replayed_loss(first)
        if run.handler.feed.has_other_loader and not first.caveats:
            first = self._first = replace(first, caveats=(_OTHER_LOADER,))
        run.handler.loss_count = 0
        self._is_at_beginning = True
        return first

    def _first_of(self, run: Execution) -> _First:
        loader = run.loop.loader
        hooks = LoaderHooks(run.copy, self._script.entry_path, self._announce)
        data = open_loader(loader, hooks, self.seed)
        if run.loop.has_several_optimizers:
            # What they do to one loss at a rate says nothing of the others.
            data.is_synthetic, data.evaluation_size = True, 0
        return _First(
            run=run,
            traits=run.loop.traits,
            num_workers=loader.num_workers,
            data=data,
            replayed_batch=data.typical_batch(_REPLAYED.micro_batch_size),
        )

    def _execute(self, weights_seed: int) -> Execution:
        known = self._first.traits if self._first else None
        shift = weights_seed - self._own_seed

        def execution() -> Execution:
            return Execution(
                self._script,
                self._reference,
                known,
                seed_shift=shift,
                keeps_graph=self._needs_graph,
            )

        try:
            return execution()
        except ScriptEnded as ended:
            fault = ended.ending.fault
            if self._needs_graph or fault is None or _NO_GRAPH not in fault.message:
                raise
        # A loss of derivatives, as of physical equations, needs them where nothing is trained too.
        self._needs_graph = True
        seed_everything(weights_seed)
        return execution()

    def _training(self, recipe: Recipe, data: DataSource) -> OwnLoopTraining:
        """Return a training in the run that there is, put back to its beginning."""
        if self._execution is None:
            raise AssertionError("a run was begun")
        seed = recipe.weights_seed

        def start_again() -> Execution:
            self._start(seed)
            if self._execution is None:
                raise AssertionError("a run was begun")
            return self._execution

        training = OwnLoopTraining(recipe, self._execution, data, start_again)
        if self._beginning is not None:
            training.put_back(self._beginning)
        return training

    def _replayed_loss(self, first: _First) -> float:
        """Return the loss of one batch at the beginning, trained on as a step would."""
        batch = copy.deepcopy(first.replayed_batch)
        training = self._training(_REPLAYED, first.data)
        seed_everything(self.seed)
        return float(sum(training.accumulate(iter([batch]))))

    def _check_device(self, training: OwnLoopTraining, device: torch.device) -> None:
        types = {parameter.device.type for parameter in training.model.parameters()}
        for elsewhere in types - {device.type}:
            raise UserCodeFailed(
                Fault(
                    code=FaultCode.USER_EXCEPTION,
                    message=f"The script trains on {elsewhere}, not on {device.type}.",
                    file=self._script.entry_path,
                    fix=f"Give the arguments with which it trains on {device.type} after `--`, or "
                    "another --device.",
                )
            )


def _why_ended(ended: ScriptEnded) -> Fault:
    """Return why a script ended before it waited in its loop."""
    ending = ended.ending
    if ending.fault is None:
        return ended_early()
    if ended.works_at is not None:
        return replace(
            ending.fault,
            message=f"The script takes {ended.works_at} samples, its own batch, and not 2: "
            f"{ending.fault.message}",
            fix="Make what has the batch's size, such as a state or a shape, from the batch: "
            f"`x.shape[0]` in place of {ended.works_at}.",
        )
    return ending.fault
