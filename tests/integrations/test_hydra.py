"""Hydra's own command line: jobs run with what was advised for each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bsadvise import Observation, TrainingLoop
from bsadvise.v1 import recommendation_service_pb2

from advisor.worker.scripts.observation import _run_in_child
from advisor.worker.scripts.surroundings import Script
from tests.support.fake_server import FakeDaemon

pytest.importorskip("hydra")

APPLICATION = """
import json
import hydra

@hydra.main(config_path="conf", config_name="base", version_base=None)
def main(config):
    print("trained with", config.data, config.batch, config.optimizer.lr, config.accumulate)

if __name__ == "__main__":
    main()
"""
KEYS = (
    "hydra.sweeper.batch_size_key=batch",
    "hydra.sweeper.learning_rate_key=optimizer.lr",
)
ACCUMULATION = "hydra.sweeper.accumulation_key=accumulate"


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    text = "data: small\nbatch: 4\naccumulate: 1\noptimizer:\n  lr: 0.1\n"
    (tmp_path / "conf" / "base.yaml").write_text(text)
    (tmp_path / "conf" / "other.yaml").write_text(text)
    (tmp_path / "train.py").write_text(APPLICATION)
    return tmp_path


def _run(
    application: Path, daemon: FakeDaemon, *arguments: str
) -> subprocess.CompletedProcess[str]:
    sweeper = "hydra/sweeper=bsadvise"
    command = [sys.executable, "train.py", "--multirun", *arguments, sweeper]
    environment = {"BSADVISE_ADDRESS": daemon.address, "PATH": "", "HOME": str(application)}
    return subprocess.run(
        command, cwd=application, capture_output=True, text=True, check=False, env=environment
    )


def test_each_combination_runs_with_its_advice(application: Path, daemon: FakeDaemon) -> None:
    done = _run(
        application, daemon, "--config-name=other", *KEYS, ACCUMULATION, "data=small,large",
        "+hydra.sweeper.options.budget_s=30", "hydra.sweep.dir=swept",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trained = [line for line in done.stdout.splitlines() if line.startswith("trained")]
    assert trained == [f"trained with {data} 32 0.003 2" for data in ("small", "large")]
    asked = [
        one.request for one in daemon.requests
        if isinstance(one, recommendation_service_pb2.CreateRecommendationRequest)
    ]  # fmt: skip
    assert [list(one.source.arguments) for one in asked] == [
        ["--config-name=other", f"data={data}"] for data in ("small", "large")
    ]
    assert {one.budget_s for one in asked} == {30}
    kept = json.loads((application / "swept" / "bsadvise.json").read_text())
    assert [one["advice"]["effective_batch_size"] for one in kept] == [64, 64]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hydra.sweeper.batch_size_key=batch",), "has no value lr to set"),
        (KEYS, "hydra.sweeper.accumulation_key does not name by which key"),
    ],
)
def test_what_cannot_be_run_is_said(
    arguments: tuple[str, ...], words: str, application: Path, daemon: FakeDaemon
) -> None:
    done = _run(application, daemon, *arguments)
    assert done.returncode == 1
    assert words in done.stderr


def test_the_worker_runs_an_application_as_hydra_does(application: Path) -> None:
    training = """
    import torch
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.optimizer.lr)
    for batch in torch.utils.data.DataLoader(torch.zeros(40, 2), batch_size=config.batch):
        model(batch).sum().backward()
        optimizer.step()
"""
    source = application / "source"
    source.mkdir()
    (application / "conf").rename(source / "conf")
    (source / "train.py").write_text(APPLICATION.replace("    print(", f"{training}    print("))
    script = Script(source_dir=source, entry_path="train.py", arguments=("batch=5",))
    outcome, _ = _run_in_child(script, 3, 300)  # Hydra may be begun once in a process.
    assert isinstance(outcome, Observation), outcome
    assert outcome.reference is not None
    assert outcome.reference.loop is TrainingLoop.SCRIPT
    assert (outcome.reference.micro_batch_size, outcome.reference.learning_rate) == (5, 0.1)
