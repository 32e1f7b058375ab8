"""Files that define a Lightning module and call no trainer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from bsadvise.model.request import EntryKind
from bsadvise.source.entry_kind import entry_kind_of

from advisor.worker.entries.captured import CapturedTask
from advisor.worker.scripts.surroundings import Script
from advisor.worker.user.hooks import Hooks, UserCodeFailed

pytestmark = pytest.mark.filterwarnings("default")

MODULE = """\
import lightning as L
import torch

class Lit(L.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.lr = lr
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).pow(2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
"""
DATA = """
class Data(L.LightningDataModule):
    def train_dataloader(self):
        data = torch.utils.data.TensorDataset(torch.randn(60, 3))
        return torch.utils.data.DataLoader(data, batch_size=12)
"""


def task_of(directory: Path, source: str, model_class: str = "") -> CapturedTask:
    (directory / "lit.py").write_text(source, encoding="utf-8")
    hooks = Hooks(directory, "lit.py", lambda _: None)
    script = Script(source_dir=directory, entry_path="lit.py", model_class=model_class)
    return CapturedTask(script, hooks, 0)


def test_the_only_module_is_trained_with_the_only_data_module(tmp_path: Path) -> None:
    assert entry_kind_of(ast.parse(MODULE + DATA)) is EntryKind.SCRIPT
    task = task_of(tmp_path, MODULE + DATA)
    assert task.settings.reference_batch_size == 12
    assert task.settings.reference_learning_rate == 0.1
    assert task.data.dataset_size == 60
    assert [path.name for path in tmp_path.iterdir()] == ["lit.py"]


OTHER = """
class Other(Lit):
    def __init__(self, lr=0.3):
        super().__init__(lr)
"""


def test_one_of_several_modules_is_named_or_the_only_one_that_can_be_made(tmp_path: Path) -> None:
    task = task_of(tmp_path, MODULE + DATA + OTHER, "Other")
    assert task.settings.reference_learning_rate == 0.3
    task = task_of(tmp_path, MODULE + DATA + OTHER.replace("lr=0.3", "lr"))
    assert task.settings.reference_learning_rate == 0.1
    with pytest.raises(UserCodeFailed, match=r"no LightningModule Net .* it defines Lit, Other"):
        _ = task_of(tmp_path, MODULE + DATA + OTHER, "Net").settings


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (MODULE + DATA + OTHER, "defines Lit, Other and trains none.*--model-class"),
        (MODULE + DATA + "class Other(Lit):\n    pass\n", "defines Lit, Other and trains none"),
        (MODULE.replace("lr=0.1", "lr") + DATA, "Lit needs values for lr"),
        (MODULE, "train_dataloader"),
        (DATA.join(["import lightning as L\n", ""]), "ended before its trainer was called"),
    ],
)
def test_what_is_to_be_trained_must_be_clear(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(UserCodeFailed, match=message) as caught:
        _ = task_of(tmp_path, source).settings
    assert caught.value.fault.fix
