"""The memory stage on a simulated device: reserved bytes, savings, drift, runs that disagree."""

from __future__ import annotations

import dataclasses

import pytest
from bsadvise.model.advice import Advice, MemoryEstimate, Refusal
from bsadvise.model.commands import Lever, RunStep, TimeSteps, TraceMemory, Verify
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement, OutOfMemory, StepRun
from bsadvise.model.request import AdviceRequest

from advisor.planning.evidence.budget import (
    bucket_bytes,
    gradient_bytes,
    overhead_bytes,
    workspace_bytes,
)
from advisor.planning.evidence.invalid_measurements import sound_measurements
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory_planner import MemoryPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_gpu, a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

MIB, GIB = 1 << 20, 1 << 30
MEMORY = DEFAULT_TUNING.evidence.memory
INVALID = DEFAULT_TUNING.evidence.invalid_measurements
CARD = a_gpu(present=False, free_bytes=None, total_bytes=24 * GIB)


def _estimate(
    simulated: SimulatedDevice, request: AdviceRequest, device: Device = CARD
) -> tuple[MemoryEstimate, Log]:
    log: Log = ()
    for _ in range(60):
        step = MemoryPlanner().next_step(request, device, log)
        if isinstance(step, MemoryEstimate):
            return step, log
        assert not isinstance(step, Refusal), step
        log = (*log, simulated.measure(step))
    raise AssertionError("the plan does not end")


def _advice(answer: Advice | Refusal) -> Advice:
    assert isinstance(answer, Advice)
    return answer


@pytest.mark.parametrize("segment_mib", [2, 20, 300])
@pytest.mark.parametrize("sample_mib", [1, 37, 900])
def test_what_is_reserved_decides_on_a_card(segment_mib: int, sample_mib: int) -> None:
    simulated = SimulatedDevice(
        segment_bytes=segment_mib * MIB, sample_bytes=sample_mib * MIB, fixed_bytes=700 * MIB
    )
    estimate, _ = _estimate(simulated, a_request())
    room = estimate.budget_bytes - estimate.overhead_bytes - workspace_bytes(CARD)

    def reserved(size: int) -> int:
        return -(-simulated.peak_bytes(size) // simulated.segment_bytes) * simulated.segment_bytes

    largest = estimate.max_micro_batch_size
    true = max(size for size in range(1, 40_000) if reserved(size) <= room)
    assert 0.98 * true <= largest <= true


def test_replicas_leave_room_to_exchange_gradients() -> None:
    profile = a_profile(trainable_parameter_count=500_000)
    alone, four = a_request(), a_request(world_size=4)
    assert gradient_bytes(profile) == 2_000_000
    assert bucket_bytes(alone, profile) == 0
    assert overhead_bytes(alone, CARD, profile, MEMORY) == MEMORY.cuda_context_bytes
    libraries = MEMORY.cuda_context_bytes + MEMORY.nccl_bytes
    assert overhead_bytes(four, CARD, profile, MEMORY) == libraries + 2_000_000
    assert overhead_bytes(four, a_device(), profile, MEMORY) == 2_000_000


def test_workspaces_are_those_of_the_cards_generation() -> None:
    assert workspace_bytes(a_device()) == 0
    small = [
        workspace_bytes(a_gpu(name=name))
        for name in ("Tesla T4", "NVIDIA A100-SXM4-80GB", "NVIDIA RTX 5000 Ada Generation")
    ]
    assert small == [20 * MIB] * 3
    for name in (
        *("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA H20", "NVIDIA GH200 480GB"),
        *("NVIDIA B200", "NVIDIA GB300", "NVIDIA GB10", "NVIDIA GeForce RTX 5090"),
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
    ):
        assert workspace_bytes(a_gpu(name=name)) == 64 * MIB


def test_memory_savings_name_what_they_would_do() -> None:
    profile = a_profile(repeated_block_count=4)
    simulated = SimulatedDevice(profile=profile, fixed_bytes=400 * MIB, optimizer_bytes=0)
    estimate, log = _estimate(simulated, a_request())
    largest = estimate.max_micro_batch_size
    gains = {gain.lever: gain for gain in estimate.levers}
    # Half of what a sample takes; a quarter of what is fixed. Checkpointing saves nothing here.
    assert set(gains) == {Lever.BF16, Lever.SGD}
    assert gains[Lever.BF16].saved_bytes == largest * MIB // 2
    assert gains[Lever.BF16].max_micro_batch_size == pytest.approx(2 * largest, rel=0.01)
    assert gains[Lever.SGD].saved_bytes == 100 * MIB
    assert gains[Lever.SGD].max_micro_batch_size == pytest.approx(largest + 100, abs=2)
    assert [gain.lever for gain in estimate.levers] == [Lever.BF16, Lever.SGD]
    tried = {e.command.lever for e in log if isinstance(e.command, TraceMemory)}
    assert Lever.CHECKPOINTING in tried
    assert Lever.FUSED_OPTIMIZER in tried


def test_of_replicas_a_bucket_view_saves_a_copy_of_the_gradients() -> None:
    profile = a_profile(parameter_bytes=400 * MIB)
    simulated = SimulatedDevice(profile=profile, sample_bytes=10 * MIB)
    estimate, _ = _estimate(simulated, a_request(world_size=2))
    gains = {gain.lever: gain for gain in estimate.levers}
    assert gains[Lever.BUCKET_VIEW].saved_bytes == 400 * MIB
    more = gains[Lever.BUCKET_VIEW].max_micro_batch_size - estimate.max_micro_batch_size
    assert more == pytest.approx(40, abs=1)


def test_a_size_that_is_asked_about_is_taken_apart() -> None:
    estimate, _ = _estimate(SimulatedDevice(), a_request(effective_batch_size=96, world_size=4))
    assert estimate.parts_micro_batch_size == 24
    assert estimate.parts.activation_bytes == 24 * MIB
    assert 24 in {point.micro_batch_size for point in estimate.points}


def test_that_nothing_fits_is_an_estimate_too() -> None:
    simulated = SimulatedDevice(fixed_bytes=40 * GIB)
    estimate, _ = _estimate(simulated, a_request(effective_batch_size=8))
    assert estimate.max_micro_batch_size == 0
    assert estimate.parts_micro_batch_size == 8
    assert estimate.levers == ()


def test_samples_as_they_come_are_told_of_where_sizes_differ() -> None:
    alike, _ = _estimate(SimulatedDevice(), a_request(effective_batch_size=64))
    assert alike.typical_peak_bytes is None
    ragged = SimulatedDevice(profile=a_profile(longest_sample=17))
    estimate, _ = _estimate(ragged, a_request(effective_batch_size=64))
    expected = ragged.peak_bytes(64) - 32 * MIB + estimate.overhead_bytes
    assert estimate.typical_peak_bytes == expected


def test_an_answer_says_what_usual_samples_take(recommend: Recommend) -> None:
    ragged = SimulatedDevice(profile=a_profile(longest_sample=17))
    advice = _advice(recommend(ragged)[0])
    assert any("a usual batch of" in caveat.text for caveat in advice.caveats)


def test_memory_savings_are_traced_only_where_memory_bounds_the_batch(recommend: Recommend) -> None:
    profile = a_profile(dataset_size=4000)

    def savings_tried(limit_bytes: int) -> bool:
        simulated = SimulatedDevice(profile=profile, limit_bytes=limit_bytes, optimizer_bytes=0)
        answer, log = recommend(simulated)
        tried = any(isinstance(e.command, TraceMemory) and e.command.lever for e in log)
        assert bool(_advice(answer).levers) is tried
        return tried

    assert savings_tried(200 * MIB)
    assert not savings_tried(8 * GIB)


def test_a_card_is_tried_with_a_small_step_first(recommend: Recommend) -> None:
    device = a_gpu(free_bytes=8 * GIB, total_bytes=8 * GIB)
    # What the libraries take in addition to the tensors is in no trace.
    simulated = SimulatedDevice(limit_bytes=8 * GIB, hidden_factor=1.1, segment_bytes=2 * MIB)
    answer, log = recommend(simulated, a_request(device="cuda:0"), device)
    advice = _advice(answer)
    first = next(e for e in log if isinstance(e.command, RunStep | TimeSteps))
    assert isinstance(first.command, RunStep)
    assert first.command.micro_batch_size < advice.max_micro_batch_size / 2
    assert advice.search.out_of_memory_count == 0
    assert advice.verified


def test_runs_that_agree_give_no_interval_and_others_do(recommend: Recommend) -> None:
    agreeing = _advice(recommend(SimulatedDevice())[0])
    assert agreeing.max_micro_batch_size_interval is None
    simulated = SimulatedDevice(hidden_factor=1.05)
    advice = _advice(recommend(simulated)[0])
    interval = advice.max_micro_batch_size_interval
    assert interval is not None
    assert interval.low <= simulated.true_largest()
    assert interval.low <= advice.max_micro_batch_size <= interval.high


def test_what_other_processes_spoil_is_measured_again(recommend: Recommend) -> None:
    simulated = SimulatedDevice()
    honest, invalid = simulated.measure, 0

    def measure(command: object) -> Measurement:
        nonlocal invalid
        entry = honest(command)  # type: ignore[arg-type] # any command
        if isinstance(command, RunStep) and not invalid:
            invalid += 1
            crash = OutOfMemory(message="out of memory")
            return dataclasses.replace(entry, outcome=crash, drift_bytes=512 * MIB)
        return entry

    simulated.measure = measure  # type: ignore[method-assign] # a neighbour
    answer, log = recommend(simulated)
    advice = _advice(answer)
    runs = [e.command for e in log if isinstance(e.command, RunStep)]
    assert runs[0] == runs[1]
    assert advice.max_micro_batch_size == simulated.true_largest()
    assert any("Other processes took" in caveat.text for caveat in advice.caveats)


def _run(size: int, drift_bytes: int) -> Measurement:
    return Measurement(
        command=RunStep(time_limit_s=1, micro_batch_size=size),
        outcome=StepRun(peak_bytes=size),
        wall_s=1,
        drift_bytes=drift_bytes,
    )


def test_a_device_that_never_settles_is_believed_in_the_end() -> None:
    log = tuple(_run(8, GIB) for _ in range(5))
    assert list(sound_measurements(log, INVALID)) == list(log[2:])
    small = (_run(8, MIB),)
    assert list(sound_measurements(small, INVALID)) == list(small)


def test_times_are_not_made_invalid_by_memory(recommend: Recommend) -> None:
    _, log = recommend(SimulatedDevice())
    drifting = tuple(
        dataclasses.replace(entry, drift_bytes=GIB)
        for entry in log
        if not isinstance(entry.command, RunStep | Verify)
    )
    assert tuple(sound_measurements(drifting, INVALID)) == drifting
    view = LogView(a_request(), (a_device(),), drifting)
    assert view.elapsed_s == sum(entry.wall_s for entry in drifting)
    assert MemoryModel(view).traces
