"""What earlier answers about the same task teach a search, before it begins."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from bsadvise.model.commands import RecallAnswers
from bsadvise.model.measurements import Prior
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.request import AdviceRequest

from advisor.application.planning_thread import PlanningThread
from advisor.application.sharing import SharingPolicy
from advisor.domain.errors import StoreUnavailable
from advisor.estimators.law_prior import pool_priors
from advisor.estimators.scaling_tuning import ScalingTuning
from advisor.planning.evidence.step import Planner
from advisor.ports.store import Store

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Reads what earlier searches have measured.

    Attributes:
        store: Where they are.
        planner: What fits the scaling law to a log.
        policy: Who shares answers.
        tuning: How several searches are pooled.
        planning: Where the planner is called.
    """

    store: Store
    planner: Planner
    policy: SharingPolicy
    tuning: ScalingTuning
    planning: PlanningThread

    async def answer(self, command: RecallAnswers, recommendation: Recommendation) -> Prior:
        """Return what the searches that this one may learn from have found.

        Those of the same task, for the same principal or for whoever shares answers with it.

        Raises:
            StoreUnavailable: They could not be read.
        """
        request = recommendation.request
        searched = await self.store.find_searched(
            request.source.digest,
            principal=self.policy.cache_partition(recommendation.principal),
            limit=command.most_answers,
        )
        found = [await self._prior_from(one) for one in searched if same_task(one.request, request)]
        priors = [prior for prior in found if prior is not None]
        return pool_priors(priors, tuning=self.tuning)

    async def _prior_from(self, earlier: Recommendation) -> Prior | None:
        try:
            log = await self.store.log(earlier.recommendation_id)
            view = self.planner.read(earlier.request, (earlier.device,), log)
            return await self.planning.call(self.planner.prior_from, view)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - an old log that cannot be read must not end a new search
            _LOG.exception(
                "earlier answer passed over: its log cannot be read",
                recommendation_id=earlier.recommendation_id,
            )
            return None


def same_task(one: AdviceRequest, other: AdviceRequest) -> bool:
    """Return whether two requests are about the same training, however it is to be searched.

    The code and its arguments decide that, and the interpreter, whose packages are part of the
    code. Device, limits, budget, objective, target and seed do not: what a search finds of the
    scaling law is widened by how much those were seen to matter.
    """
    return _training_of(one) == _training_of(other)


def _training_of(request: AdviceRequest) -> tuple[object, ...]:
    return (
        request.source,
        request.build_kwargs,
        request.python,
        request.model_class,
        request.data_paths,
    )
