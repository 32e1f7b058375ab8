"""Finds the names of the model-file contract in the user's file, and checks them."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import numbers
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from bsadvise.model.horizon import LengthUnit, TrainingLength

from advisor.domain.limits import BATCH_SIZE, LEARNING_RATE, PROCESSES, TRAINING_LENGTH, Number
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.reading import other_kind

T = TypeVar("T")

PRECISIONS = ("fp32", "bf16", "fp16")

_MOST_SHOWN_CHARACTERS = 100

_LENGTHS = {
    "TOTAL_EPOCHS": LengthUnit.EPOCHS,
    "TOTAL_STEPS": LengthUnit.STEPS,
    "TOTAL_SAMPLES": LengthUnit.SAMPLES,
}

_CALLABLES = (
    "build_model", "build_dataset", "make_batch", "loss_fn", "build_optimizer",
    "build_eval_dataset", "evaluate", "collate_fn", "build_longest_sample",
)  # fmt: skip
_BUILD_MODEL_FIX = "Add:\n    def build_model():\n        return MyModel()"
_DATA_FIX = (
    "Add:\n    def build_dataset():\n        return MyDataset()\n"
    "or, to measure memory and speed alone, `def make_batch(batch_size):`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """What the user's file holds, each name checked for its type.

    Attributes:
        build_model: Returns the model with fresh weights.
        build_dataset: Returns the training data; None when ``make_batch`` stands in.
        make_batch: Returns a synthetic batch of a size.
        loss_fn: Loss of a model on a batch; None for the default.
        build_optimizer: Returns an optimizer; None for AdamW.
        build_eval_dataset: Returns the held-out data.
        evaluate: Returns the held-out measure, lower being better.
        collate_fn: Makes a batch of a list of samples.
        build_longest_sample: Returns the largest sample that training will meet.
        reference_batch_size: REFERENCE_BATCH_SIZE.
        reference_learning_rate: REFERENCE_LR.
        precision: PRECISION.
        num_workers: NUM_WORKERS.
        training_length: TOTAL_EPOCHS, TOTAL_STEPS or TOTAL_SAMPLES.
    """

    build_model: Callable[..., Any]
    build_dataset: Callable[[], Any] | None = None
    make_batch: Callable[[int], Any] | None = None
    loss_fn: Callable[[Any, Any], Any] | None = None
    build_optimizer: Callable[[Any, float], Any] | None = None
    build_eval_dataset: Callable[[], Any] | None = None
    evaluate: Callable[[Any, Any], Any] | None = None
    collate_fn: Callable[[list[Any]], Any] | None = None
    build_longest_sample: Callable[[], Any] | None = None
    reference_batch_size: int | None = None
    reference_learning_rate: float | None = None
    precision: str = "fp32"
    num_workers: int = 0
    training_length: TrainingLength | None = None


def load_model_file(hooks: Hooks) -> ModelFile:
    """Import the user's file and return what it holds.

    The bundle becomes the working directory and comes first on ``sys.path``, as it would be
    for the user. Both belong to the process, which serves one job alone.

    Raises:
        UserCodeFailed: The file raises, lacks a name, or has one of the wrong type.
    """
    other = other_kind(hooks.source)
    if other is not None:
        raise hooks.reject(None, f"{other.message}.", other.fix, line=other.line)
    module = hooks.call("import", _import_file, hooks.source_dir, hooks.entry_path)
    names = vars(module)
    for name in _CALLABLES:
        if name in names and not callable(names[name]):
            kind = type(names[name]).__name__
            raise hooks.reject(
                name, f"{name} must be a function, not a {kind}.", f"Write `def {name}(...):`."
            )
    if "build_model" not in names:
        raise _missing(hooks, "build_model", names, _BUILD_MODEL_FIX)
    if "build_dataset" not in names and "make_batch" not in names:
        raise _missing(hooks, "build_dataset", names, _DATA_FIX)
    return ModelFile(
        **{name: names[name] for name in _CALLABLES if name in names},
        **_constants(hooks, names),
    )


def _import_file(source_dir: Path, entry_path: str) -> ModuleType:
    path = source_dir / entry_path
    os.chdir(source_dir)
    # A script's own directory would be on the path too, were it run by hand.
    for directory in (path.parent, source_dir):
        if str(directory) in sys.path:
            sys.path.remove(str(directory))
        sys.path.insert(0, str(directory))
    # Under its own name, so that a module which imports the file back finds this one; but
    # never in place of another module, such as a standard one that is named alike.
    name = path.stem if path.stem not in sys.modules else f"{path.stem}__model_file"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{entry_path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def forget_modules(source_dir: Path) -> None:
    """Let the user's modules be imported anew when they are next asked for."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and Path(file).is_relative_to(source_dir):
            del sys.modules[name]


def _missing(hooks: Hooks, name: str, names: Mapping[str, Any], fix: str) -> Exception:
    others = [n for n in names if not n.startswith("__") and n not in _CALLABLES]
    alike = difflib.get_close_matches(name, others, n=1)
    guess = f" It has `{alike[0]}`; is that a misspelling?" if alike else ""
    either = " and no `make_batch`" if name == "build_dataset" else ""
    return hooks.reject(name, f"{hooks.entry_path} has no `{name}`{either}.{guess}", fix)


def _constants(hooks: Hooks, names: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(name: str, key: str, requirement: str, *, read: Callable[[Any], Any]) -> None:
        value = names.get(name)
        if value is None:
            return
        found[key] = read(value)
        if found[key] is None:
            raise hooks.reject(
                name, f"{name} must be {requirement}, not {_shown(value)}.",
                f"Correct `{name} = …`.",
            )  # fmt: skip

    take(
        "REFERENCE_BATCH_SIZE", "reference_batch_size", f"a whole number {BATCH_SIZE}",
        read=lambda value: _read_number(value, numbers.Integral, int, BATCH_SIZE),
    )  # fmt: skip
    take(
        "REFERENCE_LR", "reference_learning_rate", f"a number {LEARNING_RATE}",
        read=lambda value: _read_number(value, numbers.Real, float, LEARNING_RATE),
    )  # fmt: skip
    take(
        "PRECISION", "precision", f"one of {', '.join(PRECISIONS)}",
        read=lambda value: value if isinstance(value, str) and value in PRECISIONS else None,
    )  # fmt: skip
    take(
        "NUM_WORKERS", "num_workers", f"a whole number {PROCESSES}",
        read=lambda value: _read_number(value, numbers.Integral, int, PROCESSES),
    )  # fmt: skip
    said = [name for name in _LENGTHS if names.get(name) is not None]
    if len(said) > 1:
        raise hooks.reject(
            said[1], f"{' and '.join(said)} each say how long the training is.",
            f"Keep one of them, such as `{said[0]} = …`.",
        )  # fmt: skip
    for name in said:
        take(
            name, "training_length", f"a number {TRAINING_LENGTH}",
            read=partial(_read_length, unit=_LENGTHS[name]),
        )  # fmt: skip
    return found


def _read_length(value: object, unit: LengthUnit) -> TrainingLength | None:
    amount = _read_number(value, numbers.Real, float, TRAINING_LENGTH)
    return None if amount is None else TrainingLength(amount=amount, unit=unit)


def _read_number(value: object, kind: type, make: Callable[[Any], T], limit: Number) -> T | None:
    """Return a number of the user's, NumPy's scalars too; None where it is none, or out of range.

    A truth value is none, though Python calls it an integer.
    """
    if isinstance(value, bool) or not isinstance(value, kind):
        return None
    if not limit.holds(cast(float, value)):  # As it is: an integer may be too large for a float.
        return None
    return make(value)


def _shown(value: object) -> str:
    """Return a value as it is written, cut to what is worth reading; of any class of the user's."""
    try:
        text = repr(value)
    except ValueError:  # An integer of thousands of digits, which Python does not write.
        return f"a {type(value).__name__} too long to write"
    return text if len(text) <= _MOST_SHOWN_CHARACTERS else f"{text[:_MOST_SHOWN_CHARACTERS]}…"


def check_build_kwargs(
    hooks: Hooks, function: Callable[..., Any], given: Mapping[str, Any]
) -> None:
    """Refuse keyword arguments that ``build_model`` does not take, and say which it does."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a callable written in C has no signature
        return
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = [
        name
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    unknown = [name for name in given if name not in names]
    if unknown and not takes_any:
        takes = f"It takes: {', '.join(names)}." if names else "It takes none."
        raise hooks.reject(
            "build_model",
            f"build_model has no parameter {', '.join(unknown)}, which `--set` gives. {takes}",
            "Correct the name after `--set`, or add the parameter to build_model.",
            function=function,
        )
    required = [
        name
        for name in names
        if parameters[name].default is inspect.Parameter.empty and name not in given
    ]
    if required:
        raise hooks.reject(
            "build_model",
            f"build_model needs a value for {', '.join(required)}.",
            f"Give it a default, or pass `--set {required[0]}=VALUE`.",
            function=function,
        )
