"""Plain dictionaries to values that may enter the daemon: each is checked when it is read.

Requests and what workers say are read strictly. Rows are read tolerantly, since another release
may have written them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from bsadvise.wire.plain import Reader

from advisor.domain.validation.registry import check

T = TypeVar("T")

STRICT = Reader(takes_unknown=False, takes_missing=False, check=check)
_OF_ANY_RELEASE = Reader(takes_missing=False, check=check)


def from_dict(data: Mapping[str, Any], cls: type[T]) -> T:
    """Return the value of a dictionary of this release. Raises ValueError."""
    return STRICT.read(data, cls)


def from_row(data: Mapping[str, Any], cls: type[T]) -> T:
    """Return the value of a dictionary of any release. Raises ValueError."""
    return _OF_ANY_RELEASE.read(data, cls)
