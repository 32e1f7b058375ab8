"""bsadvise: the real planner, in this process, on the oracle's clock."""

from __future__ import annotations

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest, Source

from advisor.planning.planner import RecommendationPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from advisor.search.optuna_proposer import OptunaProposer
from benchmarks.regret_bench.found import DEFAULT_BUDGET_S, NO_BUNDLE, Found, Question, Setting
from benchmarks.regret_bench.modelled import ModelledWorker, training_s
from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.trainer import CPU


def advise(question: Question) -> Found:
    """Return the advice for a workload."""
    cost_s = question.cost_s
    request = request_for(question.recording, question.target_loss, cost_s, question.seed)
    worker = ModelledWorker(question.recording, question.trainer, counts_overheads=cost_s is None)
    advice, log = carry_out(request, worker, RecommendationPlanner(OptunaProposer()))
    interval = advice.expected_speedup_interval
    return Found(
        setting=Setting(advice.effective_batch_size, advice.learning_rate),
        cost_s=training_s(log),
        trial_count=advice.search.trial_count,
        speedup=advice.expected_speedup_over_reference,
        speedup_interval=None if interval is None else (interval.low, interval.high),
        note=f"{advice.lr_evidence}, {advice.confidence} confidence",
    )


def request_for(
    recording: Recording, target_loss: float, cost_s: float | None, seed: int
) -> AdviceRequest:
    """Return what we are asked.

    Where some seconds of training are allowed, the budget is such that they are what is left for
    trials, if nothing else takes any time.

    Args:
        recording: The workload's.
        target_loss: The held-out loss to reach.
        cost_s: Modelled seconds of training that the search may take; None for the default budget.
        seed: Of the weights, of the order of the samples and of the search.
    """
    reserved_share = DEFAULT_TUNING.evidence.seconds.verification_share
    return AdviceRequest(
        source=Source(digest=NO_BUNDLE, entry_path=f"{recording.workload}.py"),
        device=CPU.device_id,
        target_loss=target_loss,
        budget_s=DEFAULT_BUDGET_S if cost_s is None else cost_s / (1 - reserved_share),
        seed=seed,
    )


def carry_out(
    request: AdviceRequest,
    worker: ModelledWorker,
    planner: RecommendationPlanner,
    log: Log = (),
) -> tuple[Advice, Log]:
    """Search on from a log, and return the advice and what it rests on."""
    while True:
        plan = planner.plan(planner.read(request, (CPU,), log))
        if isinstance(plan, Refusal):
            raise SystemExit(f"{request.source.entry_path}: {plan.message}")
        if isinstance(plan, Advice):
            return plan, log
        log += tuple(map(worker.measure, plan.commands))
