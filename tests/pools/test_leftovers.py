"""What workers leave is removed whatever it is; what cannot be is tried again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bsadvise.model.commands import Evaluate
from bsadvise.model.measurements import Evaluation, Failed, FaultCode

from advisor.application.supervision import Supervisor
from advisor.pipe.v1 import pipe_pb2
from advisor.pools.fork_server import ForkServer
from advisor.pools.local import LocalPool
from tests.support import scripted_worker
from tests.support.worker_jobs import WriteJob

EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)
HEALTHY = Evaluation(held_out_loss=1.0)


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
async def pool(
    failures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalPool]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pool = LocalPool(scripted_worker.COMMAND, supervisor=Supervisor(count_failure=failures.append))
    yield pool
    await pool.close()


DIG = """
import tempfile
def answer(command, enter):
    if os.path.exists("dug"):
        return Evaluation(held_out_loss=1.0)
    open("dug", "w").close()
    here = os.getcwd()
    os.chdir(tempfile.gettempdir())
    for _ in range(1200):
        os.mkdir("d"); os.chdir("d")
    os.chdir(here)
    return Evaluation(held_out_loss=1.0)
"""

WELL_BEHAVED = """
def answer(command, enter):
    return Evaluation(held_out_loss=1.0)
"""


def scratch_dirs(directory: Path) -> list[Path]:
    return list(directory.glob("bsadvise-scratch-*"))


async def test_nested_folders_end_no_fork_server(
    pool: LocalPool, write: WriteJob, tmp_path: Path
) -> None:
    job = write(DIG)
    fork_server = await pool._live_fork_server(None)
    for _ in range(2):
        async with pool.open(job) as session:
            assert (await session.run(EVALUATE)).outcome == HEALTHY
        assert scratch_dirs(tmp_path) == []
    assert await pool._live_fork_server(None) is fork_server
    assert await pool.remove_leftovers() == 0


async def test_what_is_left_is_told_and_removed_later(
    pool: LocalPool, failures: list[str], tmp_path: Path
) -> None:
    left = tmp_path / "bsadvise-scratch-left"
    (left / "inner").mkdir(parents=True)
    fork_server = await pool._live_fork_server(None)
    loop = asyncio.get_running_loop()
    forked = loop.create_future()
    forked.set_result(pipe_pb2.Forked(worker_id=7, pid=os.getpid(), scratch_dir=str(left)))
    fork_server._forks[7], fork_server._exits[7] = forked, loop.create_future()
    exited = pipe_pb2.Exited(worker_id=7, exit_code=0, scratch_left="'inner': busy")

    fork_server._note(pipe_pb2.FromForkServer(exited=exited))

    assert failures == ["removal"]
    assert await pool.remove_leftovers() == 0
    assert not left.exists()


async def test_an_error_while_it_listens_tells_all_who_wait_and_another_one_begins(
    pool: LocalPool, write: WriteJob, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ForkServer, message: pipe_pb2.FromForkServer) -> None:
        monkeypatch.undo()
        raise RecursionError("too deep")

    monkeypatch.setattr(ForkServer, "_note", fail)
    async with pool.open(write(WELL_BEHAVED)) as session:
        assert (await session.run(EVALUATE)).outcome == HEALTHY  # By its second try.
    assert failures == ["fork server"]


async def test_a_machine_without_room_for_output_is_said_to_have_none(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    async with pool.open(write("def answer(command, enter): ...\n")) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.WORKER
    assert "No worker can be started" in outcome.fault.message
