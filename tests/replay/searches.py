"""The searches that are recorded for real, by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

from bsadvise.model.request import AdviceOptions

from tests.replay.searching import Interruption, Search

_ROOT = Path(__file__).parents[2]
_EXAMPLES, _MODELS, _ZOO = _ROOT / "examples", _ROOT / "tests/models", _ROOT / "tests/zoo/models"

_BUDGET_S = 30.0
_KIB, _MIB = 1 << 10, 1 << 20


def _of(model: Path, description: str, **options: Unpack[AdviceOptions]) -> Search:
    return Search(description=description, model=model, options={"budget_s": _BUDGET_S, **options})


def _tiny(description: str, **options: Unpack[AdviceOptions]) -> Search:
    return _of(_MODELS / "tiny_mlp.py", description, **options)


_FILES: Mapping[str, Search] = {
    # Of the examples, fashion_cnn needs a data set that is not on every machine.
    "digits_mlp": _of(
        _EXAMPLES / "digits_mlp.py", "An example with all defaults but the budget", budget_s=40.0
    ),
    "char_gpt": _of(_EXAMPLES / "char_gpt.py", "An example with a transformer", budget_s=60.0),
    "gpt2_on_a100": _of(
        _EXAMPLES / "gpt2_124m.py", "An example, for a card elsewhere", device="a100-80gb"
    ),
    "tiny_gpt": _of(_MODELS / "tiny_gpt.py", "AdamW on sequences"),
    "batch_norm": _of(_MODELS / "tiny_cnn_bn.py", "A convolutional network with batch norm"),
    "made_up_batches": _of(_MODELS / "synthetic.py", "make_batch, in bfloat16: nothing to learn"),
    "ragged": _of(_MODELS / "ragged.py", "Sequences of unlike lengths, padded by a collate_fn"),
    "streamed": _of(_MODELS / "streamed.py", "A stream, whose length nobody knows"),
    "nan_loss": _of(_ZOO / "nan_loss.py", "A loss that is never finite"),
}

_OPTIONS: Mapping[str, Search] = {
    "time": _tiny("The least time to the target", objective="time"),
    "throughput": _tiny("The most samples a second", objective="throughput"),
    "samples": _tiny("The fewest samples to the target", objective="samples"),
    "memory": _tiny("The least memory", objective="memory"),
    "energy": _tiny("The least energy to the target", objective="energy"),
    "cost": _tiny("The lowest cost to the target", objective="cost", device_hour_price=2.5),
    "no_trials": _tiny("No trials", max_trials=0),
    "three_trials": _tiny("At most three trials", max_trials=3),
    "target_loss": _tiny("A target loss", target_loss=0.5),
    "fixed_batch": _tiny("A fixed effective batch size", effective_batch_size=48),
    "two_replicas": _tiny("Two data-parallel replicas", world_size=2),
    "another_seed": _tiny("Another seed", seed=7),
    "fixed_batch_of_two_replicas": _tiny(
        "A fixed effective batch size for two replicas", effective_batch_size=96, world_size=2
    ),
    "on_rtx_4090": _of(
        _EXAMPLES / "digits_mlp.py", "For a card elsewhere, with replicas", device="rtx-4090",
        world_size=4,
    ),
    "on_l4_fixed_batch": _of(
        _EXAMPLES / "char_gpt.py", "For a card elsewhere, with a fixed batch", device="l4",
        effective_batch_size=8192,
    ),
}  # fmt: skip

_MEMORY: Mapping[str, Search] = {
    "limited_memory": _of(
        _EXAMPLES / "char_gpt.py", "A memory limit, below the batch that pays",
        memory_limit_bytes=48 * _MIB, budget_s=60.0,
    ),
    "accumulation": _of(
        _EXAMPLES / "digits_mlp.py", "A memory limit far below the batch asked for",
        memory_limit_bytes=2 * _MIB, effective_batch_size=1024,
    ),
    "batch_norm_limited": _of(
        _MODELS / "tiny_cnn_bn.py", "Batch norm and a memory limit", memory_limit_bytes=2 * _MIB
    ),
    "untraceable_limited": _of(
        _MODELS / "ragged.py", "Unlike samples and a memory limit", memory_limit_bytes=1 * _MIB
    ),
    "prime_batch_on_card": _of(
        _MODELS / "tiny_cnn_bn.py", "Twice a prime batch for two cards elsewhere",
        device="a100-80gb", memory_limit_bytes=32 * _MIB, effective_batch_size=2018, world_size=2,
    ),
    "prime_batch": _of(
        _MODELS / "tiny_cnn_bn.py", "A prime batch that does not fit at once",
        memory_limit_bytes=2 * _MIB, effective_batch_size=1009,
    ),
    "margin": _tiny("A margin", memory_limit_bytes=1 * _MIB, margin_bytes=300 * _KIB),
}  # fmt: skip

_INTERRUPTED: Mapping[str, Search] = {
    "killed": Search(
        description="A search whose daemon is killed while it trains",
        model=_EXAMPLES / "digits_mlp.py",
        options={"budget_s": 40.0},
        interruption=Interruption.KILL,
        after_measurements=14,
    ),
    "killed_early": Search(
        description="A search whose daemon is killed while it traces memory",
        model=_MODELS / "tiny_gpt.py",
        options={"budget_s": _BUDGET_S, "memory_limit_bytes": 4 * _MIB},
        interruption=Interruption.KILL,
        after_measurements=3,
    ),
    "cancelled": Search(
        description="A search that is cancelled while it trains",
        model=_MODELS / "tiny_mlp.py",
        options={"budget_s": 40.0},
        interruption=Interruption.CANCEL,
        after_measurements=14,
    ),
    "cancelled_at_once": Search(
        description="A search that is cancelled before there is anything to say",
        model=_EXAMPLES / "char_gpt.py",
        options={"budget_s": 40.0},
        interruption=Interruption.CANCEL,
        after_measurements=1,
    ),
}

_REFUSED: Mapping[str, Search] = {
    "refused_inspection": _of(_ZOO / "raises_in_build_model.py", "Refused: build_model raises"),
    "refused_import": _of(_ZOO / "import_error.py", "Refused: a package is missing"),
    "refused_inspection_hangs": _of(
        _ZOO / "loops_in_build_model.py", "Refused: build_model does not end"
    ),
    "refused_inspection_out_of_memory": Search(
        description="Refused: importing the file takes more memory than a worker may",
        model=_ZOO / "takes_memory.py",
        options={"budget_s": _BUDGET_S},
        daemon_settings=("[daemon]", f"worker_memory_bytes = {2048 * _MIB}"),
    ),
    "refused_loss": _of(_ZOO / "raises_in_loss.py", "Refused: loss_fn raises"),
    "refused_loss_hangs": _of(_ZOO / "loops_in_loss.py", "Refused: loss_fn does not end"),
    "refused_labels": _of(
        _ZOO / "labels_out_of_range.py", "Refused: labels that the loss cannot take"
    ),
    "refused_item": _of(_ZOO / "raises_at_item.py", "Refused: an item cannot be read"),
    "refused_no_fit": _tiny("Refused: not one sample fits", memory_limit_bytes=40 * _KIB),
    "refused_no_fit_on_card": _of(
        _EXAMPLES / "gpt2_124m.py", "Refused: not one sample fits on a card elsewhere",
        device="l4", memory_limit_bytes=1024 * _MIB,
    ),
}  # fmt: skip

SEARCHES: Mapping[str, Search] = {**_FILES, **_OPTIONS, **_MEMORY, **_INTERRUPTED, **_REFUSED}
