"""Scripts that a trainer trains: what is observed is what the task of their call says."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import lightning  # noqa: F401 - each run of a script, in a child of this process, finds it imported
import pytest
import pytorch_lightning  # noqa: F401 - as above
import torch
import transformers  # noqa: F401 - as above
from bsadvise.model.commands import ObserveScript
from bsadvise.model.observation import Observation, Quantity, TrainingLoop
from bsadvise.v1 import recommendation_pb2

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.registry import make_task
from advisor.worker.entries.script import ScriptTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe

pytestmark = pytest.mark.filterwarnings("default")

TRAINERS = Path(__file__).parent / "trainers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the source of a script says."""

    loop: TrainingLoop
    batch: tuple[int, int, str]
    rate: tuple[float, str]
    size: int
    optimizer: str
    arguments: tuple[str, ...] = ()


TRUTH = {
    "data_module": Truth(
        loop=TrainingLoop.LIGHTNING, batch=(48, 48, "--batch-size"), rate=(3e-3, "--lr"), size=1000,
        optimizer="AdamW", arguments=("--batch-size", "48"),
    ),
    "older_name": Truth(
        loop=TrainingLoop.LIGHTNING, batch=(12, 24, "BATCH_SIZE, older_name.py:8"),
        rate=(0.05, "RATE, older_name.py:9"), size=600, optimizer="SGD",
    ),
    "lone_module": Truth(
        loop=TrainingLoop.LIGHTNING, batch=(20, 20, "batch_size, lone_module.py:23"),
        rate=(0.02, "learning_rate, lone_module.py:9"), size=500, optimizer="Adam",
    ),
    "arguments": Truth(
        loop=TrainingLoop.TRANSFORMERS, batch=(5, 15, "--per_device_train_batch_size"),
        rate=(1e-3, "--learning_rate"), size=700, optimizer="AdamW",
        arguments=(
            "--output_dir", "out", "--per_device_train_batch_size", "5", "--report_to", "none",
            "--gradient_accumulation_steps", "3", "--learning_rate", "1e-3",
        ),
    ),
    "subclass": Truth(
        loop=TrainingLoop.TRANSFORMERS,
        batch=(10, 10, "per_device_train_batch_size, subclass.py:36"),
        rate=(0.03, "lr, subclass.py:34"), size=400, optimizer="SGD",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRUTH)
def test_what_is_observed_is_what_is_trained(name: str, tmp_path: Path) -> None:
    truth, source, kept = TRUTH[name], tmp_path / "source", tmp_path / "kept"
    source.mkdir()
    kept.mkdir()
    shutil.copy(TRAINERS / f"{name}.py", source)
    job = pipe_pb2.Job(
        source_dir=str(source),
        entry_path=f"{name}.py",
        checkpoint_dir=str(kept),
        arguments=truth.arguments,
        entry_kind=recommendation_pb2.ENTRY_KIND_SCRIPT,
    )
    task = make_task(job, lambda _: None)
    assert isinstance(task, ScriptTask)

    outcome = task.observe(ObserveScript(time_limit_s=300, step_count=20))

    assert isinstance(outcome, Observation), outcome
    found = outcome.reference
    assert found is not None
    batch, rate = (found.place_of(q) for q in (Quantity.MICRO_BATCH_SIZE, Quantity.LEARNING_RATE))
    assert found.loop is truth.loop
    assert (found.micro_batch_size, found.batch_size, str(batch)) == truth.batch
    assert (found.learning_rate, str(rate)) == truth.rate
    assert (found.optimizer_name, found.dataset_size) == (truth.optimizer, truth.size)

    assert task.settings.reference_batch_size == found.batch_size
    assert task.settings.reference_learning_rate == pytest.approx(found.learning_rate)
    assert task.settings.precision == found.precision
    assert task.data.dataset_size == found.dataset_size
    recipe = Recipe(micro_batch_size=2 * found.batch_size, learning_rate=found.learning_rate or 1.0)
    with closing(task.build(recipe, torch.device("cpu"), SINGLE_PROCESS)) as training:
        losses = [float(training.step().loss) for _ in range(30)]
        assert training.evaluate(32) is not None
    assert sum(losses[-5:]) < sum(losses[:5])
    assert [path.name for path in source.iterdir()] == [f"{name}.py"]
