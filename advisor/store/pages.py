"""Parts of long results: bounded in rows, and in the bytes that they take in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Row

from advisor.domain.limits import MOST_PAGE_BYTES


def first_rows(
    rows: Iterable[Row[Any]], most: int, bytes_of: Callable[[Row[Any]], int]
) -> tuple[list[Row[Any]], bool]:
    """Return the first rows of a result, at least one where there is any; and whether it has more.

    Args:
        rows: The result, of which no more is read than is returned and one.
        most: How many to return at most.
        bytes_of: Returns the size of a row.
    """
    taken: list[Row[Any]] = []
    size_bytes = 0
    for row in rows:
        size_bytes += bytes_of(row)
        if len(taken) == most or (taken and size_bytes > MOST_PAGE_BYTES):
            return taken, True
        taken.append(row)
    return taken, False
