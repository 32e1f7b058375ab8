"""Replaces attributes of classes and modules for a time, also of modules that are yet to come."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType
from typing import Any

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


@contextmanager
def replaced(owner: type | ModuleType, name: str, wrap: Wrapper) -> Iterator[None]:
    """Replace an attribute by what ``wrap`` makes of it, until the context is left."""
    had_own = name in vars(owner)
    original = getattr(owner, name)
    replacement = wrap(original)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        if vars(owner).get(name) is not replacement:
            pass  # Replaced again by user code, which keeps what it found.
        elif had_own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


@contextmanager
def on_import(
    name: str, patch: Callable[[ModuleType], AbstractContextManager[None]]
) -> Iterator[None]:
    """Enter a context around a module as soon as it is imported, until this one is left.

    Args:
        name: Full name of the module, which may be imported already, or never.
        patch: Returns the context.
    """
    with ExitStack() as stack:
        module = sys.modules.get(name)
        if module is not None:
            stack.enter_context(patch(module))
        finder = _Finder(name, lambda module: stack.enter_context(patch(module)))
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


def when_imported(name: str, function: Callable[[], object]) -> None:
    """Call a function as soon as a module is imported, which may never be."""
    if name in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _Finder(name, lambda _: function()))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module by the other finders, and has a function called once it is loaded."""

    def __init__(self, name: str, on_loaded: Callable[[ModuleType], object]) -> None:
        self._name = name
        self._on_loaded = on_loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's specification with a loader that reports the loading."""
        if fullname != self._name:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._on_loaded)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Loads one module by another loader, and calls a function with it."""

    def __init__(
        self, loader: importlib.abc.Loader, on_loaded: Callable[[ModuleType], object]
    ) -> None:
        self._loader = loader
        self._on_loaded = on_loaded

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Return the module as the loader makes it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and report it."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._on_loaded(module)
