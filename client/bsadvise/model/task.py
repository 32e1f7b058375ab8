"""What inspecting a model file finds: the task as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.caveats import Caveat
from bsadvise.model.horizon import TrainingLength
from bsadvise.model.values import OpenEnum, Tagged, Value


class OptimizerFamily(OpenEnum):
    """Which learning-rate rule an optimizer follows."""

    SGD = "sgd"
    """Steps are proportional to the gradient: SGD, with or without momentum."""
    ADAM = "adam"
    """Steps are divided by a running root-mean-square of the gradient: Adam and its kin."""
    OTHER = "other"
    """Anything else; treated like Adam, and said so."""


class BatchSemantics(OpenEnum):
    """What the loss of a batch is of the losses of its samples.

    With S a batch of n samples and f(S) its loss, by f(S) beside the losses of parts of S.
    """

    MEAN = "mean"
    """f(S) is the mean over its samples, whatever samples they are."""
    SUM = "sum"
    """f(S) is the sum: loss and gradient grow with the batch."""
    WEIGHTED_MEAN = "weighted_mean"
    """f(S) is near the mean, but samples count by their company: class weights, or the mean over
    the tokens of sequences that are not equally long."""
    COUPLED = "coupled"
    """What one sample adds depends on the others: negatives from the batch, mined triplets,
    statistics of the batch that are not batch normalisation."""
    BATCH_NORMALISED = "batch_normalised"
    """The mean in evaluation; batch normalisation couples the samples in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerProfile(Value):
    """The user's optimizer as ``build_optimizer`` returned it.

    Attributes:
        optimizer_name: Class name.
        family: Which learning-rate rule it follows.
        default_learning_rate: What its class takes when it is given no rate; None when it has
            no default.
        weight_decay: Of the first parameter group; None when it has none.
        momentum: SGD's momentum; None for others.
        betas: Adam's β₁ and β₂; empty for others.
        epsilon: Adam's ε; None for others.
    """

    optimizer_name: str
    family: OptimizerFamily
    default_learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    betas: tuple[float, ...] = ()
    epsilon: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProfile(Tagged):
    """What is known of a task before anything is trained.

    Attributes:
        model_name: Class name of the model.
        parameter_count: Parameters.
        trainable_parameter_count: Parameters that require a gradient.
        parameter_bytes: Bytes of the parameters.
        buffer_bytes: Bytes of the buffers.
        batch_norm_layer_count: Layers whose output depends on the rest of the micro-batch.
        optimizer: The optimizer.
        dataset_size: Training samples; None for synthetic batches, and for a stream that does not
            say how long it is.
        evaluation_size: Samples of the held-out measure; 0 when there is none.
        is_synthetic: Whether the file has ``make_batch`` in place of a data set. Nothing can
            then be learnt, so that learning rates follow rules alone.
        sample_shapes: Shape of each tensor in one sample, as text.
        longest_sample: Index of the sample with the most elements among those looked at; None
            when all are alike or there is no data set.
        precision: "fp32", "bf16" or "fp16".
        num_workers: Processes of the user's data loader.
        reference_batch_size: The user's REFERENCE_BATCH_SIZE.
        reference_learning_rate: The user's REFERENCE_LR.
        device_free_bytes: Free on a GPU once CUDA is up in the worker; None on a CPU.
        caveats: What the user should know about the file.
        repeated_block_count: Layers that stand in a row and are built alike, as a
            transformer's blocks; 0 when there are none.
        cpu_count: Processors that the worker may use; None where the system does not say.
        batch_semantics: What the loss of a batch is of its samples'; None where that was not found
            out, and in logs of older versions.
        has_unsaved_state: Whether losses depend on state that no checkpoint holds, such as an
            attribute, or an optimizer that ``loss_fn`` steps itself: a training cannot be taken up
            where another ended.
        is_stream: Whether the data set is a stream, which has one order. Of older releases, none
            that names its dataset_size is.
        peak_sample: Index of the sample with which a step takes the most memory, where that is not
            longest_sample; None otherwise.
        training_length: How long the file says that the model is trained; None where it does not.
    """

    model_name: str
    parameter_count: int
    trainable_parameter_count: int
    parameter_bytes: int
    buffer_bytes: int
    batch_norm_layer_count: int
    optimizer: OptimizerProfile
    dataset_size: int | None = None
    evaluation_size: int = 0
    is_synthetic: bool = False
    sample_shapes: str = ""
    longest_sample: int | None = None
    precision: str = "fp32"
    num_workers: int = 0
    reference_batch_size: int | None = None
    reference_learning_rate: float | None = None
    device_free_bytes: int | None = None
    caveats: tuple[Caveat, ...] = ()
    repeated_block_count: int = 0
    cpu_count: int | None = None
    batch_semantics: BatchSemantics | None = None
    has_unsaved_state: bool = False
    is_stream: bool = False
    peak_sample: int | None = None
    training_length: TrainingLength | None = None
