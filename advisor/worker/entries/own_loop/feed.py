"""Gives a script's loop its batches, and lets it wait when nothing is asked of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from bsadvise.model.observation import Reference

from advisor.worker.entries.own_loop.batches import Batches, Served
from advisor.worker.entries.own_loop.learning import (
    DrivenLoop,
    Learning,
    LoopNotDriven,
    LoopTraits,
)
from advisor.worker.entries.own_loop.live_objects import live_modules
from advisor.worker.entries.own_loop.processing import Processing
from advisor.worker.entries.own_loop.request import Purpose, Request
from advisor.worker.entries.own_loop.turns import Turns
from advisor.worker.loop.observers import Phase
from advisor.worker.scripts.handler import StopScript
from advisor.worker.scripts.running import Ending

_MOST_IDLE = 1024
"""Placeholders in a row without a step, after which none is expected any more."""
_NO_LOADER = "comes from no DataLoader"
_MOST_PASSED_OVER = 2
"""Times that a batch is served again that was not trained on: a script may look at one first."""


class Feed:
    """Serves the batches of one run. Made in one thread, used in the script's.

    Batches come to their backward passes in the order in which they were served: where the script
    fetches ahead, the one that is being processed is not the one served last. The loop is learned
    first, with placeholders of two samples.

    Attributes:
        turns: With the thread of the commands, which is given None once the loop waits for its
            first request, then each request that is done, and how the script ended.
        learning: What is seen of the loop.
        processing: What holds for the batch that is processed.
        loop: What is driven, once that is learned.
        request: What is asked now.
        is_fetching: Whether code of the script's runs for us, to make a batch.
        is_read_elsewhere: Whether another thread of the script's reads a DataLoader.
        has_other_loader: Whether each step has a batch of another loader too.
        is_stopping: Whether the script is to end.
        failure: Why the loop cannot be driven.
    """

    def __init__(
        self, reference: Reference, known: LoopTraits | None, *, keeps_graph: bool
    ) -> None:
        """Begin.

        Args:
            reference: What the script was seen to train with by itself.
            known: The traits of a loop that was driven before, which it keeps.
            keeps_graph: Whether losses that are not trained on are differentiable.
        """
        self.turns: Turns[Request | None, Request | Ending | BaseException | None] = Turns()
        self.learning = Learning(reference, known)
        self.processing = Processing(keeps_graph=keeps_graph)
        self.loop: DrivenLoop | None = None
        self.request: Request | None = None
        self.is_fetching = False
        self.is_read_elsewhere = False
        self.has_other_loader = False
        self.is_stopping = False
        self.failure: Exception | None = None
        self._source: Batches | None = None
        self._other_source: Batches | None = None
        self._outstanding: deque[Served] = deque()
        self._current: Served | None = None
        self._idle_count = 0
        self._passed_over = 0
        self._served_count = 0
        self._has_leftovers = False

    def close(self) -> None:
        """Leave what was entered in the script's thread, and give back what it has not used."""
        self.processing.leave()
        self.processing.restore_random_state()
        self._give_back(self._outstanding)

    def reach_backward(self) -> tuple[Served | None, bool]:
        """Return the batch that a backward pass is of, and whether it is its first."""
        if self.learning.loader is None or not (self._outstanding or self._current):
            self._find_loader()
        is_first = bool(self._outstanding)
        if is_first:
            self.learning.note_backward(len(self._outstanding))
            self._current = self._outstanding.popleft()
        if self._current is not None:
            self._announce_forward(self._current)
        return self._current, is_first

    def leave_backward(self) -> None:
        """Make ready for a batch that the script has already, after the pass of one before."""
        if not self._outstanding:
            return
        served = self._outstanding[0]
        if served.request is None or not served.request.is_trained_on:
            self.processing.freeze()
        elif self.processing.is_frozen:
            self.processing.leave()
            self.processing.restore_random_state()
            self._process(served)

    def note_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that a step is called for."""
        with self._ending_if_not_driven():
            self.learning.note_step(optimizer)

    @contextmanager
    def _ending_if_not_driven(self) -> Iterator[None]:
        try:
            yield
        except LoopNotDriven as reason:
            self.fail(reason)

    def fail(self, reason: LoopNotDriven) -> NoReturn:
        """End the script."""
        self.failure = reason
        self.is_stopping = True
        raise StopScript

    def next_batch(self, source: Batches) -> Any:
        """Return the next batch of an iterator; the script waits here until it is asked for one.

        Raises:
            StopIteration: The iterator is of no training loader, and has served enough.
            StopScript: The run is over.
        """
        if self.learning.loader is None:
            return self._first_batch(source)
        if source.loader is not self.learning.loader:
            self._other_source = source
            batch = source.batch_in_turn(self._served_count)
            self.has_other_loader |= source.is_read_in_turn
            return batch
        self._served_count += 1
        self._other_source = self._current = None
        self.processing.leave()
        self.processing.restore_random_state()
        self._forget_unused(source)
        while True:
            served = self._serve()
            self._outstanding.append(served)
            first = self._outstanding[0]
            self._process(first)
            if first.request is None or first.request.error is None:
                return served.batch
            self._outstanding.clear()
            self.processing.leave()

    def _forget_unused(self, source: Batches) -> None:
        """Forget batches that the script has, and will not train on any more."""
        unused: list[Served] = []
        if source is not self._source:
            # Those of an iterator before, as when the first batch is looked at for its shape.
            unused = list(self._outstanding)
            self._outstanding.clear()
            self._source = source
        elif self.loop and len(self._outstanding) >= self.loop.traits.fetched_batches:
            unused = [self._outstanding.popleft()]
        request = self.request
        if not self._give_back(unused) or request is None:
            return
        # The script may have caught what an observer raised, to try again with less.
        request.error = next((o.failure for o in request.observers if o.failure), None)
        self._passed_over += 1
        if self._passed_over > _MOST_PASSED_OVER:
            # As scripts do that guard against losses that are not finite.
            request.diverge()

    def _give_back(self, unused: Sequence[Served] | deque[Served]) -> bool:
        """Let batches that were not used be served again; return whether there were any."""
        request = self.request
        kept = [served for served in unused if request and served.request is request]
        if request is None or request.is_done or not kept:
            return False
        for served in kept:
            request.give_back(served.batch)
        return True

    def _serve(self) -> Served:
        """Return the next batch; wait for what is asked, where nothing is left to be done."""
        if self.loop is None and self.learning.is_over:
            with self._ending_if_not_driven():
                self.loop = self.learning.loop()
        while self.loop is not None:
            request = self.request
            if request is None or request.is_done:
                self._wait()
            elif request.served_count == request.count or self._comes_too_early(request, self.loop):
                break
            else:
                batch = self._batch_of(request)
                if request.error is None:
                    self._idle_count = 0
                    return Served(batch, request)
        self._idle_count += 1
        if self._idle_count > _MOST_IDLE:
            self.fail(LoopNotDriven(f"no optimizer step comes within {_MOST_IDLE} batches"))
        return Served(self._placeholder())

    def _comes_too_early(self, request: Request, loop: DrivenLoop) -> bool:
        """Return whether the script would go on after the last batch before it steps."""
        if request.purpose is not Purpose.UPDATE or request.served_count:
            return False
        before = self.learning.batches_since_step + len(self._outstanding)
        return (before + request.count) % loop.traits.accumulation_steps != 0

    def _placeholder(self) -> Any:
        if self.learning.placeholders is None:
            raise AssertionError("the loader is known by now")
        self.is_fetching = True
        try:
            return self.learning.placeholders.batch()
        finally:
            self.is_fetching = False

    def _batch_of(self, request: Request) -> Any:
        self.is_fetching = True
        try:
            if request.is_trained_on:
                request.announce(Phase.LOADING)
            return request.next_batch()
        finally:
            self.is_fetching = False

    def _wait(self) -> None:
        """Give what was asked for, and wait for what is asked next.

        Raises:
            StopScript: Nothing is any more.
        """
        done, self.request = self.request, None
        if done is not None:
            self._has_leftovers |= done.has_gradients
            if done.takes_all and done.has_updated:
                # Once a step, as observers count them; what it took was part of the passes.
                done.announce(Phase.OPTIMIZER)
                done.announce(Phase.LOADING)
        self.turns.give(done)
        del done  # Or its losses would stay.
        request = self.turns.question()
        if request is None:
            self.is_stopping = True
            raise StopScript
        self.request = request
        self._idle_count = self._passed_over = 0
        if self.loop is not None:
            request.takes_all = self.loop.has_several_optimizers
            self.loop.rates.release()
        if request.is_trained_on and not request.losses:
            request.announce(Phase.ZERO_GRAD)
            if self._has_leftovers and self.loop is not None:
                self.loop.optimizer.zero_grad(set_to_none=True)
                self._has_leftovers = False

    # Which loader and which optimizer train.

    def _first_batch(self, source: Batches) -> Any:
        """Return a batch as the script would have it, of which nothing is kept."""
        if not self.processing.modules:
            self.processing.modules = live_modules()
        if source.number != self.learning.loader_number:
            self._other_source = source
            if self._outstanding:  # Read between a batch and its backward pass.
                return self._own_batch(source)
        elif source is not self._source:
            self._outstanding.clear()
            self._source = source
        self.processing.leave()
        batch = self._own_batch(source)
        if source is self._source:
            self._outstanding.append(Served(batch))
        self.processing.freeze()
        return batch

    def _own_batch(self, source: Batches) -> Any:
        self.is_fetching = True
        try:
            return source.own_batch()
        finally:
            self.is_fetching = False

    def _find_loader(self) -> None:
        """Take the loader that was seen to train; else that of the last batch, if any."""
        # Never by their truth: a stream has no length.
        is_known = self.learning.loader is not None
        source = self._source
        if source is None or (is_known and self._other_source is not None):
            source = self._other_source
        if source is None:
            fault = "is fetched by another thread" if self.is_read_elsewhere else _NO_LOADER
            self.fail(LoopNotDriven(f"what it trains on {fault}"))
        with self._ending_if_not_driven():
            self.learning.note_loader(source.loader)
        self._source = source
        source.close()

    # What holds while a batch is processed.

    def _process(self, served: Served) -> None:
        """Make ready for a batch that the script processes next."""
        if served.request is not None:
            self.processing.observe(served.request.observers)
        if not served.request or not served.request.is_trained_on:
            self.processing.freeze()
        # Where it fetches ahead, it may ask for more before it begins.
        if self.loop and len(self._outstanding) >= self.loop.traits.fetched_batches:
            self._announce_forward(served)

    def _announce_forward(self, served: Served) -> None:
        request = served.request
        if request is None or served.is_announced:
            return
        served.is_announced = True
        request.announce(Phase.FORWARD)
        request.tell_received(served.batch)
