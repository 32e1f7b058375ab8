"""Planning without a thread, for tests whose clock is advanced by the loop's turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from advisor.application.planning_thread import PlanningThread

T = TypeVar("T")


class InlinePlanning(PlanningThread):
    """Calls functions at once."""

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns."""
        return function(*arguments)
