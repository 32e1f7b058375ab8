"""Whether samples held out at random repeat training samples that are stored beside them.

Windows of a series overlap, and frames of one film or visits of one patient are nearly the same:
a held-out sample between two of them has been trained on already. Two signs of it:

    symbol  meaning                                                                     unit
    S       share of a held-out sample's runs of 8 values that another sample has too   –
    q       squared distance to the nearer training neighbour, over that to the nearer  –
            of two training samples 64 places away

S shows overlaps, of numbers and of tokens; q shows near duplicates. Samples merely sorted
by class are as near 64 places away as beside each other: q is about 1, as in random order. Classes
of fewer samples look like groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advisor.worker.user.batch_tree import tensors_in

FAR = 64
"""Places, beyond most groups of samples that belong together, and within most classes."""

_RUN = 8
"""Values of a run: of text, as many letters in a row are seldom met elsewhere."""

_MOST_VALUES = 1024
"""Of a sample, that are looked at: an overlap shows in its first values as well."""

_MIN_SHARED_RUNS = 0.25
"""S to a neighbour, beyond that to samples elsewhere, that makes an overlap."""

_MAX_DISTANCE_RATIO = 0.5
"""q below which a neighbour is nearly a duplicate."""

_MIN_REPEATED_SHARE = 0.875
"""Of the held-out samples, that must overlap or be so near. Of samples in random order at most half
are nearer to their neighbours than to others: 21 of 24 come once in 7,000 data sets at most."""

_MIN_VALUES = _RUN
"""Of a sample: points on a line or a plane are near their neighbours wherever they are many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """A held-out sample, and training samples to compare it with.

    Attributes:
        held_out: The sample; each of these is a batch of one.
        beside: The training samples next to it in the stored order, one on each side.
        far: The training samples next to the places ``FAR`` before and after it.
        elsewhere: Two training samples a third of the data set away.
    """

    held_out: Any
    beside: Sequence[Any]
    far: Sequence[Any]
    elsewhere: Sequence[Any]


def repeats_training(neighbourhoods: Sequence[Neighbourhood]) -> bool:
    """Return whether the held-out samples repeat training samples stored beside them."""
    least = _MIN_REPEATED_SHARE * len(neighbourhoods)
    return bool(neighbourhoods) and any(
        sum(map(is_repeated, neighbourhoods)) >= least for is_repeated in (_overlaps, _is_near)
    )


def _overlaps(one: Neighbourhood) -> bool:
    runs = _runs(one.held_out)
    beside, elsewhere = (
        max(len(runs & _runs(other)) for other in others) for others in (one.beside, one.elsewhere)
    )
    return beside - elsewhere > _MIN_SHARED_RUNS * len(runs)


def _runs(sample: Any) -> set[tuple[float, ...]]:  # noqa: ANN401 - a sample
    """Return the runs of values in a sample, but for those of one value, such as padding."""
    rows = [
        row
        for tensor in _dense_tensors(sample)
        if tensor.numel() >= _RUN
        for row in tensor.flatten()[:_MOST_VALUES].unfold(0, _RUN, 1).tolist()
    ]
    return {tuple(row) for row in rows if len(set(row)) > 1}


def _is_near(one: Neighbourhood) -> bool:
    held_out = _values(one.held_out)
    beside, far = ([_values(other) for other in others] for others in (one.beside, one.far))
    if len(held_out) < _MIN_VALUES or any(len(v) != len(held_out) for v in (*beside, *far)):
        return False
    nearest, away = (
        min(float((held_out - other).square().sum()) for other in others)
        for others in (beside, far)
    )
    return nearest < _MAX_DISTANCE_RATIO * away


def _values(sample: Any) -> Tensor:  # noqa: ANN401 - a sample
    """Return the first real values of a sample; none of tokens, whose distances mean nothing."""
    values = [t.flatten().double() for t in _dense_tensors(sample) if t.is_floating_point()]
    return torch.cat(values)[:_MOST_VALUES] if values else torch.empty(0)


def _dense_tensors(sample: Any) -> Iterator[Tensor]:  # noqa: ANN401 - a sample
    """Yield the tensors of a sample whose values lie side by side; of the others, none counts."""
    for tensor in tensors_in(sample):
        if tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_quantized:
            yield tensor
