"""Proposes trial settings as trials of an Optuna study.

Optuna keeps nothing here: each question rebuilds a study in memory from the trials, asks it
once and lets it go. That costs milliseconds and leaves the log the only state.
"""

from __future__ import annotations

import logging

from advisor.ports.proposer import Point, Proposer, Study, Suggestion
from advisor.search.rebuild import rebuild
from advisor.search.sampler import EFFECTIVE_BATCH_SIZE, LR_MULTIPLIER, origin_of


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
        return Suggestion(
            point=Point(
                effective_batch_size=trial.params[EFFECTIVE_BATCH_SIZE],
                lr_multiplier=trial.params[LR_MULTIPLIER],
            ),
            origin=origin_of(trial),
        )
