"""Runs a torch DataLoader and makes sure that its processes end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, filterwarnings

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from advisor.worker.user.batch_tree import map_tensors
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.reading import line_of_return

_END = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How batches are made of samples.

    Attributes:
        hooks: Calls the user's code.
        collate_fn: Makes a batch of a list of samples.
        num_workers: Processes of the loader.
        seed: Seed of what the loader's processes draw at random.
        build_longest_sample: Returns the largest sample that training will meet, where the
            user names it.
        held_out_collate_fn: Makes a batch of held-out samples; None for ``collate_fn``.
        dataset_hook: Where the user's code makes the training data, as faults name it.
        held_out_hook: Where it makes the held-out data.
    """

    hooks: Hooks
    collate_fn: Callable[[list[Any]], Any] | None
    num_workers: int
    seed: int
    build_longest_sample: Callable[[], Any] | None = None
    held_out_collate_fn: Callable[[list[Any]], Any] | None = None
    dataset_hook: str = "build_dataset"
    held_out_hook: str = "build_eval_dataset"

    def named_longest(self) -> Any | None:  # noqa: ANN401 - a sample
        """Return the largest sample that the user names; None where none is named."""
        if self.build_longest_sample is None:
            return None
        return self.hooks.call("build_longest_sample", self.build_longest_sample)

    def draw(self, samples: Sequence[Any], count: int) -> Any:  # noqa: ANN401 - a batch
        """Return the batch of ``count`` of some samples, drawn at random."""
        drawn = torch.randint(
            len(samples),
            (count,),
            generator=torch.Generator().manual_seed(self.seed),
            device="cpu",
        )
        return self.collate([samples[index] for index in drawn.tolist()])

    def collate(self, samples: list[Any]) -> Any:  # noqa: ANN401 - a batch
        """Return the batch of some samples."""
        if self.collate_fn is None:
            return self.hooks.call(self.dataset_hook, default_collate, samples)
        return self._checked(self.hooks.call("collate_fn", self.collate_fn, samples))

    def _checked(self, batch: Any) -> Any:  # noqa: ANN401 - a batch
        """Return a batch, which must not be None.

        Raises:
            UserCodeFailed: It is.
        """
        if batch is not None:
            return batch
        hook = "collate_fn" if self.collate_fn else self.dataset_hook
        raise self.hooks.reject(
            hook,
            f"{hook} gives None for a batch.",
            "Return a batch for any list of samples: leave samples that are of no use out in "
            f"{self.dataset_hook}, with `torch.utils.data.Subset(dataset, kept)`.",
            function=self.collate_fn,
            line=line_of_return(self.hooks.source, hook),
        )

    def repeat(self, sample: Any, count: int) -> Any:  # noqa: ANN401 - a sample, a batch
        """Return the batch of one sample in every place, each with memory of its own."""
        seen: set[tuple[int, int]] = set()

        def own(tensor: Tensor) -> Tensor:
            if tensor.layout is not torch.strided:
                return tensor.clone()  # It has no address.
            key = (tensor.data_ptr(), tensor.numel())
            if key in seen:
                return tensor.clone()
            seen.add(key)
            return tensor

        # A batch that is a list of samples, not a stack, would hold one tensor many times over.
        return map_tensors(self.collate([sample] * count), own)

    def serve_held_out(self, dataset: Dataset[Any], batch_size: int) -> Generator[Any, None, None]:
        """Serve the held-out batches once, in order."""
        collate_fn = self.held_out_collate_fn or self.collate_fn
        return self.serve(dataset, self.held_out_hook, batch_size=batch_size, collate_fn=collate_fn)

    def serve(
        self,
        dataset: Dataset[Any],
        hook: str | None = None,
        *,
        num_workers: int | None = None,
        **how: object,
    ) -> Generator[Any, None, None]:
        """Serve the batches of a data set until it ends or the generator is closed.

        Args:
            dataset: A torch data set.
            hook: Name under which the user's code is announced; None for ``dataset_hook``.
            num_workers: In place of the user's number.
            how: ``batch_size`` or ``batch_sampler``, and what else the loader is to have.
        """
        make_loader: Any = DataLoader  # whose parameters `how` holds
        settings = {"collate_fn": self.collate_fn, **how}
        name = hook or self.dataset_hook
        with _warned_of_no_number():
            loader = make_loader(
                dataset,
                num_workers=self.num_workers if num_workers is None else num_workers,
                generator=torch.Generator().manual_seed(self.seed),
                **settings,
            )
            # A loader draws its seed where tensors are put by default, and with our generator.
            with torch.device("cpu"):
                iterator = self.hooks.call(name, iter, loader)
        try:
            while (batch := self.hooks.call(name, next, iterator, _END)) is not _END:
                yield self._checked(batch)
        finally:
            # The only way to end the processes now and not when the garbage is collected;
            # torch has no public one.
            end_processes = getattr(iterator, "_shutdown_workers", None)
            if end_processes is not None:
                end_processes()


@contextmanager
def _warned_of_no_number() -> Iterator[None]:
    """Leave out PyTorch's warning of more processes than processors: what is asked for is timed."""
    with catch_warnings():
        filterwarnings("ignore", "This DataLoader will create")
        yield
