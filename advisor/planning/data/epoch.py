"""How an epoch ends: its steps, and whether its last, partial batch is worth one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split


def drop_last(view: LogView, split: Split) -> bool | None:
    """Return whether each loader should leave out an epoch's last, partial micro-batch.

    Batch normalisation cannot train on one sample. And a partial micro-batch that makes a step by
    itself gives its samples more weight than others have, which is felt where steps are few.

    Returns:
        None when nobody knows where an epoch ends.
    """
    share = _samples_of_a_device(view, split)
    if share is None:
        return None
    if share < _samples_a_step(split):
        return False
    return is_lone_sample(view, split) or _is_small_step(view, share, split)


def is_lone_sample(view: LogView, split: Split) -> bool:
    """Return whether an epoch ends with one sample by itself, before batch normalisation."""
    share = _samples_of_a_device(view, split)
    if share is None or not view.profile.batch_norm_layer_count:
        return False
    return share % split.micro_batch_size == 1


def about_drop_last(view: LogView, split: Split) -> Iterator[Caveat]:
    """Yield why an epoch's last micro-batch should be left out, where it should."""
    share = _samples_of_a_device(view, split)
    if share is None or not drop_last(view, split):
        return
    rest = share % split.micro_batch_size
    if is_lone_sample(view, split):
        why = "on which batch normalisation cannot train"
    else:
        why = f"which would weigh as much as one of {_samples_a_step(split):,}"
    yield Caveat(
        code=CaveatCode.LAST_BATCH_SMALL,
        text=f"The last batch of an epoch would hold {rest:,} sample(s), {why}: set "
        "drop_last=True.",
    )


def steps_per_epoch(view: LogView, split: Split) -> int | None:
    """Return the optimizer steps of an epoch; None when nobody knows where it ends."""
    share = _samples_of_a_device(view, split)
    if share is None:
        return None
    dropped = share % split.micro_batch_size if drop_last(view, split) else 0
    return math.ceil((share - dropped) / _samples_a_step(split))


def _is_small_step(view: LogView, share: int, split: Split) -> bool:
    whole_steps, rest = divmod(share, _samples_a_step(split))
    is_alone = 0 < rest < split.micro_batch_size
    tuning = view.tuning.data.epoch
    is_small = rest < tuning.max_partial_share * _samples_a_step(split)
    return is_alone and is_small and whole_steps <= tuning.max_steps


def _samples_of_a_device(view: LogView, split: Split) -> int | None:
    size = view.profile.dataset_size
    # DistributedSampler gives every replica as many, some samples twice.
    return None if size is None else math.ceil(size / split.world_size)


def _samples_a_step(split: Split) -> int:
    return split.micro_batch_size * split.accumulation_steps
