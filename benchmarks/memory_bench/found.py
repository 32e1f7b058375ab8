"""Results of a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most bytes that live tensors take at a batch size."""

    batch_size: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A tool's result for a model, and the cost of its search.

    Attributes:
        batch_size: The size returned; None where the tool gave none.
        sizes_tried: Sizes that were run or, without running, traced, in order.
        run_count: Of those, how many were really run.
        samples: Samples that real steps took in, those that failed included.
        out_of_memory_count: Out-of-memory errors raised.
        search_s: Seconds from the model file to the size.
        predicted_peak: Where the tool predicts memory, at the largest size that it evaluated
            and that fits.
        note: What else should be known of it.
    """

    batch_size: int | None
    sizes_tried: tuple[int, ...]
    run_count: int
    samples: int
    out_of_memory_count: int
    search_s: float
    predicted_peak: Peak | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """All searches on one model.

    Attributes:
        model: The model's name.
        limit_bytes: Memory limit of the card.
        true_max: The largest size that fits, to the sample.
        found: By tool.
        real_peak: What real steps take at the size of our predicted peak.
    """

    model: str
    limit_bytes: int
    true_max: int
    found: dict[str, Found]
    real_peak: Peak | None = None

    def ratio(self, tool: str) -> float | None:
        """Return the size that a tool returned over the true maximum; None without one."""
        size = self.found[tool].batch_size
        return None if size is None else size / self.true_max

    def fits(self, tool: str) -> bool:
        """Return whether the size that a tool returned fits."""
        size = self.found[tool].batch_size
        return size is not None and 1 <= size <= self.true_max

    def peak_error(self, tool: str) -> float | None:
        """Return a tool's predicted peak over the real one, less 1; None without both."""
        predicted, real = self.found[tool].predicted_peak, self.real_peak
        if predicted is None or real is None or predicted.batch_size != real.batch_size:
            return None
        return predicted.peak_bytes / real.peak_bytes - 1
