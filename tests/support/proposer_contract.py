"""What every proposer must do, whatever it is made of."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

from bsadvise.model.commands import TrialOrigin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.ports.proposer import Point, Proposer, Study, Suggestion, TrialRecord


def make_trial(
    batch_size: int,
    multiplier: float,
    *losses: float,
    was_pruned: bool = False,
    excess: float = 0.0,
) -> TrialRecord:
    """Return a trial with ``losses`` at rungs 0, 1 and so on."""
    return TrialRecord(
        point=Point(effective_batch_size=batch_size, lr_multiplier=multiplier),
        losses=dict(enumerate(losses)),
        was_pruned=was_pruned,
        excess=excess,
    )


def make_study(*trials: TrialRecord, seed: int = 0) -> Study:
    """Return a study of batches from 8 to 4096 and multipliers from 1/16 to 16."""
    return Study(
        smallest_batch_size=8,
        largest_batch_size=4096,
        smallest_multiplier=1 / 16,
        largest_multiplier=16.0,
        trials=trials,
        seed=seed,
    )


_POINTS = st.builds(
    Point,
    effective_batch_size=st.integers(1, 10_000),
    lr_multiplier=st.floats(1e-3, 1e3),
)
_TRIALS = st.builds(
    TrialRecord,
    point=_POINTS,
    losses=st.dictionaries(st.integers(0, 3), st.floats(-10, 10), max_size=4),
    was_pruned=st.booleans(),
    excess=st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0]),
)


suggestions = st.builds(
    Suggestion,
    point=_POINTS,
    origin=st.sampled_from([TrialOrigin.SUGGESTED, TrialOrigin.NEIGHBOUR]),
)
"""What the planner suggests, within the bounds of ``studies()`` or outside of them."""


@st.composite
def studies(draw: st.DrawFn, min_trials: int = 0) -> Study:
    """Draw any study: bounds that meet, trials outside of them, trials in any state."""
    batches = sorted(draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000))))
    multipliers = sorted(draw(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100))))
    return Study(
        smallest_batch_size=batches[0],
        largest_batch_size=batches[1],
        smallest_multiplier=multipliers[0],
        largest_multiplier=multipliers[1],
        trials=tuple(draw(st.lists(_TRIALS, min_size=min_trials, max_size=12))),
        seed=draw(st.integers(0, 2**63)),
    )


no_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])
"""A busy machine is no fault of the proposer's; every proposer inherits the same tests."""


class ProposerContract(ABC):
    """Inherit from this and make a proposer; the tests come along."""

    @abstractmethod
    def make(self) -> Proposer:
        """Return the proposer under test."""

    @no_deadline
    @given(study=studies())
    def test_proposals_keep_within_the_bounds(self, study: Study) -> None:
        proposal = self.make().propose(study)
        point = proposal.point
        assert proposal.origin is TrialOrigin.SAMPLER
        assert study.smallest_batch_size <= point.effective_batch_size <= study.largest_batch_size
        assert study.smallest_multiplier <= point.lr_multiplier <= study.largest_multiplier

    @no_deadline
    @given(study=studies(), suggestion=suggestions)
    def test_a_suggestion_is_passed_on_as_it_is(self, study: Study, suggestion: Suggestion) -> None:
        study = dataclasses.replace(study, suggestion=suggestion)
        assert self.make().propose(study) == suggestion

    @no_deadline
    @given(study=studies(min_trials=1), suggestion=st.none() | suggestions)
    def test_equal_studies_get_equal_answers(
        self, study: Study, suggestion: Suggestion | None
    ) -> None:
        study = dataclasses.replace(study, suggestion=suggestion)
        # The same losses, arrived in another order.
        trials = tuple(
            dataclasses.replace(trial, losses=dict(reversed(list(trial.losses.items()))))
            for trial in study.trials
        )
        again = dataclasses.replace(study, trials=trials)
        one, other = self.make(), self.make()
        other.propose(
            make_study(make_trial(64, 1.0), seed=99)
        )  # What was asked before must not matter.
        assert one.propose(study) == other.propose(again)
