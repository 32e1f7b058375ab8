"""What was measured for a recommendation, and what the planner reads in it."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.explanation import Explanation
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Recommendation

from advisor.application.planning_thread import PlanningThread
from advisor.application.sharing import SharingPolicy
from advisor.planning.answer.explanation import explain
from advisor.planning.evidence.step import Planner
from advisor.ports.store import Store

_MOST_EARLIER = 50
"""Recommendations about the same source that are looked through for the one that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """Reads logs for those who ask what an answer rests on.

    Attributes:
        store: Where they are.
        planner: Whose models are read.
        policy: Who shares answers.
        planning: Where the planner is called.
    """

    store: Store
    planner: Planner
    policy: SharingPolicy
    planning: PlanningThread

    async def log(self, recommendation: Recommendation) -> Log:
        """Return what the advice rests on, oldest first.

        Of advice that was found in the cache, what was measured for it then, if that is kept.
        """
        log = await self.store.log(recommendation.recommendation_id)
        advice = recommendation.advice
        if log or advice is None or not advice.search.cache_hit:
            return log
        measured = await self.store.find_searched(
            recommendation.request.source.digest,
            principal=self.policy.cache_partition(recommendation.principal),
            limit=_MOST_EARLIER,
        )
        for earlier in measured:
            if earlier.fingerprint == recommendation.fingerprint:
                return await self.store.log(earlier.recommendation_id)
        return log

    async def of(self, recommendation: Recommendation) -> Explanation:
        """Return what the planner reads in the log."""
        view = self.planner.read(
            recommendation.request, (recommendation.device,), await self.log(recommendation)
        )
        return await self.planning.call(explain, view)
