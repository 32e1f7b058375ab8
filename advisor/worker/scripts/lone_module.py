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


def train_lone_module(main: ModuleType, entry_path: str, model_class: str = "") -> None:
    """Call ``fit`` with the one Lightning module that a file defines; nothing if it defines none.

    With its one data module, where there is any. Both are made without arguments.

    Args:
        main: The file, as run.
        entry_path: Its path in the bundle.
        model_class: The module's class, where there are several; empty for the only one.

    Raises:
        NotTrainable: There are several, or making them takes arguments.
    """
    modules = _defined(main, "LightningModule", "training_step")
    named = [kind for kind in modules if kind.__name__ == model_class]
    if model_class and not named:
        raise _no_such_class(model_class, modules, entry_path)
    if not modules:
        return
    module = _chosen(named or modules, entry_path, _NAME_ONE)
    data = _defined(main, "LightningDataModule", "train_dataloader")
    datamodule = _chosen(data, entry_path, _CALL.format(module.__name__))() if data else None
    base = next(kind for kind in module.__mro__ if kind.__name__ == "LightningModule")
    library: Any = sys.modules[base.__module__.removesuffix(".core.module")]
    trainer = library.Trainer(devices=1, logger=False, enable_checkpointing=False)
    trainer.fit(module(), datamodule=datamodule)


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


_CALL = (
    "Call the trainer at the end of the file, as you train:\n"
    '    if __name__ == "__main__":\n'
    "        Trainer().fit({}(...), ...)"
)
_NAME_ONE = "Give --model-class with the name of the one to train."


def _chosen(kinds: list[type], entry_path: str, fix: str) -> type:
    """Return the only class of some that needs no arguments.

    Args:
        kinds: The classes, at least one.
        entry_path: The file that defines them.
        fix: What to do where several need none.

    Raises:
        NotTrainable: There is none, or several.
    """
    needed = {kind: _needed(kind) for kind in kinds}
    ready = [kind for kind in kinds if not needed[kind]]
    if len(ready) == 1:
        return ready[0]
    if ready:
        names = ", ".join(kind.__name__ for kind in ready)
        raise _refused(f"It defines {names} and trains none of them.", ready[1], entry_path, fix)
    asked = "; ".join(
        f"{kind.__name__} needs values for {', '.join(needed[kind])}" for kind in kinds
    )
    message = f"Nothing is trained, and {asked}."
    raise _refused(message, kinds[0], entry_path, _CALL.format(kinds[0].__name__))


_OPEN_KINDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _needed(kind: type) -> list[str]:
    """Return the arguments without which a class cannot be made."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in _OPEN_KINDS]


def _no_such_class(name: str, modules: list[type], entry_path: str) -> NotTrainable:
    names = ", ".join(kind.__name__ for kind in modules)
    found = f"it defines {names}" if modules else "it defines none"
    fix = _NAME_ONE if modules else "Leave --model-class out."
    fault = Fault(
        code=FaultCode.MODEL_FILE,
        message=f"There is no LightningModule {name} with a training_step in it: {found}.",
        file=entry_path,
        fix=fix,
    )
    return NotTrainable(fault)


def _refused(message: str, kind: type, entry_path: str, fix: str) -> NotTrainable:
    code = getattr(vars(kind).get("__init__"), "__code__", None)
    return NotTrainable(
        Fault(
            code=FaultCode.MODEL_FILE,
            message=message,
            file=entry_path,
            line=None if code is None else code.co_firstlineno,
            fix=fix,
        )
    )
