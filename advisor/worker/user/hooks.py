"""The one place from which the user's code is called."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ParamSpec, TypeVar

from bsadvise.model.measurements import Fault, FaultCode

from advisor.worker.user.default_loss import NoDefaultLoss
from advisor.worker.user.diagnosis import explain
from advisor.worker.user.oom import out_of_memory
from advisor.worker.user.ownership import Owner, owner_of
from advisor.worker.user.reading import parsed

P = ParamSpec("P")
T = TypeVar("T")


class UserCodeFailed(Exception):
    """The user's code did something that ends the command; ``fault`` says what and where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Hooks:
    """Calls hooks of the model file, and turns what they raise into faults.

    Running out of memory is not a fault, and what our own hooks on gradients and operations raise
    is no fault of the user's: such exceptions pass through.
    """

    def __init__(
        self, source_dir: Path, entry_path: str, entering_hook: Callable[[str], None]
    ) -> None:
        """Take note of where the user's code is.

        Args:
            source_dir: The bundle.
            entry_path: The model file inside it.
            entering_hook: Called with a hook's name before the hook is run.
        """
        self.source_dir = source_dir
        self.entry_path = entry_path
        self._entering_hook = entering_hook
        self._announced = ""

    def of_copy(self, directory: Path) -> Hooks:
        """Return the hooks of the same files in another directory."""
        return Hooks(directory, self.entry_path, self._entering_hook)

    def call(self, hook: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Announce a hook, then call ``function`` as ``guard`` does."""
        self.announce(hook)
        return self.guard(hook, function, *args, **kwargs)

    def announce(self, hook: str) -> None:
        """Say which hook is run now."""
        # Said once for a run of calls: in a training loop of a small model the saying would
        # otherwise cost as much as the step.
        if hook != self._announced:
            self._announced = hook
            self._entering_hook(hook)

    def guard(self, hook: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` and return its result.

        Raises:
            UserCodeFailed: It raised anything at all, unless that is ours; SystemExit too.
        """
        try:
            return function(*args, **kwargs)
        except (UserCodeFailed, NoDefaultLoss):
            raise
        except BaseException as error:
            if out_of_memory(error) is not None or self._is_ours(error):
                raise
            raise UserCodeFailed(explain(error, hook, self.source_dir, self.entry_path)) from error

    def _is_ours(self, error: BaseException) -> bool:
        return owner_of(error, self.source_dir) is Owner.OURS

    def reject(
        self,
        hook: str | None,
        message: str,
        fix: str,
        *,
        function: object = None,
        line: int | None = None,
    ) -> UserCodeFailed:
        """Return the error for a model file that does not keep to the contract.

        Args:
            hook: The name in question.
            message: What is wrong.
            fix: What to do about it.
            function: What stands under that name; its line is given.
            line: A line to give in place of that.
        """
        code = getattr(function, "__code__", None)
        if line is None:
            line = code.co_firstlineno if code else self._line_of(hook)
        return UserCodeFailed(
            Fault(
                code=FaultCode.MODEL_FILE,
                message=message,
                hook=hook,
                file=self.entry_path,
                line=line,
                fix=fix,
            )
        )

    @cached_property
    def source(self) -> bytes:
        """The model file as it is written; empty where it cannot be read."""
        try:
            return (self.source_dir / self.entry_path).read_bytes()
        except OSError:
            return b""

    def _line_of(self, name: str | None) -> int | None:
        """Return where the model file gives a value to a name; None when it nowhere does."""
        tree = parsed(self.source)
        for statement in tree.body if tree else ():
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return statement.lineno
        return None
