"""The planner with a part of it left out, so that it shows what the part is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bsadvise.model.commands import TrialOrigin

from advisor.planning.tuning.comparison import RankingTuning
from advisor.planning.tuning.trials import TrialsTuning
from advisor.planning.tuning.tuning import Tuning
from advisor.ports.proposer import Point, Proposer, Study, Suggestion
from advisor.search.optuna_proposer import OptunaProposer


class RandomProposer(Proposer):
    """Draws settings evenly in the logarithms of batch and multiplier."""

    def propose(self, study: Study) -> Suggestion:
        """Return the study's suggestion, else a setting drawn within the bounds."""
        if study.suggestion is not None:
            return study.suggestion
        generator = np.random.default_rng([study.seed, len(study.trials)])
        lows = (study.smallest_batch_size, study.smallest_multiplier)
        highs = (study.largest_batch_size, study.largest_multiplier)
        size, multiplier = np.exp(generator.uniform(np.log(lows), np.log(highs)))
        point = Point(effective_batch_size=round(float(size)), lr_multiplier=float(multiplier))
        return Suggestion(point=point, origin=TrialOrigin.SAMPLER)


class SilentProposer(Proposer):
    """Samples what was tried already, of which the planner makes no trial."""

    def propose(self, study: Study) -> Suggestion:
        """Return the study's suggestion, else the setting of the first trial."""
        if study.suggestion is not None:
            return study.suggestion
        return Suggestion(point=study.trials[0].point, origin=TrialOrigin.SAMPLER)


SAMPLERS: dict[str, type[Proposer]] = {
    "tpe": OptunaProposer,
    "random": RandomProposer,
    "none": SilentProposer,
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A search.

    Attributes:
        sampler: Name of what proposes settings where structure has none to propose.
        penalises_noise: Whether a high ratio of learning rate to batch size counts against a trial.
    """

    sampler: str = "tpe"
    penalises_noise: bool = True

    @property
    def title(self) -> str:
        """What the search is called in a table."""
        parts = [_SAMPLERS_SAID[self.sampler], "" if self.penalises_noise else "no noise penalty"]
        return ", ".join(part for part in parts if part) or "as it is"

    @property
    def tuning(self) -> Tuning:
        """What the planner is made with."""
        if self.penalises_noise:
            return Tuning()
        return Tuning(
            trials=TrialsTuning(ranking=RankingTuning(noise_penalty=0.0, most_noise_penalty=0.0))
        )


_SAMPLERS_SAID = {"tpe": "", "random": "random in place of TPE", "none": "no sampler"}

ALL = (
    Variant(),
    Variant(sampler="random"),
    Variant(sampler="none"),
    Variant(penalises_noise=False),
)
