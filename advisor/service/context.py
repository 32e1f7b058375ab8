"""The type of the context that gRPC gives to every method."""

from __future__ import annotations

from typing import Any, TypeAlias

Context: TypeAlias = Any
"""gRPC's own context. No method looks at it: deadlines and cancellation reach a method as the
cancellation of its task, and errors are translated around it."""
