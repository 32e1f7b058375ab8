"""A file that defines a Lightning module and trains nothing: trained as its user would begin to."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

from bsadvise.model.measurements import Fault, FaultCode


class NotTrainable(Exception):
    """It cannot be told what is to be trained; ``fault`` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def train_lone_module(main: ModuleType, entry_path: str) -> None:
    """Call ``fit`` with the one Lightning module that a file defines; nothing if it defines none.

    With its one data module, where there is any. Both are made without arguments.

    Args:
        main: The file, as run.
        entry_path: Its path in the bundle.

    Raises:
        NotTrainable: There are several, or making them takes arguments.
    """
    modules = _defined(main, "LightningModule", "training_step")
    if not modules:
        return
    data = _defined(main, "LightningDataModule", "train_dataloader")
    chosen = [_chosen(kinds, modules[0], entry_path) for kinds in (modules, data) if kinds]
    base = next(kind for kind in modules[0].__mro__ if kind.__name__ == "LightningModule")
    library: Any = sys.modules[base.__module__.removesuffix(".core.module")]
    trainer = library.Trainer(devices=1, logger=False, enable_checkpointing=False)
    trainer.fit(chosen[0](), datamodule=chosen[1]() if len(chosen) > 1 else None)


def _defined(main: ModuleType, base_name: str, method: str) -> list[type]:
    """Return the classes of a base that a file defines and that override one of its methods."""
    found = []
    for value in vars(main).values():
        if not isinstance(value, type) or value.__module__ != main.__name__:
            continue
        base = next((kind for kind in value.__mro__ if kind.__name__ == base_name), None)
        is_own = base is not None and getattr(value, method, None) is not getattr(base, method)
        if is_own and value not in found:
            found.append(value)
    return found


def _chosen(kinds: list[type], module: type, entry_path: str) -> type:
    """Return the only class of some, which must need no arguments."""
    names = ", ".join(kind.__name__ for kind in kinds)
    if len(kinds) > 1:
        raise _refused(f"It defines {names} and trains none of them.", kinds[1], module, entry_path)
    (kind,) = kinds
    parameters = list(inspect.signature(kind).parameters.values())
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in _OPEN_KINDS]
    if needed:
        message = f"Nothing is trained, and {names} needs values for {', '.join(needed)}."
        raise _refused(message, kind, module, entry_path)
    return kind


_OPEN_KINDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _refused(message: str, kind: type, module: type, entry_path: str) -> NotTrainable:
    code = getattr(vars(kind).get("__init__"), "__code__", None)
    return NotTrainable(
        Fault(
            code=FaultCode.MODEL_FILE,
            message=message,
            file=entry_path,
            line=None if code is None else code.co_firstlineno,
            fix="Call the trainer at the end of the file, as you train:\n"
            '    if __name__ == "__main__":\n'
            f"        Trainer().fit({module.__name__}(...), ...)",
        )
    )
