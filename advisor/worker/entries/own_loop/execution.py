"""One run of a script whose loop is driven: begun, asked for steps, and ended."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from gc import collect
from pathlib import Path
from typing import Any, ClassVar

import torch
from bsadvise.model.observation import Reference
from torch import nn

from advisor.worker.entries.own_loop.handler import LoopHandler
from advisor.worker.entries.own_loop.learning import DrivenLoop, LoopTraits
from advisor.worker.entries.own_loop.live_objects import model_of
from advisor.worker.entries.own_loop.request import Request
from advisor.worker.entries.own_loop.update_calls import controlled
from advisor.worker.loop.compiling import without_compiling
from advisor.worker.scripts.main_thread import MAIN_THREAD
from advisor.worker.scripts.patching import replaced
from advisor.worker.scripts.running import Ending, EndingKind, run_script
from advisor.worker.scripts.surroundings import Script, surroundings
from advisor.worker.user.model_file import forget_modules


class ScriptEnded(Exception):
    """The script has ended before it did what it was asked for.

    Attributes:
        ending: How.
        works_at: Its own batch size, where it took such a batch and none of another size.
    """

    def __init__(self, ending: Ending, works_at: int | None = None) -> None:
        super().__init__(str(ending.fault or ending.kind.value))
        self.ending = ending
        self.works_at = works_at


class Execution:
    """A run of a script, which waits in its loop whenever nothing is asked of it.

    Attributes:
        handler: Drives it.
        ending: How it ended; None while it runs.
        owner: Who asks now.
    """

    ending: Ending | None = None
    owner: object = None
    running: ClassVar[Execution | None] = None
    """The one of this process: a run changes functions, arguments and folder of all of it."""

    def __init__(
        self,
        script: Script,
        reference: Reference,
        known: LoopTraits | None = None,
        *,
        seed_shift: int = 0,
        keeps_graph: bool = False,
    ) -> None:
        """Begin a run, in place of any that there is, and go on until it waits in its loop.

        Args:
            script: The script.
            reference: What it was seen to train with by itself.
            known: How its loop goes, where it has been run before.
            seed_shift: What is added to the seeds that it sets itself, so that a replicate has
                other weights.
            keeps_graph: Whether losses that are not trained on are differentiable.

        Raises:
            ScriptEnded: It ended before it had stepped and asked for another batch.
            LoopNotDriven: Its loop is of a kind that cannot be driven.
        """
        if Execution.running is not None:
            Execution.running.stop()
        # Or its modules would be found among those of this one.
        collect()
        Execution.running = self
        self.handler = LoopHandler(reference, known, keeps_graph=keeps_graph)
        self._copy: Path | None = None
        self._script = script
        self._reference = reference
        self._files = ExitStack()
        self._seed_shift = seed_shift
        MAIN_THREAD.start(self._run)
        try:
            self._look_at(self.handler.feed.turns.answer())
        finally:
            works_at = self.handler.works_at
            if self.ending is not None:
                self.remove_files()
        if self.ending is not None:
            raise ScriptEnded(self.ending, works_at)

    @property
    def loop(self) -> DrivenLoop:
        """The loop that it waits in, or did."""
        if self.handler.feed.loop is None:
            raise AssertionError("a run that was begun waits in a loop")
        return self.handler.feed.loop

    @property
    def copy(self) -> Path:
        """The copy of its files that it runs in."""
        if self._copy is None:
            raise AssertionError("a run that was begun has files")
        return self._copy

    @cached_property
    def model(self) -> nn.Module:
        """All that the optimizer trains, and what belongs to it."""
        return model_of(self.loop.optimizer, self.handler.feed.processing.modules)

    @property
    def is_running(self) -> bool:
        """Whether something can be asked of it."""
        return self.ending is None and Execution.running is self

    def ask(self, request: Request) -> None:
        """Have a request done.

        Raises:
            ScriptEnded: The script ended before it was.
            BaseException: What went wrong where batches come from, or in an observer.
        """
        if self.ending is None:
            self._look_at(self.handler.feed.turns.ask(request))
        if request.error is not None:
            raise request.error
        if self.ending is not None and not request.is_done:
            raise ScriptEnded(self.ending)

    def stop(self) -> None:
        """End the run, if it has not ended, and let go of what it has made."""
        if self.ending is None:
            self._look_at(self.handler.feed.turns.ask(None))
        if Execution.running is self:
            Execution.running = None
        # Or a model would stay in memory beside the next one.
        self.handler = LoopHandler(self._reference)
        vars(self).pop("model", None)

    def remove_files(self) -> None:
        """Let go of the copy of its files, and of what it put into the process's environment."""
        self.stop()
        self._files.close()

    def _look_at(self, answer: Request | Ending | BaseException | None) -> None:
        if isinstance(answer, Ending):
            self.ending = answer
        if isinstance(answer, BaseException):
            self.ending = Ending(kind=EndingKind.RAISED)
            raise answer
        if self.handler.feed.failure is not None:
            raise self.handler.feed.failure

    def _shifting(self, original: Callable[[int], Any]) -> Callable[[int], Any]:
        @functools.wraps(original)
        def manual_seed(seed: int) -> Any:
            is_ours = not self.handler.is_script_thread
            return original(seed if is_ours else seed + self._seed_shift)

        return manual_seed

    def _run(self) -> None:
        """Run the script; in its own thread."""
        answer: Ending | BaseException
        main = sys.modules["__main__"]
        self.handler.enter_thread()
        try:
            self._copy = self._files.enter_context(surroundings(self._script))
            try:
                with (
                    without_compiling(),
                    controlled(self.handler),
                    replaced(torch, "manual_seed", self._shifting),
                ):
                    answer = run_script(self._copy, self._script.entry_path, self.handler)
            finally:
                self.handler.feed.close()
                # Its files stay, but nothing may find its modules: not the next run either.
                forget_modules(self._copy)
                sys.modules["__main__"] = main
        except BaseException as error:  # noqa: BLE001 - raised again where the run was begun
            answer = error
        self.handler.feed.turns.give(answer)
