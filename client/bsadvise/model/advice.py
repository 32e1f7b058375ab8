"""The answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bsadvise.model.caveats import Caveat
from bsadvise.model.commands import Lever
from bsadvise.model.horizon import FinalLoss, TrainingHorizon
from bsadvise.model.measurements import Fault, MemoryParts
from bsadvise.model.observation import Reference
from bsadvise.model.task import BatchSemantics
from bsadvise.model.units import format_bytes, format_number
from bsadvise.model.values import OpenEnum, Value


class Evidence(OpenEnum):
    """What a figure rests on."""

    MEASURED = "measured"
    RULE = "rule"


class Confidence(OpenEnum):
    """How far the advice may be relied on.

    HIGH: trials separated the setting from its neighbours and it was verified.
    MEDIUM: trials were run, but the leaders are close or the budget ended early.
    LOW: rules of thumb, or nothing could be run.
    """

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval(Value):
    """An 80 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStage(Value):
    """One stage of a batch schedule: from which epoch, with which batch."""

    from_epoch: float
    effective_batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative(Value):
    """Another setting, and what it costs.

    Attributes:
        title: "fastest steps", "leanest memory" or "fewest samples".
        micro_batch_size: b.
        accumulation_steps: a.
        effective_batch_size: a·b·W.
        learning_rate: η.
        predicted_peak_bytes: Predicted memory.
        samples_per_s: Throughput over all replicas; None when not measured.
        relative_time: Modelled time to the target over the advice's; None when not modelled.
        relative_samples: Samples to the target over the advice's; None when not modelled.
    """

    title: str
    micro_batch_size: int
    accumulation_steps: int
    effective_batch_size: int
    learning_rate: float
    predicted_peak_bytes: int | None = None
    samples_per_s: float | None = None
    relative_time: float | None = None
    relative_samples: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Value):
    """What finding the advice took.

    Attributes:
        wall_s: Seconds of measurement.
        trace_count: Fake-tensor traces.
        probe_count: Real runs at a size (steps, timings, verification, and what stands in
            for a trace that fake tensors cannot follow).
        probe_samples: Samples that those processed.
        out_of_memory_count: How many commands ran out of memory.
        trial_count: Trials begun.
        pruned_count: Trials stopped before the last rung.
        cache_hit: Whether the answer was found, not measured.
    """

    wall_s: float = 0.0
    trace_count: int = 0
    probe_count: int = 0
    probe_samples: int = 0
    out_of_memory_count: int = 0
    trial_count: int = 0
    pruned_count: int = 0
    cache_hit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverGain(Value):
    """What one memory saving would do, by a trace of the changed training.

    Attributes:
        lever: The memory saving.
        max_micro_batch_size: Largest b that would then fit.
        saved_bytes: How much less the largest b that fits now would take.
    """

    lever: Lever
    max_micro_batch_size: int
    saved_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion(Value):
    """A related hyperparameter: what a rule gives for the batch, and what was trained with.

    Attributes:
        name: "learning_rate", "weight_decay", "beta1", "beta2", "epsilon", "momentum" or
            "batch_size_at_decay".
        value: What the rule gives. It was not run.
        trained_value: What the trials and the verification ran with.
        rule: The rule in words, with its source.
    """

    name: str
    value: float
    trained_value: float
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNormStatistics(Value):
    """What the gradients' norms were like in the reference recipe's training.

    Attributes:
        effective_batch_size: Samples whose gradients made one step's.
        step_count: Steps whose norms were measured.
        median: Half of the norms were smaller.
        percentile_90: Nine in ten were no larger.
    """

    effective_batch_size: int
    step_count: int
    median: float
    percentile_90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCheck(Value):
    """What the user's own script did with the advised values, beside what was predicted for it.

    It was run once more on one device, with the values where it says them and nothing else changed.

    Attributes:
        step_count: Optimizer steps that it took.
        predicted_peak_bytes: Memory of the setting, as it was measured or predicted before; None
            where it was neither.
        micro_batch_size: Samples of a batch that it was seen to train with; None where that was not
            seen, as for the next two.
        accumulation_steps: Batches an optimizer step.
        learning_rate: Peak rate of the first parameter group.
        peak_bytes: Memory that it took; None where that was not counted.
        samples_per_s: Throughput, with all that it does between steps; None where too few steps
            were timed.
        predicted_samples_per_s: Throughput of the setting on one device, data loading included.
        predicted_samples_per_s_interval: Its 80 % interval.
    """

    step_count: int
    predicted_peak_bytes: int | None = None
    micro_batch_size: int | None = None
    accumulation_steps: int | None = None
    learning_rate: float | None = None
    peak_bytes: int | None = None
    samples_per_s: float | None = None
    predicted_samples_per_s: float | None = None
    predicted_samples_per_s_interval: Interval | None = None

    def __str__(self) -> str:
        """Return what it did in a line, beside what was predicted."""
        words = f"{self.step_count:,} steps with these values"
        if self.peak_bytes is not None:
            words += f", peak {format_bytes(self.peak_bytes)}"
            if self.predicted_peak_bytes is not None:
                words += f" ({format_bytes(self.predicted_peak_bytes)} predicted)"
        if self.samples_per_s is not None:
            words += f", {format_number(self.samples_per_s)} samples/s"
            if self.predicted_samples_per_s is not None:
                words += f" ({format_number(self.predicted_samples_per_s)} predicted)"
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOfThumb(Value):
    """What people say without measuring, for comparison. It is not the advice.

    Attributes:
        rule: The rule in words.
        effective_batch_size: What it comes to here.
    """

    rule: str
    effective_batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice(Value):
    """The recommended setting and the evidence for it. None means "not measured".

    Attributes:
        micro_batch_size: b, samples a forward and backward pass on one device.
        max_micro_batch_size: Largest b that fits in the budget.
        accumulation_steps: a, micro-batches an optimizer step.
        world_size: W, data-parallel replicas.
        effective_batch_size: B = a·b·W.
        learning_rate: η.
        lr_rule: The rule that carried the learning rate to this batch, in words.
        lr_evidence: Whether trials chose η, or the rule alone.
        warmup_steps: Optimizer steps over which to raise η from near 0.
        weight_decay: The optimizer's weight decay for this batch.
        betas: Adam's β₁, β₂ for this batch; empty for others.
        momentum: SGD's momentum.
        batch_schedule: Stages of a growing batch; empty when a fixed batch is advised.
        steps_per_epoch: Optimizer steps an epoch, with its partial batch unless drop_last.
        precision: "fp32", "bf16" or "fp16".
        device: Name of the device.
        verified: Whether exactly this setting was run, in a fresh process.
        predicted_peak_bytes: Predicted memory of this setting.
        measured_peak_bytes: Memory when it was run.
        budget_bytes: What a step may take: limit less margin.
        samples_per_s: Throughput over all replicas.
        samples_per_s_interval: Its 80 % interval.
        step_time_s: Seconds an optimizer step, data loading left out.
        time_per_epoch_s: Seconds an epoch, data loading included.
        noise_scale: 𝓑, samples.
        noise_scale_interval: Its 80 % interval.
        critical_batch_size: Batch at which steps and samples to the target are both twice
            their least.
        expected_speedup_over_reference: Reference recipe's modelled time to the target over
            this setting's.
        expected_speedup_interval: Its 80 % interval.
        confidence: How far to rely on it.
        caveats: What the user should know.
        alternatives: Other settings worth a thought.
        search: What finding it took.
        fingerprint: Key under which the answer is remembered.
        levers: Memory savings that would let a larger micro-batch fit, the most helpful first;
            traced only where memory is what bounds the batch.
        max_micro_batch_size_interval: Where runs disagreed with the prediction, what is sure
            to fit and what may.
        sandbox: What confined the model file while it was run: "off", "landlock",
            "bwrap" or "namespaces"; empty for answers from before there was one.
        companions: Related hyperparameters that published rules give for this batch, where that
            differs notably from weight_decay, betas and momentum, which are as they were trained.
        clip_gradient_norm: Norm to clip gradients at, from the norms that were measured; the
            trials were not clipped.
        gradient_norm: What those norms were like.
        rules_of_thumb: What rules of thumb would have said.
        mean_power_w: Watts that a device draws while this setting's steps are computed.
        energy_per_epoch_j: Joules that all replicas take in an epoch.
        cost_per_epoch: Price of the device-hours of an epoch, in device_hour_price's currency;
            None where no price was given.
        loader_workers: Processes of the data loader that were tried and make steps notably faster;
            None when it keeps up already, was not timed, or no number of processes helped.
        drop_last: Whether each device's loader should leave out an epoch's last, partial
            micro-batch; None for a stream.
        order_variance_ratio: Variance of the gradient from batch to batch in the order in which
            samples are stored, over that in a shuffled one; about 1 when either order will do.
            None when it was not measured.
        outlook: What a larger budget would buy, in words; None where no trials were run.
        batch_semantics: What the loss of a batch is of its samples'; None where that was not found
            out.
        dataset_size: Training samples, beyond which no batch is of use, whatever fits; None for a
            stream or for synthetic batches.
        reference: The setting that a script trains with by itself; None for a model file.
        horizon: The training that the advice is for; None where nobody said how long it is.
        expected_final_loss: The held-out loss that it is expected to end with; None without a
            horizon.
        script_check: What the user's own script did with these values; None for a model file, and
            where it was not run so, or failed: a caveat then says why.
    """

    micro_batch_size: int
    max_micro_batch_size: int
    accumulation_steps: int
    world_size: int
    effective_batch_size: int
    learning_rate: float
    lr_rule: str
    lr_evidence: Evidence
    precision: str
    device: str
    verified: bool
    budget_bytes: int
    confidence: Confidence
    warmup_steps: int | None = None
    weight_decay: float | None = None
    betas: tuple[float, ...] = ()
    momentum: float | None = None
    batch_schedule: tuple[BatchStage, ...] = ()
    steps_per_epoch: int | None = None
    predicted_peak_bytes: int | None = None
    measured_peak_bytes: int | None = None
    samples_per_s: float | None = None
    samples_per_s_interval: Interval | None = None
    step_time_s: float | None = None
    time_per_epoch_s: float | None = None
    noise_scale: float | None = None
    noise_scale_interval: Interval | None = None
    critical_batch_size: float | None = None
    expected_speedup_over_reference: float | None = None
    expected_speedup_interval: Interval | None = None
    caveats: tuple[Caveat, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    search: Search = field(default_factory=Search)
    fingerprint: str = ""
    levers: tuple[LeverGain, ...] = ()
    max_micro_batch_size_interval: Interval | None = None
    sandbox: str = ""
    companions: tuple[Companion, ...] = ()
    clip_gradient_norm: float | None = None
    gradient_norm: GradientNormStatistics | None = None
    rules_of_thumb: tuple[RuleOfThumb, ...] = ()
    mean_power_w: float | None = None
    energy_per_epoch_j: float | None = None
    cost_per_epoch: float | None = None
    loader_workers: int | None = None
    drop_last: bool | None = None
    order_variance_ratio: float | None = None
    outlook: str | None = None
    batch_semantics: BatchSemantics | None = None
    dataset_size: int | None = None
    reference: Reference | None = None
    horizon: TrainingHorizon | None = None
    expected_final_loss: FinalLoss | None = None
    script_check: ScriptCheck | None = None

    # What shows, applies and reports an answer is found by name: it knows the values, not they it.

    def report(self) -> str:
        """Return this advice as one HTML file without script.

        It shows what the advice itself says; ``Client.report`` adds the measurements, and the
        figures that are drawn from them.

        Raises:
            ExportFailed: The extra that writes pages is not installed.
        """
        page: str = _named("report.page").page_of_advice(self)
        return page

    def apply(self, target: object) -> Mapping[str, Any]:
        """Set this setting in arguments of Transformers' trainer, or in that trainer.

        Args:
            target: ``TrainingArguments``, or what inherits them, from which a trainer will be made;
                or a ``transformers.Trainer`` that has been made.

        Returns:
            What was set, by the target's own names.

        Raises:
            TypeError: The target is neither.
            ApplyingFailed: It cannot train with this setting; the message says why.
        """
        applied: Mapping[str, Any] = _named("integrations.applying").apply(self, target)
        return applied

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        """Return the answer as a notebook shows it."""
        shown: Mapping[str, str] = _named("cli.render.notebook").mime_bundle(self)
        return shown


def _named(module: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"bsadvise.{module}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint(Value):
    """Peak bytes at one micro-batch size."""

    micro_batch_size: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate(Value):
    """The answer to "what fits": predicted, nothing run.

    Attributes:
        device: Name of the device.
        budget_bytes: What a step may take.
        max_micro_batch_size: Largest b that fits; 0 when not even one sample does.
        points: The predicted curve, by rising micro-batch size.
        parts: What the peak holds at the size that was asked about, else at the largest
            traced one that fits.
        parts_micro_batch_size: That size.
        overhead_bytes: What the device's libraries take in addition to the tensors; 0 on a CPU.
        precision: "fp32", "bf16" or "fp16".
        caveats: What the user should know.
        levers: Memory savings that would let a larger micro-batch fit, the most helpful first.
        typical_peak_bytes: Peak at parts_micro_batch_size of samples as they come; None when
            all samples are alike.
        search: What finding it took.
    """

    device: str
    budget_bytes: int
    max_micro_batch_size: int
    points: tuple[MemoryPoint, ...]
    parts: MemoryParts
    parts_micro_batch_size: int
    overhead_bytes: int = 0
    precision: str = "fp32"
    caveats: tuple[Caveat, ...] = ()
    levers: tuple[LeverGain, ...] = ()
    typical_peak_bytes: int | None = None
    search: Search = field(default_factory=Search)

    def fits(self, micro_batch_size: int) -> bool:
        """Return whether a size fits: as it was traced, else by the largest that does."""
        for point in self.points:
            if point.micro_batch_size == micro_batch_size:
                return point.peak_bytes <= self.budget_bytes
        return micro_batch_size <= self.max_micro_batch_size


class RefusalCode(OpenEnum):
    """Why there is no advice."""

    MODEL_FILE = "model_file"
    """The model file is at fault."""
    NO_FIT = "no_fit"
    """Not even one sample fits."""
    TIMED_OUT = "timed_out"
    """The budget ended with nothing to say."""
    DEVICE = "device"
    """The device cannot be had, or was lost."""
    INTERRUPTED = "interrupted"
    """A private daemon died; the same request goes on from its log."""
    INTERNAL = "internal"
    """A defect of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Value):
    """There is no advice, and why.

    Attributes:
        code: Why, for a program.
        message: Why, and what to do, for a person.
        fault: What the worker said, where user code is to blame.
    """

    code: RefusalCode
    message: str
    fault: Fault | None = None
