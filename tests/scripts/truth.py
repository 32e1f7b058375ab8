"""What is true of each script of the corpus, as its source says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What observing a script must find.

    Attributes:
        batch: Samples of a batch of its training loader, and where that is said.
        rate: Its learning rate, and where that is said; None where the script computes it.
        optimizer: Class of its optimizer.
        size: Samples of its data set; None for a stream.
        arguments: Its command line.
        steps: Most steps of one optimizer that are seen.
        others: Fields of the reference that are not their defaults.
    """

    batch: tuple[int, str]
    rate: tuple[float, str | None]
    optimizer: str
    size: int | None
    arguments: tuple[str, ...] = ()
    others: tuple[tuple[str, object], ...] = ()
    steps: int = 20


ANSWERED = {
    "flags": Truth(
        batch=(32, "--batch-size"), rate=(1.0, "--lr"), optimizer="Adadelta", size=1_000,
        arguments=("--batch-size", "32"),
        others=(("schedule_name", "StepLR"), ("is_scheduled_by_step", False)),
    ),
    "constants": Truth(
        batch=(100, "BATCH_SIZE, constants.py:7"), rate=(1e-3, "LEARNING_RATE, constants.py:8"),
        optimizer="Adam", size=1_010,
    ),
    "literals": Truth(
        batch=(32, "batch_size, literals.py:11"), rate=(0.05, "SGD, literals.py:13"),
        optimizer="SGD", size=640, others=(("loader_number", 1),),
    ),
    "scaler": Truth(
        batch=(24, "--batch"), rate=(1e-4, "--learning-rate"), optimizer="AdamW", size=480,
        others=(("precision", "fp16"),),
    ),
    "accumulation": Truth(
        batch=(8, "--micro-batch"), rate=(0.02, "--lr"), optimizer="SGD", size=300,
        others=(("accumulation_steps", 4), ("batch_size", 32)),
    ),
    "peeked": Truth(
        batch=(20, "batch_size, peeked.py:23"), rate=(3e-3, "lr, peeked.py:27"), optimizer="Adam",
        size=200, others=(("collate_name", "together"), ("loader_number", 0)),
    ),
    "validation": Truth(
        batch=(16, "TRAIN_BATCH, validation.py:7"), rate=(0.1, "LR, validation.py:7"),
        optimizer="RMSprop", size=200, others=(("loader_number", 1),),
    ),
    "generators": Truth(
        batch=(10, "batch_size"), rate=(3e-3, "lr, generators.py:9"), optimizer="NAdam", size=None,
        arguments=("batch_size=10",), others=(("sampler_name", ""),),
    ),
    "json_file": Truth(
        batch=(10, "batch_size, config.json:2"), rate=(0.4, "max_lr, config.json:1"),
        optimizer="SGD", size=320,
        others=(
            ("schedule_name", "OneCycleLR"), ("schedule_length", 320),
            ("is_scheduled_by_step", True),
        ),
    ),
    "yaml_file": Truth(
        batch=(16, "batch_size, conf/small.yaml:4"), rate=(5e-4, "lr, conf/small.yaml:5"),
        optimizer="Adam", size=256, arguments=("--config", "conf/small.yaml"),
        others=(("precision", "fp64"), ("group_learning_rates", (5e-4, 5e-3))),
    ),
    "package": Truth(
        batch=(40, "batch_size, pieces/settings.py:7"), rate=(0.01, "lr, pieces/settings.py:8"),
        optimizer="AdamW", size=400,
        others=(("schedule_name", "CosineAnnealingLR"), ("schedule_length", 4)),
    ),
    "nan_exit": Truth(
        batch=(8, "batch_size, nan_exit.py:11"), rate=(0.25, "peak, nan_exit.py:13"),
        optimizer="SGD", size=128,
    ),
    "interrupted": Truth(
        batch=(16, "batch_size, interrupted.py:23"), rate=(0.07, "lr, interrupted.py:13"),
        optimizer="Adagrad", size=512,
    ),
    "writes": Truth(
        batch=(6, "batch_size, writes.py:13"), rate=(2e-3, "lr, writes.py:15"),
        optimizer="Adamax", size=96,
    ),
    "adversarial": Truth(
        batch=(25, "--batchSize"), rate=(2e-4, "--lr"), optimizer="Adam", size=250,
        others=(("optimizer_count", 2), ("accumulation_steps", 1)),
    ),
    "global_batch": Truth(
        batch=(12, "--batch-size"), rate=(0.03, "--lr"), optimizer="AdamW", size=600,
        others=(("accumulation_steps", 4), ("batch_size", 48)),
    ),
    "phases": Truth(
        batch=(4, "batch_size, phases.py:44"), rate=(1e-3, "lr, phases.py:47"), optimizer="SGD",
        size=120, others=(("schedule_name", "StepLR"), ("is_scheduled_by_step", False)),
    ),
    "averaged": Truth(
        batch=(18, "batch_size, averaged.py:14"), rate=(6e-3, "learning_rate, averaged.py:15"),
        optimizer="AdamW", size=360, others=(("loader_number", 0),),
    ),
    "restarted": Truth(
        batch=(30, "--train_batch_size"), rate=(2e-3, "--learning_rate"), optimizer="RAdam",
        size=300, others=(("loader_workers", 1),),
    ),
    "lengths": Truth(
        batch=(14, "bs, lengths.py:9"), rate=(4e-3, "lr, lengths.py:9"), optimizer="Adam",
        size=210, others=(("collate_name", "collate"),),
    ),
    "compiled": Truth(
        batch=(22, "BATCH, compiled.py:8"), rate=(8e-4, "BASE_LR, compiled.py:9"),
        optimizer="Adam", size=440,
        others=(("precision", "bf16"), ("is_compiled", True), ("is_scheduled_by_step", True)),
    ),
    "hydra_app": Truth(
        batch=(11, "batch_size, conf/config.yaml:9"), rate=(7e-3, "lr, conf/optim/adam.yaml:2"),
        optimizer="Adam", size=330,
    ),
    "defaults_file": Truth(
        batch=(9, "--bs"), rate=(0.35, "--lr"), optimizer="SGD", size=270,
        others=(("schedule_name", "ReduceLROnPlateau"),),
    ),
    "environment": Truth(
        batch=(26, "BATCH_SIZE, environment.py:8"), rate=(0.040625, None), optimizer="SGD",
        size=520,
    ),
    "paired": Truth(
        batch=(36, "--unlabelled-batch"), rate=(0.15, "--lr"), optimizer="SGD", size=720,
        others=(("loader_number", 1),),
    ),
    "folds": Truth(
        batch=(15, "batch_size, folds.py:27"), rate=(0.012, "lr, folds.py:24"), optimizer="Adam",
        size=60, others=(("optimizer_count", 1), ("loader_number", 1)), steps=8,
    ),
    "two_parts": Truth(
        batch=(28, "batch_size, two_parts.py:6"), rate=(0.02, "matrix_lr, two_parts.py:7"),
        optimizer="SGD", size=560, others=(("optimizer_count", 2),),
    ),
}  # fmt: skip
"""Scripts that have a batch size to choose."""

REFUSED = {
    "full_batch": "Each step sees all 2,708 rows",
    "closure": "Its optimizer's step is given a closure",
    "rollouts": "what it collects from gymnasium",
    "spawned": "several training processes",
    "launched": "several training processes",
    "batch_sampler": "decides which samples make a batch",
    "no_step": "ended without an optimizer step",
    "download": "download.py:6: URLError",
    "cut_by_hand": "No DataLoader",
    "by_index": "Let a `DataLoader(TensorDataset(...), batch_size=...)` give them",
    "evolves": "No DataLoader",
    "updated_by_hand": "18 backward passes and no step of an optimizer of torch",
    "sharpness": "Its optimizer's step is given a closure",
    "one_graph": "Each step sees the one sample",
    "hub": "It needs data from huggingface.co",
    "asks": "asks.py:6: the following arguments are required: --data",
    "hangs": "took no optimizer step within 8 s, when it was at hangs.py:4",
}
"""Scripts that have none, and what their users are told."""
