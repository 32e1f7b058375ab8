"""From inside a training to its end, with a real daemon, at night.

Each script asks for the setting of a batch of 32, trains, and prints what its library's
own objects then hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("BSADVISE_INTEGRATIONS") != "whole", reason="BSADVISE_INTEGRATIONS=whole"
    ),
]

LIGHTNING = """
import json
import lightning as L
import torch
from bsadvise.integrations.lightning import BatchSizeAdvisor
from torch.utils.data import DataLoader, TensorDataset


class Data(L.LightningDataModule):
    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
        data = TensorDataset(x, (x.sum(1) > 0).long())
        return DataLoader(data, batch_size=self.batch_size, shuffle=True)


class Classifier(L.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
        )

    def training_step(self, batch, batch_idx):
        x, y = batch
        return torch.nn.functional.cross_entropy(self.layers(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


advisor = BatchSizeAdvisor(effective_batch_size=32, max_trials=0)
trainer = L.Trainer(
    max_epochs=1, callbacks=[advisor], accelerator="cpu", logger=False, enable_checkpointing=False
)
trainer.fit(Classifier(0.001), datamodule=Data(4))
print("READ BACK", json.dumps({
    "advised": advisor.advice.to_dict(),
    "micro_batch_size": trainer.train_dataloader.batch_size,
    "accumulation_steps": trainer.accumulate_grad_batches,
    "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
}))
"""

TRANSFORMERS = """
import json
import torch
import transformers
from bsadvise.integrations.transformers import recommend


class Counting(torch.utils.data.Dataset):
    def __len__(self):
        return 2000

    def __getitem__(self, index):
        tokens = (index + torch.arange(10)) % 30
        return {"input_ids": tokens, "labels": tokens}


config = transformers.LlamaConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=32, max_position_embeddings=16,
)
args = transformers.TrainingArguments(
    output_dir="out", use_cpu=True, report_to="none", per_device_train_batch_size=4,
    learning_rate=1e-4, max_steps=3, lr_scheduler_type="constant", save_strategy="no",
)
trainer = transformers.Trainer(
    transformers.LlamaForCausalLM(config), args, train_dataset=Counting()
)
advice = recommend(trainer, effective_batch_size=32, max_trials=0)
advice.apply(args)
trainer.train()
print("READ BACK", json.dumps({
    "advised": advice.to_dict(),
    "micro_batch_size": trainer.get_train_dataloader().total_batch_size,
    "accumulation_steps": trainer.args.gradient_accumulation_steps,
    "learning_rate": trainer.optimizer.param_groups[0]["lr"],
}))
"""


@pytest.mark.parametrize(
    ("script", "reference"), [(LIGHTNING, (4, 0.001)), (TRANSFORMERS, (4, 1e-4))]
)
def test_a_training_asks_and_has_the_answer(
    script: str, reference: tuple[int, float], tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(script)
    places = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": os.defpath, "HOME": str(tmp_path), **places},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("READ BACK "))
    found = json.loads(line.removeprefix("READ BACK "))
    advised = found.pop("advised")
    assert found == pytest.approx({name: advised[name] for name in found})
    assert advised["verified"]
    # The worker's run of the script saw the script's own setting, and asked nobody.
    observed = advised["reference"]
    assert (observed["micro_batch_size"], observed["learning_rate"]) == pytest.approx(reference)
    assert advised["effective_batch_size"] == 32
    assert advised["learning_rate"] > reference[1]
