"""Where real steps stand in for traces: how far they go, what is said of the rest, which sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import Command, InspectTask, RunStep, TraceMemory, Verify
from bsadvise.model.measurements import Failed, Measurement, MemoryTrace

from tests.planning.conftest import Recommend
from tests.support.builders import a_fault, a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

REFERENCE = 64


@dataclass
class Untraceable(SimulatedDevice):
    """Runs what it cannot trace, up to a batch that the user's code refuses.

    Attributes:
        refused_from: The first micro-batch that fails; None for none.
        inspection_s: Seconds that inspection takes.
    """

    refused_from: int | None = None
    inspection_s: float = 1.0

    def measure(self, command: Command) -> Measurement:
        entry = super().measure(command)
        if isinstance(command, InspectTask):
            return replace(entry, wall_s=self.inspection_s)
        if not isinstance(command, TraceMemory) or not isinstance(entry.outcome, MemoryTrace):
            return entry
        if self.refused_from is not None and command.micro_batch_size >= self.refused_from:
            return replace(entry, outcome=Failed(fault=a_fault()))
        return replace(entry, outcome=replace(entry.outcome, was_run=True))


def advice_of(recommend: Recommend, simulated: SimulatedDevice) -> Advice:
    answer, _ = recommend(simulated, a_request(max_trials=2))
    assert isinstance(answer, Advice)
    return answer


def test_the_reference_batch_is_reached_however_late_it_is(recommend: Recommend) -> None:
    late = Untraceable(
        inspection_s=0.5 * a_request().budget_s, profile=a_profile(reference_batch_size=REFERENCE)
    )
    advice = advice_of(recommend, late)
    traced = [c.micro_batch_size for c in late.commands if isinstance(c, TraceMemory)]
    assert traced[-2] < REFERENCE <= traced[-1]
    assert advice.max_micro_batch_size > traced[-1]
    assert f"extrapolated from real steps of at most {traced[-1]:,}: fewer" in said(advice)
    assert "The search for the largest" not in said(advice)


def test_no_batch_beyond_one_that_failed_is_said_to_fit(recommend: Recommend) -> None:
    advice = advice_of(recommend, Untraceable(refused_from=100))
    assert 16 <= advice.max_micro_batch_size < 128
    assert f"A step of 128 samples failed: {a_fault()}" in said(advice)


@pytest.mark.parametrize("sample", [None, 7])
def test_the_sample_that_takes_most_is_traced_run_and_verified(
    recommend: Recommend, sample: int | None
) -> None:
    simulated = SimulatedDevice(profile=a_profile(peak_sample=sample))
    recommend(simulated)
    kinds = TraceMemory | RunStep | Verify
    commands = [command for command in simulated.commands if isinstance(command, kinds)]
    assert {type(command) for command in commands} == {TraceMemory, RunStep, Verify}
    assert {command.sample for command in commands} == {sample}


def said(advice: Advice) -> str:
    return "\n".join(caveat.text for caveat in advice.caveats)
