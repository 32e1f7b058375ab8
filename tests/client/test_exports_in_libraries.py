"""Each export is taken by the library that it is for, and read back from the library's own objects.

A library that is not installed is skipped.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise.exports.formats.registry import EXPORTS

from tests.support.builders import an_advice

pytestmark = pytest.mark.filterwarnings("ignore")  # What libraries warn of is theirs.

_ADVICE = an_advice(
    learning_rate=1e-5, weight_decay=0.1, betas=(0.9, 0.95), warmup_steps=200, precision="bf16",
    loader_workers=2, drop_last=True,
)  # fmt: skip


def _loader_and_optimizer(settings: dict[str, Any]) -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(range(640), **settings["dataloader"])
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], **settings["optimizer"])
    assert (loader.num_workers, loader.drop_last) == (2, True)
    assert optimizer.defaults["lr"] == 1e-5
    assert optimizer.defaults["weight_decay"] == 0.1
    assert tuple(optimizer.defaults["betas"]) == (0.9, 0.95)
    return loader, optimizer


def test_hydra_composes_the_option(tmp_path: Path) -> None:
    hydra = pytest.importorskip("hydra")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "advised.yaml").write_text(EXPORTS["hydra"].render(_ADVICE))
    (tmp_path / "config.yaml").write_text("batch: ${training.micro_batch_size}\n")
    with hydra.initialize_config_dir(config_dir=str(tmp_path), version_base=None):
        config = hydra.compose("config", overrides=["+training=advised"])
    assert config.batch == 32
    assert config.training.learning_rate == 1e-5
    assert dict(config.training) == EXPORTS["hydra"].settings(_ADVICE)


@pytest.mark.parametrize(("precision", "plugin"), [("bf16", "bf16-mixed"), ("fp32", "32-true")])
def test_lightning_makes_a_trainer(precision: str, plugin: str) -> None:
    lightning = pytest.importorskip("lightning")
    read = yaml.safe_load(EXPORTS["lightning"].render(an_advice(precision=precision)))
    trainer = lightning.Trainer(
        **read["trainer"], accelerator="cpu", logger=False, enable_checkpointing=False
    )
    assert trainer.accumulate_grad_batches == 2
    assert trainer.num_devices == 1
    assert trainer.precision == plugin


def test_the_lightning_command_line_reads_the_file(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    pytest.importorskip("jsonargparse")
    command_line = pytest.importorskip("lightning.pytorch.cli").LightningCLI

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, learning_rate: float = 0.1) -> None:
            super().__init__()
            self.learning_rate = learning_rate

    class Data(lightning.LightningDataModule):  # type: ignore[misc, name-defined]
        def __init__(self, batch_size: int = 1) -> None:
            super().__init__()
            self.batch_size = batch_size

    file = tmp_path / "advice.yaml"
    file.write_text(EXPORTS["lightning"].render(_ADVICE))
    command = command_line(
        Module, Data, run=False, save_config_callback=None,
        args=["--config", str(file), "--trainer.accelerator=cpu", "--trainer.logger=false"],
    )  # fmt: skip
    assert command.trainer.accumulate_grad_batches == 2
    assert command.datamodule.batch_size == 32
    assert command.model.learning_rate == 1e-5


def test_transformers_takes_the_arguments(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    file = tmp_path / "advice.json"
    file.write_text(EXPORTS["transformers"].render(_ADVICE))
    own = {"output_dir": str(tmp_path), "use_cpu": True}
    made = transformers.TrainingArguments(**own, **json.loads(file.read_text()))
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    (parsed,) = parser.parse_dict({**own, **json.loads(file.read_text())})
    for arguments in (made, parsed):
        assert arguments.train_batch_size == 32
        assert arguments.gradient_accumulation_steps == 2
        assert arguments.learning_rate == 1e-5
        assert arguments.get_warmup_steps(1000) == 200
        assert (arguments.adam_beta1, arguments.adam_beta2) == (0.9, 0.95)
        assert (arguments.bf16, arguments.fp16) == (True, False)
        assert (arguments.dataloader_num_workers, arguments.dataloader_drop_last) == (2, True)


def test_accelerate_prepares_what_is_made_of_it() -> None:
    accelerate = pytest.importorskip("accelerate")
    read = yaml.safe_load(EXPORTS["accelerate"].render(_ADVICE))
    accelerator = accelerate.Accelerator(**read["accelerator"], cpu=True)
    assert accelerator.gradient_accumulation_steps == 2
    assert accelerator.mixed_precision == "bf16"
    loader, optimizer = accelerator.prepare(*_loader_and_optimizer(read))
    assert loader.total_batch_size == 32
    assert optimizer.param_groups[0]["lr"] == 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_deepspeed_accepts_the_file(precision: str, tmp_path: Path) -> None:
    """Its own class checks the batch against its factors, and every key."""
    runtime = pytest.importorskip("deepspeed.runtime.config")
    file = tmp_path / "ds_config.json"
    file.write_text(EXPORTS["deepspeed"].render(an_advice(precision=precision)))
    config = runtime.DeepSpeedConfig(str(file))
    assert config.train_batch_size == 64
    assert config.train_micro_batch_size_per_gpu == 32
    assert config.gradient_accumulation_steps == 2
    # In releases that have each as a section of its own.
    if hasattr(config, "bfloat16_config"):
        assert config.bfloat16_config.enabled is (precision == "bf16")
        assert config.float16_config.enabled is (precision == "fp16")


def test_composer_knows_the_arguments() -> None:
    composer = pytest.importorskip("composer")
    read = yaml.safe_load(EXPORTS["composer"].render(_ADVICE))
    known = inspect.signature(composer.Trainer).parameters
    assert set(read["trainer"]) <= set(known)
    assert composer.core.Precision(read["trainer"]["precision"]).value == "amp_bf16"
    loader, _ = _loader_and_optimizer(read)
    assert loader.batch_size == 64
