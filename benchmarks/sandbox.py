"""Overhead of isolation: worker start and training step, with and without limits and sandbox.

All are measured alternately in one run, so that other load affects them equally: the ratios, of the
strongest sandbox that works here to none and to Landlock alone, are meaningful, the times less so.

    python -m benchmarks.sandbox
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from bsadvise.model.commands import InspectTask, TimeSteps
from bsadvise.model.measurements import StepTimes

from advisor.application.supervision import Supervisor
from advisor.devices.cpu import read_cpu
from advisor.kernel.landlock import landlock_abi
from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, Limits, shared_reach
from advisor.pools.sandbox import choose_sandbox
from advisor.pools.sandbox_degrees import LANDLOCK, OFF
from advisor.pools.worker_process import WorkerProcess
from advisor.ports.worker_pool import WorkerJob

ROUNDS = 20
STEPS_S = 1.0
RESULT = Path(__file__).parent / "results" / "sandbox.json"

MODEL = """
import torch
from torch import nn

def build_model():
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10))

def make_batch(batch_size):
    return torch.randn(batch_size, 256), torch.randint(10, (batch_size,))
"""


def _pools(state_dir: Path) -> dict[str, LocalPool]:
    """Return pools without limits and sandbox, with Landlock, and with what is strongest here."""
    reach = shared_reach(state_dir, state_dir, data_paths=(), allow_network=False)
    limits = Limits(memory_bytes=4 << 30, scratch_bytes=1 << 30)
    degrees = {"landlock": LANDLOCK, "isolated": choose_sandbox("auto")}
    isolated = {
        name: LocalPool(isolation=Isolation(limits=limits, sandbox=degree, reach=reach))
        for name, degree in degrees.items()
    }
    return {"bare": LocalPool(), **isolated}


async def _start_s(pool: LocalPool, job: WorkerJob) -> float:
    """Return the seconds from the request for a worker until it is sandboxed and has answered."""
    fork_server = await pool._live_fork_server(None)  # noqa: SLF001 - below the sessions' command
    began_s = time.perf_counter()
    isolation = pool._isolation  # noqa: SLF001
    worker = await WorkerProcess.start(fork_server, job, isolation, Supervisor())
    started_s = time.perf_counter() - began_s
    await worker.end()
    return started_s


async def _first_answer_s(pool: LocalPool, job: WorkerJob) -> float:
    async with pool.open(job) as session:
        began_s = time.perf_counter()
        await session.run(InspectTask(time_limit_s=60))
        return time.perf_counter() - began_s


async def _step_s(pool: LocalPool, job: WorkerJob) -> float:
    command = TimeSteps(time_limit_s=60, micro_batch_size=64, measure_s=STEPS_S)
    async with pool.open(job) as session:
        outcome = (await session.run(command)).outcome
    if not isinstance(outcome, StepTimes):
        raise SystemExit(f"the steps were not timed: {outcome}")
    return statistics.median(outcome.step_times_s)


async def _measure(state_dir: Path) -> dict[str, object]:
    source_dir = state_dir / "sources" / "one"
    checkpoint_dir = state_dir / "checkpoints" / "one"
    source_dir.mkdir(parents=True)
    checkpoint_dir.mkdir(parents=True)
    (source_dir / "model.py").write_text(MODEL, encoding="utf-8")
    cpu = read_cpu()
    job = WorkerJob(
        source_dir=source_dir, entry_path="model.py", checkpoint_dir=checkpoint_dir, devices=(cpu,)
    )
    pools = _pools(state_dir)
    for pool in pools.values():
        await _first_answer_s(pool, job)  # Imports torch, once.
    found: dict[str, object] = {}
    for what, rounds, measure in (
        ("worker_start", ROUNDS, _start_s),
        ("first_answer", ROUNDS, _first_answer_s),
        ("step", 6, _step_s),
    ):
        times: dict[str, list[float]] = {name: [] for name in pools}
        for _ in range(rounds):
            for name, pool in pools.items():
                times[name].append(await measure(pool, job))
        ratios = {
            f"{name}_ratio": round(
                statistics.median(
                    isolated / other
                    for isolated, other in zip(times["isolated"], times[name], strict=True)
                ),
                4,
            )
            for name in ("bare", "landlock")
        }
        found[what] = {
            **{f"{name}_s": round(statistics.median(s), 6) for name, s in times.items()},
            **ratios,
            "rounds": rounds,
        }
    sandbox = pools["isolated"].sandbox
    for pool in pools.values():
        await pool.close()
    machine = {"processor": cpu.name, "cores": os.cpu_count(), "landlock_abi": landlock_abi()}
    return {"machine": machine, "torch": torch.__version__, "sandbox": sandbox, "results": found}


def main() -> None:
    """Measure, print, and save the result."""
    with tempfile.TemporaryDirectory() as directory:
        measured = asyncio.run(_measure(Path(directory)))
    text = json.dumps(measured, indent=2)
    print(text)
    if measured["sandbox"] != OFF:
        RESULT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
