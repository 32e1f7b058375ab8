"""The answer where nothing but an observation was asked for: what the script has."""

from __future__ import annotations

from bsadvise.model.advice import Advice, Confidence, Evidence
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.observation import Reference

from advisor.planning.answer.search_cost import search
from advisor.planning.evidence.budget import memory_budget
from advisor.planning.evidence.log_view import LogView

_OBSERVED_ONLY = Caveat(
    code=CaveatCode.OBSERVED_ONLY,
    text="This is what the script trains with by itself; nothing else was tried.",
)


def advise_observed(view: LogView) -> Advice:
    """Return the script's own setting as the answer.

    Raises:
        LookupError: There was none to see.
    """
    reference = view.reference
    if reference is None or reference.learning_rate is None:
        raise LookupError("the script has not been observed")
    return Advice(
        micro_batch_size=reference.micro_batch_size,
        # It was run; whether more fits was not looked at.
        max_micro_batch_size=reference.micro_batch_size,
        accumulation_steps=reference.accumulation_steps,
        world_size=1,
        effective_batch_size=reference.batch_size,
        learning_rate=reference.learning_rate,
        lr_rule="the script's own",
        lr_evidence=Evidence.RULE,
        precision=reference.precision,
        device=view.device.name,
        verified=False,
        budget_bytes=memory_budget(
            view.request, view.device, view.tuning.evidence.memory
        ).budget_bytes,
        confidence=Confidence.LOW,
        caveats=(_OBSERVED_ONLY, *caveats_of_reference(reference)),
        search=search(view),
        dataset_size=reference.dataset_size,
        reference=reference,
    )


def caveats_of_reference(reference: Reference | None) -> list[Caveat]:
    """Return what should be known of a script's own setting; nothing of a model file's."""
    if reference is None or reference.optimizer_count == 1:
        return []
    return [
        Caveat(
            code=CaveatCode.SEVERAL_OPTIMIZERS,
            text=f"{reference.optimizer_count} optimizers take steps, each with a rate of its own "
            "that depends on the others': the setting is that of the first.",
        )
    ]
