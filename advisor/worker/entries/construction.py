"""How a script made its model, so that the same model can be made with other random weights."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import nn

from advisor.worker.data.random_state import random_state, random_state_kept, restore_random_state
from advisor.worker.loop.recipe import Recipe
from advisor.worker.scripts.patching import on_import, replaced

_BASES = (
    ("lightning.pytorch.core.module", "LightningModule"),
    ("pytorch_lightning.core.module", "LightningModule"),
    ("transformers.modeling_utils", "PreTrainedModel"),
)
"""Modules and their classes whose instances are noted: they call their constructor before they
draw any weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Construction:
    """The call that made a model.

    Attributes:
        kind: Its class.
        args: What the class was called with.
        kwargs: What it was called with by name.
        random: The states of the random number generators then.
    """

    kind: type[nn.Module]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    random: dict[str, Any]

    def redraw(self, copy: nn.Module) -> None:
        """Give a copy of the model the weights that the same call makes of what is drawn now."""
        copy.load_state_dict(self._again().state_dict())

    def _again(self) -> nn.Module:
        return self.kind(*self.args, **self.kwargs)

    def explains(self, model: nn.Module) -> bool:
        """Return whether all of a model's weights come from the call and the generators alone.

        Not where the call was given layers, or where weights were loaded afterwards.
        """
        with random_state_kept():
            restore_random_state(self.random)
            try:
                made = self._again()
            except Exception:  # noqa: BLE001 - then it does not
                return False
        own = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        if any(id(tensor) in own for tensor in (*made.parameters(), *made.buffers())):
            return False
        ours, theirs = made.state_dict(), model.state_dict()
        return ours.keys() == theirs.keys() and all(
            torch.equal(ours[key].cpu(), theirs[key].cpu()) for key in ours
        )


class Replicates:
    """Gives copies of a model other weights for replicates, where those can be drawn."""

    def __init__(
        self, construction: Construction | None, original: Callable[[], nn.Module]
    ) -> None:
        """Take note of a model.

        Args:
            construction: How it was made; None where that is not known.
            original: Returns it, as trainings begin with it. First called for a replicate.
        """
        self._construction = construction
        self._original = original

    def redraw(self, copy: nn.Module, recipe: Recipe) -> None:
        """Give a copy the weights of a recipe's replicate; those of the original if it is none."""
        if recipe.replicate > 0 and self._known is not None:
            self._known.redraw(copy)

    @functools.cached_property
    def _known(self) -> Construction | None:
        """How the model was made, if that explains its weights."""
        made = self._construction
        return made if made is not None and made.explains(self._original()) else None


class Constructions:
    """Notes how models are made."""

    def __init__(self) -> None:
        self._by_model: weakref.WeakKeyDictionary[nn.Module, Construction] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, model: object) -> Construction | None:
        """Return how a model was made; None where that was not noted."""
        return self._by_model.get(model) if isinstance(model, nn.Module) else None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the models that are made until the context is left."""
        with ExitStack() as stack:
            for module, name in _BASES:
                stack.enter_context(on_import(module, self._patch(name)))
            yield

    def _patch(self, name: str) -> Callable[[ModuleType], Any]:
        return lambda module: replaced(getattr(module, name), "__init__", self._noting)

    def _noting(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def initialise(model: nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            frame = _outermost_constructor(model, sys._getframe(1))  # noqa: SLF001
            if frame is not None:
                given, named = _arguments(frame)
                found = Construction(
                    kind=type(model), args=given, kwargs=named, random=random_state()
                )
                original(model, *args, **kwargs)
                self._by_model[model] = found
            else:
                original(model, *args, **kwargs)

        return initialise


def _outermost_constructor(model: nn.Module, frame: FrameType | None) -> FrameType | None:
    """Return the frame of a subclass's ``__init__`` that is making a model; None without one."""
    found = None
    while frame is not None and frame.f_code.co_name == "__init__":
        names = frame.f_code.co_varnames
        if not names or frame.f_locals.get(names[0]) is not model:
            break
        found, frame = frame, frame.f_back
    return found


def _arguments(frame: FrameType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a constructor was called with, itself left out."""
    names, rest, named, values = inspect.getargvalues(frame)
    code = frame.f_code
    positional = names[1 : code.co_argcount]
    given = tuple(values[name] for name in positional)
    keywords = {name: values[name] for name in names[code.co_argcount :]}
    return (
        (*given, *(values[rest] if rest else ())),
        {**keywords, **(copy.copy(values[named]) if named else {})},
    )
