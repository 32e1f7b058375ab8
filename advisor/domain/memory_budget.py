"""The part of a device's memory that a training step may fill."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.domain.validation.quantities import at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBudget:
    """What a training step may take.

    Attributes:
        limit_bytes: The user's limit, or what is free on the device.
        margin_bytes: What of it is left alone.
    """

    limit_bytes: int
    margin_bytes: int

    def __post_init__(self) -> None:
        at_least("limit_bytes", self.limit_bytes, 0)
        at_least("margin_bytes", self.margin_bytes, 0)

    @property
    def budget_bytes(self) -> int:
        """Bytes that a step may take: the limit less the margin, at least 0."""
        return max(0, self.limit_bytes - self.margin_bytes)
