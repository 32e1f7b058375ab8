"""Searches on a simulated device: what no search on this machine's CPU would come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import (
    Command,
    Evaluate,
    InspectTask,
    RunStep,
    TimeSteps,
    TraceMemory,
    Train,
)
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import (
    Failed,
    Fault,
    FaultCode,
    Log,
    Measurement,
    MemoryTrace,
    Outcome,
    OutOfMemory,
    TimedOut,
)
from bsadvise.model.request import AdviceRequest, Objective
from bsadvise.model.task import OptimizerFamily

from advisor.planning.evidence.step import Planner
from tests.replay.recordings import Recording
from tests.support.builders import GIB, a_device, a_gpu, a_profile, a_request, an_optimizer
from tests.support.simulated_device import SimulatedDevice

_SPOILT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A search whose commands are answered by formula.

    Attributes:
        description: What is searched for.
        simulated: What answers. It remembers checkpoints, so that it serves one search.
        request: What is asked.
        device: What the planner is told of the device.
        failures: What comes of every command of a class, in place of what the device says.
        accumulated_bytes: What a traced step of several micro-batches takes more than one of one.
        invalidated: Classes of commands whose first measurement is made invalid by other
            processes' memory.
    """

    description: str
    simulated: SimulatedDevice
    request: AdviceRequest
    device: Device = field(default_factory=a_device)
    failures: Mapping[type[Command], Outcome] = field(default_factory=dict)
    accumulated_bytes: int = 0
    invalidated: frozenset[type[Command]] = frozenset()


def simulate(simulation: Simulation, planner: Planner, package_version: str) -> Recording:
    """Carry out a search; the recording holds no answer yet."""
    log: Log = ()
    while True:
        plan = planner.plan(planner.read(simulation.request, (simulation.device,), log))
        if isinstance(plan, Advice | Refusal):
            break
        log += tuple(_measure(simulation, command, log) for command in plan.commands)
    return Recording(
        description=f"{simulation.description}. Simulated by tests/support/simulated_device.py.",
        package_version=package_version,
        request=simulation.request,
        device=simulation.device,
        log=log,
    )


def _measure(simulation: Simulation, command: Command, log: Log) -> Measurement:
    measurement = simulation.simulated.measure(command)
    kind = type(command)
    if kind in simulation.failures:
        return replace(measurement, outcome=simulation.failures[kind])
    outcome = measurement.outcome
    if isinstance(command, TraceMemory) and isinstance(outcome, MemoryTrace):
        extra_bytes = simulation.accumulated_bytes * (command.accumulation_steps > 1)
        outcome = replace(outcome, peak_bytes=outcome.peak_bytes + extra_bytes)
        return replace(measurement, outcome=outcome)
    is_first = not any(isinstance(entry.command, kind) for entry in log)
    if kind in simulation.invalidated and is_first:
        return replace(measurement, drift_bytes=_SPOILT_BYTES)
    return measurement


def _failing(description: str, kind: type[Command], outcome: Outcome) -> Simulation:
    return Simulation(
        description=f"Refused: {description}",
        simulated=SimulatedDevice(),
        request=a_request(memory_limit_bytes=GIB),
        failures={kind: outcome},
    )


_DEFECT = Failed(fault=Fault(code=FaultCode.WORKER, message="KeyError: 'a defect of ours'"))
_RAISED = Failed(
    fault=Fault(
        code=FaultCode.USER_EXCEPTION,
        message="ValueError: item 977 is damaged",
        hook="build_eval_dataset",
        file="model.py",
        line=12,
    )
)
_NO_MEMORY = OutOfMemory(message="CUDA out of memory. Tried to allocate 2.00 GiB.")

SIMULATIONS: Mapping[str, Simulation] = {
    "simulated_card": Simulation(
        description="A card that is here, which draws power and whose memory is what bounds",
        simulated=SimulatedDevice(
            limit_bytes=79 * GIB,
            sample_bytes=GIB,
            segment_bytes=2 << 20,
            power_w=lambda size: 200.0 + min(size, 64),
        ),
        request=a_request(device="cuda:0", objective=Objective.ENERGY),
        device=a_gpu(),
    ),
    "simulated_card_disagrees": Simulation(
        description="A card that takes more memory than was traced",
        simulated=SimulatedDevice(limit_bytes=79 * GIB, sample_bytes=GIB, hidden_factor=1.3),
        request=a_request(device="cuda:0"),
        device=a_gpu(),
    ),
    "simulated_drift": Simulation(
        description="A card whose memory other processes take while it is measured",
        simulated=SimulatedDevice(limit_bytes=79 * GIB, sample_bytes=GIB),
        request=a_request(device="cuda:0"),
        device=a_gpu(),
        invalidated=frozenset({RunStep}),
    ),
    "simulated_sgd": Simulation(
        description="SGD whose gradients are noisy, on a busy machine",
        simulated=SimulatedDevice(
            profile=a_profile(
                optimizer=an_optimizer(
                    optimizer_name="SGD", family=OptimizerFamily.SGD, betas=(), momentum=0.9
                ),
                reference_learning_rate=0.05,
            ),
            gradient_noise=64.0,
            wait_share=0.3,
            order_effect=6.0,
        ),
        request=a_request(memory_limit_bytes=GIB, budget_s=40.0),
    ),
    "refused_no_fit_when_run": Simulation(
        description="Refused: what was traced to fit does not when it is run",
        simulated=SimulatedDevice(limit_bytes=60 << 20, fixed_bytes=50 << 20, optimizer_bytes=0),
        request=a_request(memory_limit_bytes=60 << 20),
        failures={RunStep: _NO_MEMORY},
    ),
    "refused_no_split": Simulation(
        description="Refused: a batch that does not fit at once, nor with accumulated gradients",
        simulated=SimulatedDevice(limit_bytes=200 << 20),
        request=a_request(memory_limit_bytes=200 << 20, effective_batch_size=1024),
        accumulated_bytes=160 << 20,
    ),
    "refused_no_split_on_card": Simulation(
        description="Refused: the same for two cards elsewhere",
        simulated=SimulatedDevice(),
        request=a_request(
            device="a100-80gb",
            memory_limit_bytes=240 << 20,
            effective_batch_size=1024,
            world_size=2,
        ),
        device=Device(
            device_id="a100-80gb",
            name="NVIDIA A100-SXM4-80GB",
            kind=DeviceKind.CUDA,
            present=False,
            total_bytes=80 * GIB,
        ),
        accumulated_bytes=200 << 20,
    ),
    "refused_defect": _failing("a defect of the worker", InspectTask, _DEFECT),
    "refused_trace_out_of_memory": _failing("the machine has no memory", TraceMemory, _NO_MEMORY),
    "refused_timing_out_of_memory": _failing("steps do not fit", TimeSteps, _NO_MEMORY),
    "refused_timing_hangs": _failing(
        "steps do not end", TimeSteps, TimedOut(limit_s=40.0, hook="loss_fn")
    ),
    "refused_evaluation": _failing("held-out samples cannot be read", Evaluate, _RAISED),
    "refused_training": _failing("the reference cannot be trained", Train, _RAISED),
}
