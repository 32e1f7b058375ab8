"""Proposes trial settings as trials of an Optuna study.

Optuna keeps nothing here: each question rebuilds a study in memory from the trials, asks it
once and lets it go. That costs milliseconds and leaves the log the only state.
"""

from __future__ import annotations

import logging
import math

from bsadvise.model.commands import TrialOrigin

from advisor.ports.proposer import Point, Proposer, Study, Suggestion
from advisor.search.rebuild import rebuild
from advisor.search.sampler import EFFECTIVE_BATCH_SIZE, LR_MULTIPLIER, origin_of

# Sizes from here on are rounded to whole tiles of the hardware; below, rounding would move
# them too far.
_TILED_FROM = 64
_TILE = 8


class OptunaProposer(Proposer):
    """Asks a rebuilt study for a trial over the effective batch and the rate's multiplier."""

    def __init__(self) -> None:
        # Optuna announces each study it creates; here that is one for every question.
        logging.getLogger("optuna").setLevel(logging.WARNING)

    def propose(self, study: Study) -> Suggestion:
        """Return the study's suggestion, else a setting of TPE's within the bounds."""
        rebuilt, space = rebuild(study)
        number = rebuilt.ask(space).number
        trial = rebuilt.get_trials(deepcopy=False)[number]
        origin = origin_of(trial)
        batch_size = trial.params[EFFECTIVE_BATCH_SIZE]
        if origin is TrialOrigin.SAMPLER:
            batch_size = _round_batch(batch_size, study)
        return Suggestion(
            point=Point(effective_batch_size=batch_size, lr_multiplier=trial.params[LR_MULTIPLIER]),
            origin=origin,
        )


def _round_batch(batch_size: int, study: Study) -> int:
    """Return ``batch_size``, or from 64 on the nearest multiple of 8 within the bounds."""
    if batch_size < _TILED_FROM:
        return batch_size
    lowest = math.ceil(study.smallest_batch_size / _TILE) * _TILE
    highest = study.largest_batch_size // _TILE * _TILE
    if lowest > highest:
        return batch_size
    return min(max(round(batch_size / _TILE) * _TILE, lowest), highest)
