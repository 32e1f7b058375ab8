"""What there is already when a search begins: its answer, its log, or what others teach."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog
from bsadvise.model.advice import Advice
from bsadvise.model.commands import RecallAnswers, Train
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.recommendation import Recommendation

from advisor.application.cache import Fingerprints, find_cached_advice
from advisor.application.recall import Recall
from advisor.application.run import Run
from advisor.application.workspace import Workspace
from advisor.ports.clock import Clock
from advisor.ports.store import Store

_LOG = structlog.stdlib.get_logger(__name__)

_MOST_RECALLED = 8
"""Earlier answers: more would narrow what is pooled of them by little, at 30 ms each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierWork:
    """Finds what a search need not do again.

    Attributes:
        store: Where logs and answers are kept.
        workspace: Where checkpoints are.
        fingerprints: Makes the keys of answers.
        recall: What earlier answers teach.
        clock: The time.
    """

    store: Store
    workspace: Workspace
    fingerprints: Fingerprints
    recall: Recall
    clock: Clock

    async def restart_if_outdated(self, run: Run, device: Device) -> None:
        """Begin the search anew where something that decides its answer has changed.

        A daemon of another version may have begun it. Its measurements, made and planned by
        other rules, are not mixed with ours: the answer is that of one version.
        """
        before = run.recommendation
        key = self.fingerprints.of(before.principal, before.request, device)
        if key == before.fingerprint:
            return
        await run.with_retries(lambda: self.store.restart(run.recommendation_id, run.owner, key))
        run.recommendation = replace(before, fingerprint=key)
        checkpoints = await asyncio.to_thread(self.workspace.set_aside, before)
        if checkpoints is not None:
            await asyncio.to_thread(self.workspace.remove, checkpoints)
        _LOG.warning(
            "search begun anew: the planner, a library or the driver has another version",
            recommendation_id=run.recommendation_id,
        )

    async def cached_advice(self, run: Run, device: Device) -> Advice | None:
        """Return the answer of an equal request, which may have come while this one waited."""
        key, request = run.recommendation.fingerprint, run.recommendation.request
        return await run.with_retries(
            lambda: find_cached_advice(self.store, key, request, device, self.fingerprints.memory)
        )

    async def interrupted_measurements(self, run: Run, log: Log) -> Log:
        """Return what a daemon that died has measured for the same answer, beyond a log.

        To adopt it may itself be interrupted: what is in the log already is then its beginning.
        """
        recommendation = run.recommendation
        if not recommendation.request.use_cache:
            return ()
        interrupted = await run.with_retries(
            lambda: self.store.find_interrupted_log(recommendation.fingerprint)
        )
        is_begun = interrupted[: len(log)] == log
        if not is_begun or not self._has_checkpoints_of(recommendation, interrupted):
            return ()
        return interrupted[len(log) :]

    def _has_checkpoints_of(self, recommendation: Recommendation, log: Log) -> bool:
        needs_any = any(
            isinstance(measurement.command, Train) and measurement.command.save_checkpoint
            for measurement in log
        )
        return not needs_any or self.workspace.checkpoint_dir(recommendation).is_dir()

    async def recalled(self, run: Run) -> Measurement:
        """Return what earlier answers teach, as the first entry of a log."""
        command, begun_s = RecallAnswers(most_answers=_MOST_RECALLED), self.clock.monotonic_s()
        prior = await run.with_retries(lambda: self.recall.answer(command, run.recommendation))
        wall_s = self.clock.monotonic_s() - begun_s
        return Measurement(command=command, outcome=prior, wall_s=wall_s)
