"""Scripts that call a trainer, entered at that call."""

from __future__ import annotations

import textwrap
from contextlib import closing
from pathlib import Path

import pytest
import torch

from advisor.worker.entries.captured import CapturedTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.scripts.surroundings import Script
from advisor.worker.user.hooks import Hooks, UserCodeFailed

pytestmark = pytest.mark.filterwarnings("default")

LIGHTNING = """
    import argparse
    from pathlib import Path

    import lightning as L
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    args = parser.parse_args()

    class Lit(L.LightningModule):
        def __init__(self, lr):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch, batch_idx):
            loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

    def main():
        L.seed_everything(1)
        Path("results").mkdir()
        x = torch.load("data.pt")
        data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
        loader = torch.utils.data.DataLoader(data, batch_size=args.batch_size, shuffle=True)
        trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False)
        try:
            trainer.fit(Lit(args.lr), loader)
        except Exception:
            print("tried again with less")
        Path("results/done").touch()

    if __name__ == "__main__":
        main()
"""


def script(directory: Path, source: str, *arguments: str) -> Script:
    (directory / "train.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return Script(source_dir=directory, entry_path="train.py", arguments=arguments)


def task_of(script: Script, seed: int = 3) -> CapturedTask:
    hooks = Hooks(script.source_dir, script.entry_path, lambda _: None)
    return CapturedTask(script, hooks, seed)


def test_a_lightning_script_with_its_arguments(tmp_path: Path) -> None:
    torch.save(torch.randn(100, 3), tmp_path / "data.pt")
    task = task_of(script(tmp_path, LIGHTNING, "--batch-size", "16"))
    assert task.settings.reference_batch_size == 16
    assert task.settings.reference_learning_rate == 0.1
    assert task.data.dataset_size == 100
    recipe = Recipe(micro_batch_size=32, learning_rate=0.1)
    with closing(task.build(recipe, torch.device("cpu"), SINGLE_PROCESS)) as training:
        losses = [float(training.step().loss) for _ in range(20)]
    assert losses[-1] < 0.2 * losses[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.pt", "train.py"]


def test_each_worker_finds_the_same_weights_where_the_script_seeds_them(tmp_path: Path) -> None:
    torch.save(torch.randn(100, 3), tmp_path / "data.pt")
    losses = []
    for _ in range(2):
        task = task_of(script(tmp_path, LIGHTNING))
        training = task.build(Recipe(micro_batch_size=8), torch.device("cpu"), SINGLE_PROCESS)
        with closing(training):
            losses.append([float(training.step().loss) for _ in range(3)])
    assert losses[0] == losses[1]


def test_a_replicate_has_other_weights(tmp_path: Path) -> None:
    torch.save(torch.randn(100, 3), tmp_path / "data.pt")
    task = task_of(script(tmp_path, LIGHTNING))
    weights = [
        [p.detach() for p in training.model.parameters()]
        for training in (
            task.build(Recipe(micro_batch_size=8, replicate=r), torch.device("cpu"), SINGLE_PROCESS)
            for r in (0, 0, 1)
        )
    ]
    assert all(map(torch.equal, weights[0], weights[1]))
    assert not any(map(torch.equal, weights[0], weights[2]))


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        ("import lightning\n\nraise RuntimeError('no data')", "no data", 3),
        ("print('nothing to train')", "ended before its trainer was called", None),
        ("import argparse\nargparse.ArgumentParser().parse_args()", "sys.exit", 2),
    ],
)
def test_a_script_that_ends_before_its_trainer(
    tmp_path: Path, source: str, message: str, line: int | None
) -> None:
    with pytest.raises(UserCodeFailed, match=message) as caught:
        _ = task_of(script(tmp_path, source, "--unknown")).settings
    assert caught.value.fault.file == "train.py"
    assert caught.value.fault.line == line


def test_a_fault_in_the_module_is_told_with_its_line(tmp_path: Path) -> None:
    torch.save(torch.randn(100, 3), tmp_path / "data.pt")
    broken = LIGHTNING.replace("self.layer(batch[0])", "self.layer(batch[1])")
    training = task_of(script(tmp_path, broken)).build(
        Recipe(micro_batch_size=8), torch.device("cpu"), SINGLE_PROCESS
    )
    with closing(training), pytest.raises(UserCodeFailed, match="mat1 and mat2") as caught:
        training.step()
    fault = caught.value.fault
    assert (fault.hook, fault.file, fault.line) == ("training_step", "train.py", 20)
