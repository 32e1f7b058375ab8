"""What the worker relies on is bound before user code is imported, which may replace it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import advisor.worker
from tests.support.zoo import MODELS

ROOT = Path(__file__).parents[2]

REPLACEABLE = {"gc", "json", "random", "time", "traceback", "warnings"}
"""Modules that are not to be asked for a function once user code has been imported."""
OF_TORCH = {
    "torch.save", "torch.load", "torch.manual_seed", "torch.get_rng_state", "torch.set_rng_state",
    "torch.cuda.synchronize", "torch.cuda.mem_get_info", "torch.cuda.max_memory_reserved",
}  # fmt: skip
BEFORE_USER_CODE = {"accelerators.py", "forkserver.py"}
REPLACES_ITSELF = {"warned.py"}


def called_late(path: Path) -> Iterator[str]:
    """Yield what a file looks up in a module when it is called."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in REPLACEABLE)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in OF_TORCH:
            yield ast.unparse(node)


def test_nothing_is_looked_up_in_modules_that_user_code_may_change() -> None:
    files = list(Path(advisor.worker.__path__[0]).rglob("*.py"))
    assert len(files) > 50
    found = {
        path: list(called_late(path))
        for path in files
        if path.name not in BEFORE_USER_CODE | REPLACES_ITSELF
    }
    assert not {path: late for path, late in found.items() if late}


MEASURES = """
import sys, time, torch._dynamo  # As in the fork server.
clock = time.perf_counter
from pathlib import Path
from bsadvise.model.commands import *
from bsadvise.model.measurements import Failed
from tests.support.worker_bench import LIMIT_S, Bench
bench = Bench(Path(sys.argv[1]))
bench.write(Path(sys.argv[2]).read_text())
worker = bench.worker()
begun_s = clock()
figures = [worker.execute(command) for command in (
    InspectTask(time_limit_s=LIMIT_S),
    TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=4, measure_s=0.05),
    TimeLoader(time_limit_s=LIMIT_S, batch_size=4, measure_s=0.01),
    Train(time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=1, learning_rate=0.1,
          step_count=4, evaluation_batch_size=4, save_checkpoint="one", stop_after_s=LIMIT_S),
    Evaluate(time_limit_s=LIMIT_S, checkpoint="one", evaluation_batch_size=4),
    CompareOrders(time_limit_s=LIMIT_S, batch_size=4, batch_count=8, shuffle_count=2,
                  most_read_samples=64),
    Verify(time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=1, learning_rate=0.1,
           step_count=3),
)]
assert not any(isinstance(found, Failed) for found in figures), figures
profile, steps, loader, run, evaluation, orders, verification = figures
assert profile.batch_semantics is not None, profile.caveats
times_s = [*steps.step_times_s, *loader.batch_times_s, *verification.step_times_s]
assert min(times_s) > 0 and evaluation.evaluation_s > 0
assert sum(times_s) < clock() - begun_s
assert evaluation.held_out_loss == run.held_out_loss
"""


@pytest.mark.parametrize("name", ["replaces_functions", "puts_tensors_elsewhere"])
def test_figures_are_true_whatever_the_file_replaces(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", MEASURES, str(tmp_path), str(MODELS / f"{name}.py")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
