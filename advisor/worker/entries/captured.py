"""A script as a task, entered at the call of its trainer: what it has made until then trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from advisor.worker.entries.construction import Constructions
from advisor.worker.entries.delegation import DelegatingTask
from advisor.worker.entries.fit_call import FitCall
from advisor.worker.entries.lightning import LightningTask
from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.protocol import Task
from advisor.worker.scripts.handler import PassiveHandler, StopScript, TrainerKind
from advisor.worker.scripts.running import Ending, run_script
from advisor.worker.scripts.surroundings import Script, surroundings
from advisor.worker.user.hooks import Hooks, UserCodeFailed

SURROUNDINGS = ExitStack()
"""What this process's script finds around it, also after its run: its data may be read late, its
modules imported late. A process serves one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerCall:
    """The call of a trainer, which was not carried out.

    Attributes:
        kind: Whose trainer.
        trainer: The trainer.
        args: What it was called with.
        kwargs: What it was called with by name.
    """

    kind: TrainerKind
    trainer: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def task(self, hooks: Hooks, seed: int, constructions: Constructions) -> Task:
        """Return the task of what is to be trained.

        Args:
            hooks: Calls the user's code.
            seed: The job's.
            constructions: How the script made its models.
        """
        if self.kind is TrainerKind.LIGHTNING:
            call = FitCall.of(self.trainer, self.args, self.kwargs)
            return LightningTask(call, hooks, seed, constructions.of(call.module))
        made = constructions.of(self.trainer.model)
        return TransformersTask(self.trainer, hooks, seed, made)


class _Capture(PassiveHandler):
    """Stops the script at the first call of a trainer."""

    call: TrainerCall | None = None

    def on_trainer(
        self,
        kind: TrainerKind,
        trainer: Any,  # noqa: ANN401 - the user's
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        run: Callable[[], Any],  # noqa: ARG002 - not to be run
    ) -> Any:  # noqa: ANN401 - nothing
        """Keep the call, and leave the script."""
        self.call = TrainerCall(kind=kind, trainer=trainer, args=args, kwargs=kwargs)
        raise StopScript


class CapturedTask(DelegatingTask):
    """A script that calls a trainer. It is run up to there when it is first needed, and once."""

    def __init__(self, script: Script, hooks: Hooks, seed: int) -> None:
        """Take note of the script. Runs nothing of it yet.

        Args:
            script: The script.
            hooks: Announces what is run.
            seed: The job's.
        """
        super().__init__(seed)
        self._script = script
        self._hooks = hooks

    @cached_property
    def task(self) -> Task:
        """The task of the call.

        Raises:
            UserCodeFailed: The script ended before it.
            torch.OutOfMemoryError: Memory ran out before it.
        """
        SURROUNDINGS.close()
        copy = SURROUNDINGS.enter_context(surroundings(self._script))
        hooks = self._hooks.of_copy(copy)
        capture, constructions = _Capture(), Constructions()
        with constructions.noted():
            script = self._script
            ending = hooks.call(
                "the script", run_script, copy, script.entry_path, capture, script.model_class
            )
        if capture.call is None:
            raise self._ended(ending)
        return capture.call.task(hooks, self.seed, constructions)

    def _ended(self, ending: Ending) -> Exception:
        if ending.memory is not None:
            kind = MemoryError if ending.memory.is_host else torch.OutOfMemoryError
            return kind(ending.memory.message)
        if ending.fault is not None:
            return UserCodeFailed(ending.fault)
        return self._hooks.reject(
            None,
            "The script ended before its trainer was called.",
            "Give the script's own arguments after `--`, as you give them when you train.",
        )
