"""Which processes there are, what surrounds user code in them, and that none of them stays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from bsadvise.model.commands import Evaluate, RunStep, TimeSteps, Verify
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    FaultCode,
    Outcome,
    OutOfMemory,
    StepRun,
    Verification,
)

from advisor.pools.local import LocalPool
from tests.support import doomed_daemon
from tests.support.worker_jobs import PREAMBLE, WriteJob, write_job

EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)
RUN_STEP = RunStep(time_limit_s=60, micro_batch_size=1)
VERIFY = Verify(
    time_limit_s=60, micro_batch_size=1, accumulation_steps=1, learning_rate=0.1, step_count=1
)

TELL_PID = """
def answer(command, enter):
    pid = os.getpid()
    match type(command).__name__:
        case "Evaluate": return Evaluation(held_out_loss=pid)
        case "RunStep": return StepRun(peak_bytes=pid)
        case "Verify": return Verification(step_count=1, peak_bytes=pid, step_times_s=())
        case "TimeSteps": return OutOfMemory(message="full")
"""

# Writes the numbers of three processes that a careless user code leaves behind: in the
# worker's group, in a session of its own, and cut loose from every parent.
SPAWN = """
def answer(command, enter):
    group = subprocess.Popen(["sleep", "1000"]).pid
    session = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
        os.write(write_end, str(daemon).encode())
        os._exit(0)
    daemon = os.read(read_end, 20).decode()
    with open("pids", "w") as file:
        print(os.getpid(), os.getppid(), group, session, daemon, file=file)
    end()
    return Evaluation(held_out_loss=1.0)
def end():
"""


# A fork server on a machine that has no more processes to give.
NO_ROOM = """
import socket, sys
from advisor.pipe.framing import frame, receive_fork_request
from advisor.pipe.v1.pipe_pb2 import Exited, FromForkServer
with socket.socket(fileno=int(sys.argv[1].partition("=")[2])) as control:
    while True:
        request, fds = receive_fork_request(control)
        exited = Exited(worker_id=request.worker_id, exit_code=1)
        control.sendall(frame(FromForkServer(exited=exited)))
"""


def pid_of(outcome: Outcome) -> int:
    match outcome:
        case Evaluation(held_out_loss=float(pid)):
            return int(pid)
        case StepRun(peak_bytes=pid) | Verification(peak_bytes=pid):
            return pid
        case _:
            raise AssertionError(outcome)


def running(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if is_running(pid)]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids_in(directory: Path) -> list[int]:
    return [int(pid) for pid in (directory / "pids").read_text(encoding="ascii").split()]


async def test_a_worker_stays_warm_until_a_command_needs_a_fresh_one(
    pool: LocalPool, write: WriteJob
) -> None:
    async with pool.open(write(TELL_PID)) as session:
        first = pid_of((await session.run(RUN_STEP)).outcome)  # Nothing has run before it.
        assert pid_of((await session.run(EVALUATE)).outcome) == first
        second = pid_of((await session.run(VERIFY)).outcome)
        assert second != first
        assert pid_of((await session.run(EVALUATE)).outcome) == second


async def test_a_worker_is_replaced_after_out_of_memory(pool: LocalPool, write: WriteJob) -> None:
    async with pool.open(write(TELL_PID)) as session:
        first = pid_of((await session.run(EVALUATE)).outcome)
        full = TimeSteps(time_limit_s=60, micro_batch_size=1, measure_s=1)
        assert isinstance((await session.run(full)).outcome, OutOfMemory)
        assert pid_of((await session.run(EVALUATE)).outcome) != first


@pytest.mark.parametrize("end", ["pass", "os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
async def test_what_user_code_started_ends_with_its_session(
    pool: LocalPool, write: WriteJob, tmp_path: Path, end: str
) -> None:
    async with pool.open(write(SPAWN + f"    {end}\n")) as session:
        await session.run(EVALUATE)
    worker, server, *others = pids_in(tmp_path)
    assert len(others) == 3
    assert running([worker, *others]) == []
    assert running([server]) == [server]


async def test_what_user_code_started_outlives_the_end_of_another_session(
    pool: LocalPool, write: WriteJob, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = write_job(tmp_path / "other", TELL_PID, preamble=PREAMBLE)
    async with pool.open(write(SPAWN + "    pass\n")) as session:
        await session.run(EVALUATE)
        async with pool.open(other) as brief:
            await brief.run(EVALUATE)
        worker, server, *others = pids_in(tmp_path)
        assert running([worker, server, *others]) == [worker, server, *others]
    assert running([worker, *others]) == []


async def test_shared_memory_is_removed_with_the_session_that_made_it(
    pool: LocalPool, write: WriteJob
) -> None:
    source = """
    def answer(command, enter):
        for pid in (os.getpid(), os.getppid()):
            open(f"/dev/shm/torch_{pid}_1_0", "w").close()
        return Evaluation(held_out_loss=os.getpid())
    """
    async with pool.open(write(source)) as session:
        worker = pid_of((await session.run(EVALUATE)).outcome)
        server = psutil.Process(worker).ppid()
    left = {path.name for path in Path("/dev/shm").glob("torch_*_1_0")}  # noqa: ASYNC240
    (Path("/dev/shm") / f"torch_{server}_1_0").unlink()
    assert f"torch_{worker}_1_0" not in left
    assert f"torch_{server}_1_0" in left


async def test_closing_the_pool_ends_everything(
    pool: LocalPool, write: WriteJob, tmp_path: Path
) -> None:
    async with pool.open(write(SPAWN + "    pass\n")) as session:
        await session.run(EVALUATE)
        await pool.close()
        assert running(pids_in(tmp_path)) == []
        outcome = (await session.run(EVALUATE)).outcome
        assert isinstance(outcome, Failed)
        assert outcome.fault.code is FaultCode.WORKER


async def test_cancelling_ends_the_process_first(
    pool: LocalPool, write: WriteJob, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "ready")
    source = SPAWN + "    open('ready', 'w').close(); signal.pause()\n"
    async with pool.open(write(source)) as session:
        task = asyncio.create_task(session.run(EVALUATE))
        await asyncio.to_thread((tmp_path / "ready").read_bytes)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        worker, _, *others = pids_in(tmp_path)
        assert running([worker, *others]) == []


async def test_a_fork_server_that_was_killed_is_replaced(
    pool: LocalPool, write: WriteJob, tmp_path: Path
) -> None:
    async with pool.open(write(SPAWN + "    pass\n")) as session:
        assert (await session.run(EVALUATE)).outcome == Evaluation(held_out_loss=1.0)
        first = pids_in(tmp_path)
        scratch_dir = session._worker._process.scratch_dir  # type: ignore[attr-defined] # inside
        assert scratch_dir.exists()
        os.kill(first[1], signal.SIGKILL)
        assert (await session.run(EVALUATE)).outcome == Evaluation(held_out_loss=1.0)
        assert not scratch_dir.exists()
        assert running(first) == []
        assert set(pids_in(tmp_path)).isdisjoint(first)


async def test_nothing_outlives_a_daemon_that_is_killed(write: WriteJob, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")
    write(SPAWN + "    open('ready', 'w').close(); signal.pause()\n")
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, doomed_daemon.__file__, str(tmp_path)
    )
    await asyncio.to_thread((tmp_path / "ready").read_bytes)
    processes = [psutil.Process(pid) for pid in pids_in(tmp_path)]
    daemon.kill()
    await daemon.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=30)
    assert alive == []


async def test_sessions_leave_no_descriptors(pool: LocalPool, write: WriteJob) -> None:
    job = write(TELL_PID)

    async def count() -> int:
        async with pool.open(job) as session:
            await session.run(EVALUATE)
        return psutil.Process().num_fds()

    assert await count() == await count()


def card(device_id: str, kind: DeviceKind, *, present: bool = True) -> Device:
    return Device(device_id=device_id, name="a card", kind=kind, present=present, total_bytes=2**30)


@pytest.mark.parametrize(
    ("device", "visible"),
    [
        (card("GPU-1", DeviceKind.CUDA), "GPU-1|-1"),
        (card("GPU-1", DeviceKind.CUDA, present=False), "|-1"),
        (card("rocm:3", DeviceKind.ROCM), "None|3"),
    ],
)
async def test_a_worker_sees_its_own_card_alone(
    pool: LocalPool, tmp_path: Path, device: Device, visible: str
) -> None:
    source = """
    import os
    from bsadvise.model.measurements import OutOfMemory
    def answer(command, enter):
        names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
        return OutOfMemory(message="|".join(str(os.environ.get(name)) for name in names))
    """
    job = write_job(tmp_path, source, device=device)
    async with pool.open(job) as session:
        assert (await session.run(EVALUATE)).outcome == OutOfMemory(message=visible)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((sys.executable, "-c", "raise ImportError('no torch')"), "ImportError: no torch"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "by SIGKILL"),
        (("/nonexistent/python",), "/nonexistent/python cannot be started"),
        ((sys.executable, "-c", NO_ROOM), "no room for another process"),
    ],
)
async def test_a_fork_server_that_cannot_start_says_why(
    write: WriteJob, command: tuple[str, ...], words: str
) -> None:
    pool = LocalPool(command)
    async with pool.open(write("")) as session:
        outcome = (await session.run(EVALUATE)).outcome
    await pool.close()
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.WORKER
    assert words in outcome.fault.message


async def test_what_surrounds_user_code(
    pool: LocalPool, write: WriteJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    source = """
    import json, resource
    def answer(command, enter):
        with open("found", "w") as file:
            json.dump({
                "environment": dict(os.environ),
                "first_environment": open("/proc/self/environ").read(),
                "status": open("/proc/self/status").read(),
                "fds": sorted(os.listdir("/proc/self/fd")),
                "session": os.getsid(0),
                "pid": os.getpid(),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
                "stdin": sys.stdin.read(),
                "argv": sys.argv,
            }, file)
        return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        assert (await session.run(EVALUATE)).outcome == Evaluation(held_out_loss=1.0)
    found = json.loads((tmp_path / "found").read_text(encoding="utf-8"))
    assert found["environment"]["OMP_NUM_THREADS"] == "2"
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "hush" not in found["first_environment"] + str(found["environment"])
    assert "NoNewPrivs:\t1\n" in found["status"]
    # The pipe, where stacks are written, the file that is being written and the listing.
    assert found["fds"] == ["0", "1", "2", "3", "4", "5", "6"]
    assert found["session"] == found["pid"]
    assert found["core"] == [0, 0]
    assert found["stdin"] == ""
    assert found["argv"] == ["model.py"]


async def test_between_a_workers_messages_others_have_their_turns(
    pool: LocalPool, write: WriteJob
) -> None:
    source = """
    from advisor.pipe.framing import frame
    from advisor.pipe.v1 import pipe_pb2
    def answer(command, enter):
        hooks = (pipe_pb2.EnteringHook(hook=str(number)) for number in range(2000))
        os.write(3, b"".join(frame(pipe_pb2.FromWorker(entering_hook=hook)) for hook in hooks))
        return Evaluation(held_out_loss=1.0)
    """
    seen = set()
    async with pool.open(write(source)) as session:
        command = asyncio.ensure_future(session.run(EVALUATE))
        while not command.done():
            await asyncio.sleep(0)
            worker = session._worker  # type: ignore[attr-defined] # of this pool's sessions
            seen.add(worker and worker.hook)
    assert command.result().outcome == Evaluation(held_out_loss=1.0)
    assert len(seen) > 1000  # A turn after each message, or nearly.
