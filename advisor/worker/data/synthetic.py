"""Made-up batches: for memory and speed, when there is nothing to learn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from advisor.worker.data.source import DataSource
from advisor.worker.user.hooks import Hooks


class SyntheticData(DataSource):
    """The batches of ``make_batch``."""

    is_synthetic = True

    def __init__(self, make_batch: Callable[[int], Any], hooks: Hooks) -> None:
        self._make_batch = make_batch
        self._hooks = hooks

    def training_batches(
        self, batch_size: int, *, first_sample: int = 0  # noqa: ARG002 - all are alike
    ) -> Generator[Any, None, None]:  # fmt: skip
        """Serve training batches without end, each full."""
        while True:
            yield self.longest_batch(batch_size)

    def held_out_batches(self, batch_size: int) -> Generator[Any, None, None]:  # noqa: ARG002
        """Serve nothing: there is nothing to measure on."""
        yield from ()

    def longest_batch(self, batch_size: int, sample: int | None = None) -> Any:  # noqa: ANN401, ARG002
        """Return a batch; all are alike."""
        return self._hooks.call("make_batch", self._make_batch, batch_size)

    def one_sample(self) -> Any:  # noqa: ANN401 - a batch
        """Return a batch of one."""
        return self.longest_batch(1)
