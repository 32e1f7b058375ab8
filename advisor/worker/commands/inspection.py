"""Looks at a task before anything is trained: what it is, and whether it runs at all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import closing

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.task import TaskProfile
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.worker.loop.compiling import is_compiled
from advisor.worker.loop.session import Workshop
from advisor.worker.loop.step import TrainingStep
from advisor.worker.loop.task import ANY_LEARNING_RATE
from advisor.worker.tracing.memory_savings import repeated_blocks
from advisor.worker.user.batch_tree import describe_shapes
from advisor.worker.user.oom import out_of_memory
from advisor.worker.user.optimizers import profile_of

_TRIED_SAMPLES = 2  # Batch normalisation cannot train on one.
_COLLATED_SAMPLES = 8  # Enough for ragged ones to show.


def inspect_task(workshop: Workshop) -> TaskProfile:
    """Load the task, try one step of two samples, and say what it holds."""
    task = workshop.task
    file, data = task.file, task.data
    model = task.build_model()
    optimizer = task.build_optimizer(model, ANY_LEARNING_RATE)
    caveats = [
        *_placement_caveats(model, workshop.device),
        *_optimizer_caveats(optimizer),
        *_data_caveats(workshop),
    ]
    if is_compiled(model):
        caveats.append(
            Caveat(
                code=CaveatCode.COMPILATION_NOT_TRACED,
                text="Memory is predicted for the model without torch.compile.",
            )
        )
    caveats += _try_out(workshop, model, optimizer)
    return TaskProfile(
        model_name=_name_of(model),
        parameter_count=sum(p.numel() for p in model.parameters()),
        trainable_parameter_count=sum(p.numel() for p in model.parameters() if p.requires_grad),
        parameter_bytes=_bytes_of(model.parameters()),
        buffer_bytes=_bytes_of(model.buffers()),
        batch_norm_layer_count=sum(isinstance(m, _BatchNorm) for m in model.modules()),
        optimizer=profile_of(optimizer),
        dataset_size=data.dataset_size,
        evaluation_size=data.evaluation_size,
        is_synthetic=data.is_synthetic,
        sample_shapes=describe_shapes(data.one_sample()),
        longest_sample=data.longest_sample,
        precision=file.precision,
        num_workers=file.num_workers,
        reference_batch_size=file.reference_batch_size,
        reference_learning_rate=file.reference_learning_rate,
        device_free_bytes=workshop.placement.free_bytes(),
        caveats=tuple(caveats),
        repeated_block_count=len(repeated_blocks(model)),
        cpu_count=_cpu_count(),
    )


def _name_of(model: nn.Module) -> str:
    return type(getattr(model, "_orig_mod", model)).__name__


def _cpu_count() -> int | None:
    # Of this process: a container or a batch system may have given it some of them alone.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _bytes_of(tensors: Iterator[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _placement_caveats(model: nn.Module, device: torch.device) -> list[Caveat]:
    elsewhere = {p.device for p in model.parameters()} - {torch.device("cpu"), device}
    return [
        Caveat(
            code=CaveatCode.MODEL_MOVED,
            text=f"build_model puts the model on {place} itself; it was moved to {device}. Leave "
            "the "
            "device out of the file.",
        )
        for place in sorted(map(str, elsewhere))
    ]


def _optimizer_caveats(optimizer: torch.optim.Optimizer) -> list[Caveat]:
    rates = {float(group["lr"]) for group in optimizer.param_groups if "lr" in group}
    if any(math.isclose(rate, ANY_LEARNING_RATE) for rate in rates):
        return []
    return [
        Caveat(
            code=CaveatCode.LEARNING_RATE_UNUSED,
            text="build_optimizer does not use its `lr`: no learning rate that is tried here has "
            "any effect.",
        )
    ]


def _data_caveats(workshop: Workshop) -> list[Caveat]:
    data = workshop.task.data
    if data.is_synthetic or data.evaluation_size > 0:
        return []
    return [
        Caveat(
            code=CaveatCode.NOTHING_HELD_OUT,
            text="There are too few samples to hold any out: settings are not judged by their "
            "loss.",
        )
    ]


def _try_out(
    workshop: Workshop, model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[Caveat]:  # fmt: skip
    """Take one step with two samples, so that a fault shows now and is well explained."""
    data = workshop.task.data
    with closing(data.training_batches(_COLLATED_SAMPLES)) as batches:
        next(batches)
    if not workshop.placement.device.present:
        return []
    moved: nn.Module = workshop.task.hooks.guard("build_model", model.to, workshop.device)
    step = TrainingStep(workshop.task, moved, optimizer, workshop.device)
    try:
        with closing(data.training_batches(_TRIED_SAMPLES)) as batches:
            loss = float(step.run(batches))
    except Exception as error:
        if out_of_memory(error) is None:
            raise
        return []  # Whether one sample fits is for the memory stage to find out.
    if math.isfinite(loss):
        return []
    return [
        Caveat(
            code=CaveatCode.FIRST_LOSS_NOT_FINITE,
            text=f"The loss of fresh weights on two samples is {loss}.",
        )
    ]
