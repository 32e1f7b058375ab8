"""Messages as a daemon would send them; a test names only what it is about."""

from __future__ import annotations

from typing import Any

from bsadvise.v1 import advice_pb2, device_pb2, measurement_pb2, recommendation_pb2

GIB = 1 << 30


def wire_advice(**changes: Any) -> advice_pb2.Advice:
    """Return a verified answer with every figure measured."""
    fields: dict[str, Any] = {
        "micro_batch_size": 32,
        "max_micro_batch_size": 48,
        "accumulation_steps": 2,
        "world_size": 1,
        "effective_batch_size": 64,
        "learning_rate": 3e-3,
        "lr_rule": "square root of the batch ratio",
        "lr_evidence": advice_pb2.EVIDENCE_MEASURED,
        "precision": "bf16",
        "device": "A GPU",
        "verified": True,
        "budget_bytes": 16 * GIB,
        "confidence": advice_pb2.CONFIDENCE_HIGH,
        "warmup_steps": 200,
        "weight_decay": 0.01,
        "betas": [0.9, 0.95],
        "steps_per_epoch": 781,
        "predicted_peak_bytes": 11 * GIB,
        "measured_peak_bytes": 12 * GIB,
        "samples_per_s": 1234.0,
        "samples_per_s_interval": advice_pb2.Interval(low=1200.0, high=1260.0),
        "step_time_s": 0.0519,
        "time_per_epoch_s": 41.5,
        "noise_scale": 96.0,
        "noise_scale_interval": advice_pb2.Interval(low=70.0, high=130.0),
        "critical_batch_size": 96.0,
        "expected_speedup_over_reference": 1.83,
        "expected_speedup_interval": advice_pb2.Interval(low=1.5, high=2.1),
        "caveats": ["Batch norm [3 layers] sees 32 samples, not 64."],
        "coded_caveats": [
            measurement_pb2.Caveat(
                code="batch_norm_per_micro_batch",
                text="Batch norm [3 layers] sees 32 samples, not 64.",
            )
        ],
        "alternatives": [
            advice_pb2.Alternative(
                title="leanest memory",
                micro_batch_size=8,
                accumulation_steps=8,
                effective_batch_size=64,
                learning_rate=3e-3,
                predicted_peak_bytes=4 * GIB,
                relative_time=1.4,
            )
        ],
        "search": advice_pb2.Search(
            wall_s=38.2, trace_count=5, probe_count=9, probe_samples=1234,
            trial_count=12, pruned_count=7,
        ),
        "fingerprint": "f" * 64,
        "loader_workers": 4,
        "drop_last": True,
        "order_variance_ratio": 12.3,
        "outlook": "Little: the search ended by itself after 41 s.",
        "mean_power_w": 412.3,
        "energy_per_epoch_j": 17_110.0,
        "cost_per_epoch": 0.02882,
        "companions": [
            advice_pb2.Companion(
                name="weight_decay", value=0.02, trained_value=0.01,
                rule="keeps the time scale (AdamW, arXiv 2405.13698)",
            ),
        ],
        "clip_gradient_norm": 1.8,
        "gradient_norm": advice_pb2.GradientNormStatistics(
            effective_batch_size=32, step_count=40, median=1.25, percentile_90=2.0
        ),
        "rules_of_thumb": [
            advice_pb2.RuleOfThumb(rule="a good default", effective_batch_size=32),
            advice_pb2.RuleOfThumb(rule="0.2 % of the training set", effective_batch_size=120),
        ],
    }  # fmt: skip
    return advice_pb2.Advice(**fields | changes)


def wire_rule_advice(**changes: Any) -> advice_pb2.Advice:
    """Return an answer for which nothing was measured."""
    fields: dict[str, Any] = {
        "micro_batch_size": 16,
        "max_micro_batch_size": 16,
        "accumulation_steps": 1,
        "world_size": 1,
        "effective_batch_size": 16,
        "learning_rate": 0.05,
        "lr_evidence": advice_pb2.EVIDENCE_RULE,
        "precision": "fp32",
        "device": "a100-80gb",
        "budget_bytes": 80 * GIB,
        "predicted_peak_bytes": 40 * GIB,
        "confidence": advice_pb2.CONFIDENCE_LOW,
    }
    return advice_pb2.Advice(**fields | changes)


def wire_estimate(**changes: Any) -> advice_pb2.MemoryEstimate:
    """Return an estimate by which 48 samples fit."""
    fields: dict[str, Any] = {
        "device": "A GPU",
        "budget_bytes": 16 * GIB,
        "max_micro_batch_size": 48,
        "points": [
            advice_pb2.MemoryPoint(micro_batch_size=8, peak_bytes=4 * GIB),
            advice_pb2.MemoryPoint(micro_batch_size=64, peak_bytes=20 * GIB),
        ],
        "parts": measurement_pb2.MemoryParts(parameter_bytes=GIB, activation_bytes=2 * GIB),
        "parts_micro_batch_size": 8,
        "overhead_bytes": 500 << 20,
        "precision": "bf16",
    }
    return advice_pb2.MemoryEstimate(**fields | changes)


def wire_devices() -> list[device_pb2.Device]:
    """Return a card and a CPU."""
    return [
        device_pb2.Device(
            device_id="GPU-1", name="A GPU", kind=device_pb2.DEVICE_KIND_CUDA, present=True,
            total_bytes=80 * GIB, free_bytes=60 * GIB, index=0, driver_version="570.00",
            processes=[device_pb2.DeviceProcess(pid=7, process_name="python")],
        ),
        device_pb2.Device(
            device_id="cpu", name="A CPU", kind=device_pb2.DEVICE_KIND_CPU, present=True,
            total_bytes=32 * GIB,
        ),
    ]  # fmt: skip


def wire_measurement(**kinds: Any) -> measurement_pb2.Measurement:
    """Return a measurement; ``kinds`` name the command and the outcome."""
    commands = measurement_pb2.Command.DESCRIPTOR.fields_by_name
    command = {name: value for name, value in kinds.items() if name in commands}
    outcome = {name: value for name, value in kinds.items() if name not in commands}
    return measurement_pb2.Measurement(
        command=measurement_pb2.Command(**command),
        outcome=measurement_pb2.Outcome(**outcome),
        wall_s=1.5,
    )


def step_run_measurement() -> measurement_pb2.Measurement:
    """Return a real step of 32 samples that took 12 GiB."""
    return wire_measurement(
        run_step=measurement_pb2.RunStep(
            time_limit_s=60, micro_batch_size=32, accumulation_steps=2
        ),
        step_run=measurement_pb2.StepRun(peak_bytes=12 * GIB),
    )


def trial_measurement() -> measurement_pb2.Measurement:
    """Return a trial that ended at a held-out loss of 1.25."""
    return wire_measurement(
        train=measurement_pb2.Train(
            time_limit_s=60, micro_batch_size=32, accumulation_steps=2, learning_rate=3e-3,
            step_count=40, evaluation_batch_size=32, trial=1,
            origin=measurement_pb2.TRIAL_ORIGIN_SAMPLER,
        ),
        train_run=measurement_pb2.TrainRun(step_count=40, sample_count=2560, held_out_loss=1.25),
    )  # fmt: skip


def state_changed(
    state: recommendation_pb2.State.ValueType, **how: Any
) -> recommendation_pb2.Happening:
    """Return a change of state."""
    return recommendation_pb2.Happening(
        state_changed=recommendation_pb2.StateChanged(state=state, **how)
    )


def command_started(
    measurement: measurement_pb2.Measurement,
) -> recommendation_pb2.Happening:
    """Return the start of what a measurement measured."""
    return recommendation_pb2.Happening(
        command_started=recommendation_pb2.CommandStarted(command=measurement.command)
    )


def measured(
    measurement: measurement_pb2.Measurement, best: advice_pb2.Advice | None = None
) -> recommendation_pb2.Happening:
    """Return the end of a measurement, with the answer that would be given then."""
    return recommendation_pb2.Happening(
        measured=recommendation_pb2.Measured(measurement=measurement, best=best, remaining_s=21.0)
    )


def a_refusal(
    code: advice_pb2.RefusalCode.ValueType, message: str, **changes: Any
) -> advice_pb2.Refusal:
    """Return a refusal."""
    return advice_pb2.Refusal(code=code, message=message, **changes)
