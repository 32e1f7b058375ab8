"""Imports the library that an integration is for, when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bsadvise.model.errors import LibraryMissing


def library(name: str, extra: str) -> Any:  # noqa: ANN401 - a module
    """Return a module of an optional library.

    Args:
        name: The module, with dots.
        extra: The extra of bsadvise that brings it.

    Raises:
        LibraryMissing: It is not installed. What is amiss inside it is raised as it is.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise LibraryMissing(
            f"{error.name} is not installed here; pip install 'bsadvise[{extra}]'"
        ) from error
