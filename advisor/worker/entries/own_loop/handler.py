"""Drives a script's loop from inside: serves its batches, and takes or leaves its steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from bsadvise.model.observation import Reference
from torch import Tensor

from advisor.worker.entries.own_loop.batches import Batches
from advisor.worker.entries.own_loop.feed import Feed
from advisor.worker.entries.own_loop.learning import LoopNotDriven, LoopTraits
from advisor.worker.entries.own_loop.loader_data import batch_size_of
from advisor.worker.entries.own_loop.losses import LossReader
from advisor.worker.entries.own_loop.request import Purpose, Request
from advisor.worker.loop.observers import Phase
from advisor.worker.scripts.handler import AnyLoader, PassiveHandler, StopScript


class LoopHandler(PassiveHandler):
    """Drives one run of a script. Made in one thread, called in the script's.

    Implements ``UpdateControl`` too, which decides on the calls between backward pass and step.

    Attributes:
        feed: Gives the script its batches.
        losses: Reads what it passes to its backward passes.
        scaler: The script's gradient scaler, where it uses one.
        loss_count: Losses that were asked for and came.
    """

    def __init__(
        self, reference: Reference, known: LoopTraits | None = None, *, keeps_graph: bool = False
    ) -> None:
        """Drive a loop.

        Args:
            reference: What the script was seen to train with by itself.
            known: The traits that it has, where it was driven before.
            keeps_graph: Whether losses that are not trained on are differentiable.
        """
        self.feed = Feed(reference, known, keeps_graph=keeps_graph)
        self.losses = LossReader()
        self.scaler: torch.amp.GradScaler | None = None
        self.loss_count = 0
        self._thread: int | None = None
        self._loaders: list[AnyLoader] = []
        self._updating: Request | None = None
        self._scaler_may_follow: Request | None = None

    def enter_thread(self) -> None:
        """Take this thread for the script's."""
        self._thread = threading.get_ident()

    @property
    def is_script_thread(self) -> bool:
        """Whether this is the script's thread."""
        return threading.get_ident() == self._thread

    @property
    def works_at(self) -> int | None:
        """The script's own batch size, where it took such a batch, and then none of two samples."""
        loader = self.feed.learning.loader
        return batch_size_of(loader) if loader is not None and self.feed.loop is None else None

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        """Return what serves batches in place of the loader's own iterator."""
        if self._is_elsewhere:
            self.feed.is_read_elsewhere |= not self.feed.is_fetching
            return make_iterator()
        if not any(loader is read for read in self._loaders):
            self._loaders.append(loader)
        number = next(i for i, read in enumerate(self._loaders) if read is loader)
        return Batches(loader, number, make_iterator, self._next_batch)

    def _next_batch(self, source: Batches) -> Any:
        return source.own_batch() if self._is_elsewhere else self.feed.next_batch(source)

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        """Carry out the pass of a batch that is trained on; note the loss."""
        if self._is_elsewhere:
            backward()
            return
        served, is_first = self.feed.reach_backward()
        request = served.request if served else None
        if request is not None and request.error is None:
            self._take_loss(request, tensors, backward, is_first=is_first)
        self.feed.leave_backward()

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        """Take the step where it is the one that is asked for."""
        if self._is_elsewhere:
            return step()
        if has_closure:
            self.feed.fail(LoopNotDriven("its optimizer computes the loss itself, by a closure"))
        if not self.begin_update():
            return self.pass_step(optimizer)
        self.feed.note_step(optimizer)
        if self.feed.request is None or self.feed.loop is None:
            raise AssertionError("an update belongs to a request")
        self.feed.loop.rates.impose(self.feed.request.learning_rate)
        try:
            return step()
        finally:
            self.feed.loop.rates.release()
            self.end_update()

    @property
    def _is_elsewhere(self) -> bool:
        """Whether a call comes from us, or from another thread than the script's own.

        Raises:
            StopScript: The run is over.
        """
        if self.feed.is_fetching or not self.is_script_thread:
            return True
        if self.feed.is_stopping:
            raise StopScript
        return False

    # What decides on the calls between, see ``UpdateControl``.

    @property
    def is_script_calling(self) -> bool:
        """Whether the script is, in its loop."""
        is_ours = self.feed.is_fetching or not self.is_script_thread
        return self.feed.learning.loader is not None and not is_ours

    @property
    def keeps_gradients(self) -> bool:
        """Whether gradients are there that must stay."""
        return self.feed.request is not None and self.feed.request.has_gradients

    @property
    def is_frozen(self) -> bool:
        """Whether modules stay in evaluation mode."""
        return self.feed.processing.is_frozen

    @property
    def uses_scaler(self) -> bool:
        """Whether gradient scalers scale."""
        return self.feed.request is None or self.feed.request.uses_scaler

    @property
    def uses_autocast(self) -> bool:
        """Whether autocast contexts cast."""
        return self.feed.request is None or self.feed.request.uses_autocast

    def begin_update(self) -> bool:
        """Return whether the step that is asked for begins or has begun, before it is taken."""
        request = self.feed.request
        if request is None or not request.may_update:
            return False
        if self._updating is not request:
            self._updating = request
            if not request.takes_all:
                request.announce(Phase.OPTIMIZER)
        return True

    def end_update(self) -> None:
        """Take note that the step was taken, or skipped by the scaler."""
        request = self.feed.request
        if request is None or not request.may_update:
            return
        request.has_updated = True
        self._scaler_may_follow = request if request.uses_scaler else None
        request.announce(Phase.FORWARD if request.takes_all else Phase.LOADING)
        self.feed.processing.keep_random_state()

    def pass_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of a step that does not go through."""
        self.feed.note_step(optimizer)

    def take_scaler_update(self) -> bool:
        """Return whether the scaler's update goes through: once, after the step."""
        follows = self._scaler_may_follow is not None
        follows = follows and self._scaler_may_follow is self.feed.request
        self._scaler_may_follow = None
        return follows

    def scaled(self, scaler: torch.amp.GradScaler, loss: Tensor, scaled: Tensor) -> None:
        """Take note of a loss that was scaled."""
        self.scaler = scaler
        self.losses.note_scaled(loss, scaled)

    def casting(self, dtype: torch.dtype) -> None:
        """Take note of what operations are cast to."""
        self.feed.learning.autocast_dtype = dtype

    def _take_loss(
        self,
        request: Request,
        tensors: Sequence[Tensor],
        backward: Callable[[], None],
        *,
        is_first: bool,
    ) -> None:
        """Note the loss of a batch; add its gradient, where it is trained on."""
        loss = self.losses.read(tensors)
        if request.is_trained_on:
            if is_first or request.takes_all:
                request.announce(Phase.BACKWARD)
            if self.feed.loop is not None:
                self.losses.note_divisor(tensors[0], self.feed.loop)
            _backward_times(request.gradient_factor, tensors, backward)
        if not is_first:  # Of a loss in several parts, each with a pass of its own.
            request.losses[-1] = request.losses[-1] + loss
            return
        request.losses.append(loss)
        self.loss_count += 1
        if request.purpose is Purpose.EVALUATION:
            request.announce(Phase.LOADING)
        self.feed.processing.keep_random_state()


def _backward_times(factor: float, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
    """Make a backward pass, of which the gradient is multiplied by a factor."""
    with ExitStack() as hooks:
        for tensor in tensors if factor != 1 else ():
            register: Any = tensor.register_hook
            hooks.callback(register(lambda gradient: gradient * factor).remove)
        backward()
