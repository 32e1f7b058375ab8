"""Inspects a task before anything is trained: what it is, and whether it runs at all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.worker.commands.batch_probe import Probed, probe_batches
from advisor.worker.commands.fixed_batch import explained
from advisor.worker.commands.peak_sample import peak_sample
from advisor.worker.data.neighbours import repeats_training
from advisor.worker.loop.compiling import NOT_TRACED, is_compiled
from advisor.worker.loop.protocol import BuildContext, Training
from advisor.worker.loop.recipe import ANY_LEARNING_RATE, Recipe
from advisor.worker.loop.session import Session
from advisor.worker.loop.several_optimizers import first_of
from advisor.worker.tracing.memory_savings import repeated_blocks
from advisor.worker.user.batch_tree import describe_shapes
from advisor.worker.user.hooks import UserCodeFailed
from advisor.worker.user.oom import out_of_memory
from advisor.worker.user.optimizers import profile_of

_TRIED_SAMPLES = 2  # Batch normalisation cannot train on one.
_LARGER_BATCHES = (16, 128, 512)
_MOST_GROUPS = 8
_COLLATED_SAMPLES = 8  # Enough for ragged ones to show.


class _AsBuilt(BuildContext):
    """Notes where the user's code puts the model.

    Attributes:
        devices: Those of its parameters.
    """

    def __init__(self) -> None:
        self.devices: set[torch.device] = set()

    def build_model(
        self, build: Callable[[], nn.Module], move: Callable[[nn.Module], nn.Module]
    ) -> nn.Module:
        """Build the model, note where it is, and move it to the device."""
        model = build()
        self.devices = {parameter.device for parameter in model.parameters()}
        return move(model)


def inspect_task(session: Session, command: InspectTask) -> TaskProfile:
    """Load the task, try a step of two samples and a few batches, and say what it holds."""
    settings, data = session.task.settings, session.task.data
    as_built = _AsBuilt()
    recipe = Recipe(micro_batch_size=_TRIED_SAMPLES, seed=session.task.seed)
    training = session.build(recipe, as_built)
    model, optimizer = training.model, training.optimizer
    caveats = [
        *settings.caveats,
        *_placement_caveats(as_built.devices, session.torch_device),
        *_optimizer_caveats(optimizer, settings.learning_rate_name),
        *_data_caveats(session),
        *session.task.data.loading_caveats(),
    ]
    if is_compiled(model):
        caveats.append(NOT_TRACED)
    tried = _try_out(session, training)
    probed = Probed() if tried is None or tried else _probe(session, training, command)
    caveats += _split_caveats(session)
    return TaskProfile(
        model_name=_name_of(model),
        parameter_count=sum(p.numel() for p in model.parameters()),
        trainable_parameter_count=sum(p.numel() for p in model.parameters() if p.requires_grad),
        parameter_bytes=_bytes_of(model.parameters()),
        buffer_bytes=_bytes_of(model.buffers()),
        batch_norm_layer_count=sum(isinstance(m, _BatchNorm) for m in model.modules()),
        optimizer=profile_of(first_of(optimizer)),
        dataset_size=data.dataset_size,
        evaluation_size=data.evaluation_size,
        is_synthetic=data.is_synthetic,
        sample_shapes=describe_shapes(data.one_sample()),
        longest_sample=data.longest_sample,
        precision=settings.precision,
        num_workers=settings.num_workers,
        reference_batch_size=settings.reference_batch_size,
        reference_learning_rate=settings.reference_learning_rate,
        training_length=settings.training_length,
        device_free_bytes=session.device.free_bytes(),
        caveats=(*caveats, *(tried or ()), *probed.caveats),
        repeated_block_count=len(repeated_blocks(model)),
        cpu_count=_cpu_count(),
        batch_semantics=probed.batch_semantics,
        has_unsaved_state=probed.has_unsaved_state,
        is_stream=data.is_stream,
        peak_sample=peak_sample(session, command),
    )


def _name_of(model: nn.Module) -> str:
    return type(getattr(model, "_orig_mod", model)).__name__


def _cpu_count() -> int | None:
    # Of this process: a container or a batch system may have given it some of them alone.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _bytes_of(tensors: Iterator[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _placement_caveats(devices: set[torch.device], device: torch.device) -> list[Caveat]:
    elsewhere = devices - {torch.device("cpu"), device}
    return [
        Caveat(
            code=CaveatCode.MODEL_MOVED,
            text=f"build_model puts the model on {place} itself; it was moved to {device}. Leave "
            "the device out of the file.",
        )
        for place in sorted(map(str, elsewhere))
    ]


def _optimizer_caveats(optimizer: torch.optim.Optimizer, rate_name: str) -> list[Caveat]:
    rates = {float(group["lr"]) for group in optimizer.param_groups if "lr" in group}
    # A rate may be a tensor, and so be rounded.
    if any(math.isclose(rate, ANY_LEARNING_RATE, rel_tol=1e-6) for rate in rates):
        return _group_caveats(optimizer, rate_name) if len(rates) > 1 else []
    return [
        Caveat(
            code=CaveatCode.LEARNING_RATE_UNUSED,
            text="build_optimizer does not use its `lr`: no learning rate that is tried here has "
            "any effect.",
        )
    ]


def _group_caveats(optimizer: torch.optim.Optimizer, rate_name: str) -> list[Caveat]:
    shares = [float(group.get("lr", 0)) / ANY_LEARNING_RATE for group in optimizer.param_groups]
    listed = ", ".join(f"{share:.4g}" for share in shares[:_MOST_GROUPS])
    return [
        Caveat(
            code=CaveatCode.GROUP_RATES_DIFFER,
            text=f"The learning rate is {rate_name}. Its parameter groups have multiples of it, "
            f"kept in every trial: {listed}"
            f"{', …' if len(shares) > _MOST_GROUPS else ''}.",
        )
    ]


def _data_caveats(session: Session) -> list[Caveat]:
    data = session.task.data
    if data.is_synthetic or data.evaluation_size > 0:
        return []
    return [
        Caveat(
            code=CaveatCode.NOTHING_HELD_OUT,
            text="There are too few samples to hold any out: settings are not judged by their "
            "loss.",
        )
    ]


def _split_caveats(session: Session) -> list[Caveat]:
    try:
        is_repeated = repeats_training(session.task.data.neighbourhoods())
    except UserCodeFailed:
        # A sample that cannot be read is told of where a training needs it.
        return []
    if not is_repeated:
        return []
    return [
        Caveat(
            code=CaveatCode.HELD_OUT_NEAR_TRAINING,
            text="Samples that are stored side by side overlap or are nearly the same, so that the "
            "tenth held out at random repeats what was trained on: held-out losses are too low for "
            f"new data. Give {session.task.settings.held_out_name} with samples apart from the "
            "others, such as the last tenth of the stored order.",
        )
    ]


def _try_out(session: Session, training: Training) -> list[Caveat] | None:
    """Take one step with two samples, so that a fault shows now and is well explained.

    None where it was not taken.
    """
    data = session.task.data
    with closing(data.training_batches(_COLLATED_SAMPLES)) as batches:
        next(batches)
    if not session.device.device.present:
        return None
    try:
        with closing(training):
            loss = float(training.step().loss)
    except UserCodeFailed as error:
        raise explained(session, error) from error
    except Exception as error:
        if out_of_memory(error) is None:
            raise
        return None  # Whether one sample fits is for the memory stage to find out.
    if math.isfinite(loss):
        return []
    return [
        Caveat(
            code=CaveatCode.FIRST_LOSS_NOT_FINITE,
            text=f"The loss of fresh weights on two samples is {loss}"
            f"{_of_larger_batches(session)}.",
        )
    ]


def _of_larger_batches(session: Session) -> str:
    """Return what is to be said where the loss of a larger batch is finite; else nothing."""
    data = session.task.data
    training = session.build(Recipe(micro_batch_size=_TRIED_SAMPLES, seed=session.task.seed))
    for wanted in _LARGER_BATCHES:
        size = min(wanted, data.dataset_size or wanted)
        with closing(data.training_batches(size)) as batches:
            try:
                loss = float(training.evaluate_batch(next(batches)))
            except Exception:  # noqa: BLE001 - whether so many samples run is not the question
                return ""
        if math.isfinite(loss):
            return (
                f", and {loss:.4g} on {size}. Where some batches have such a loss and others do "
                "not, the likely cause is a mean over an empty selection, as of labels that a mask "
                "leaves out: divide their sum by `count.clamp(min=1)`"
            )
    return ""


def _probe(session: Session, training: Training, command: InspectTask) -> Probed:
    """Return what a few batches show, in float32 whatever the task trains in."""
    settings = session.task.settings
    if settings.precision != "fp32":
        recipe = replace(training.recipe, precision="fp32")
        training = session.build(recipe)
    return probe_batches(
        training,
        session.task.data,
        reference_batch_size=settings.reference_batch_size,
        time_limit_s=command.time_limit_s,
    )
