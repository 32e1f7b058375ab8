"""What the processes of a worker take together is bounded, and passing it has an outcome."""

from __future__ import annotations

import asyncio
import os
import shutil
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from bsadvise.model.commands import Evaluate
from bsadvise.model.measurements import Evaluation, Failed, FaultCode, OutOfMemory, TimedOut

from advisor.pools import disk_usage, open_files, output, watchdog
from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, Limits
from advisor.ports.worker_pool import WorkerSession
from tests.support import scripted_worker
from tests.support.worker_jobs import WriteJob, write_job

LeftBehind = Callable[[], list[psutil.Process]]

EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)
HEALTHY = Evaluation(held_out_loss=1.0)
LIMITS = Limits(memory_bytes=400 << 20, process_count=24, scratch_bytes=32 << 20)

SPREAD_BYTES = 240 << 30
"""The tables of so many bytes take 480 MiB."""

MISBEHAVE = """
def answer(command, enter):
    enter("build_dataset")
    misbehave()
    signal.pause()
def misbehave():
"""

# Doubles eight times at the most, should nobody end it: 256 processes that only wait.
DEEP = "[(os.mkdir('d' * 200), os.chdir('d' * 200)) for os.x in range(30)]"
BOMB = "[os.fork() for _ in range(8)]"
LOOSE_BOMB = "[os.fork() or os.setsid() for _ in range(8)]"
ORPHANS = "[subprocess.Popen(['setsid', '-f', 'sleep', '1000']) for _ in range(40)]"


@pytest.fixture
async def pool() -> AsyncIterator[LocalPool]:
    pool = LocalPool(scripted_worker.COMMAND, Isolation(limits=LIMITS))
    yield pool
    await pool.close()


@pytest.fixture
def left_behind() -> LeftBehind:
    """Find what stems from the test, but for its fork server; the zoo's pool lasts a session."""
    this = psutil.Process()
    before = this.children(recursive=True)

    def find() -> list[psutil.Process]:
        known = [*this.children(), *before]
        return [process for process in this.children(recursive=True) if process not in known]

    return find


@pytest.mark.parametrize("bomb", [BOMB, LOOSE_BOMB, ORPHANS])
async def test_processes_are_counted(
    pool: LocalPool, write: WriteJob, bomb: str, left_behind: LeftBehind
) -> None:
    async with pool.open(write(MISBEHAVE + f"    {bomb}\n")) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.PROCESS_DIED
    assert outcome.fault.hook == "build_dataset"
    assert outcome.fault.message == "The code started more than 24 processes."
    assert left_behind() == []


async def test_memory_is_counted(pool: LocalPool, write: WriteJob, left_behind: LeftBehind) -> None:
    hoard = "[os.fork() for _ in range(2)]; hoard = bytearray(os.urandom(1 << 20)) * 150"
    source = MISBEHAVE + f"    {hoard}\n    signal.pause()\n"
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, OutOfMemory)
    assert outcome.is_host
    assert outcome.message.startswith("In build_dataset: The code took ")
    assert left_behind() == []


@pytest.mark.parametrize(
    "hoard",
    [
        "f = os.memfd_create('x'); [os.write(f, bytes(40 << 20)) for _ in range(12)]",
        "f = open(shared, 'wb'); [f.write(bytes(40 << 20)) for _ in range(12)]",
        "f = open(shared, 'wb'); os.unlink(shared); [f.write(bytes(40 << 20)) for _ in range(12)]",
        "[os.fork() for _ in range(3)]; hoard = os.urandom(1 << 20) * 60",
    ],
    ids=["memfd", "shared memory", "removed shared memory", "many small processes"],
)
async def test_memory_of_no_process_is_counted_and_removed(
    pool: LocalPool, write: WriteJob, hoard: str, left_behind: LeftBehind
) -> None:
    shared = Path("/dev/shm") / f"bsadvise-test-{os.getpid()}"
    source = f"{MISBEHAVE}    shared = {str(shared)!r}\n    {hoard}\n    signal.pause()\n"
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, OutOfMemory)
    assert not shared.exists()
    assert left_behind() == []


async def test_tables_of_pages_are_counted(pool: LocalPool, write: WriteJob) -> None:
    """Pages that are only read are the zero page, yet each two megabytes of them have a table."""
    spread = f"[mapped[place] for place in range(0, {SPREAD_BYTES}, 2 << 20)]"
    source = f"""{MISBEHAVE}    import mmap
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    mapped = mmap.mmap(-1, {SPREAD_BYTES}, flags, mmap.PROT_READ)
    mapped.madvise(mmap.MADV_NOHUGEPAGE)
    {spread}
    signal.pause()
"""
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, OutOfMemory)


@pytest.mark.parametrize(
    ("module", "limit", "misdeed", "message"),
    [
        (
            open_files,
            "MOST_DESCRIPTORS",
            "kept = [os.dup(0) for _ in range(50)]",
            "The code holds more than 40 descriptors open.",
        ),
        (
            open_files,
            "MOST_PIPES",
            "kept = [os.pipe() for _ in range(50)]",
            "The code holds more than 40 pipes and sockets open.",
        ),
        (
            watchdog,
            "MOST_THREADS",
            "[threading.Thread(target=signal.pause, daemon=True).start() for _ in range(45)]",
            "The code started more than 40 threads.",
        ),
    ],
)
async def test_what_the_kernel_keeps_for_processes_is_bounded(
    pool: LocalPool,
    write: WriteJob,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    limit: str,
    misdeed: str,
    message: str,
    left_behind: LeftBehind,
) -> None:
    monkeypatch.setattr(module, limit, 40)
    async with pool.open(write(f"{MISBEHAVE}    import threading\n    {misdeed}\n")) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == message
    assert left_behind() == []


@pytest.mark.rights
async def test_what_an_unreadable_program_holds_open_does_not_escape(
    pool: LocalPool, write: WriteJob, left_behind: LeftBehind
) -> None:
    """The kernel hides the files of whoever runs one from the same user; root finds what it has."""
    source = f"""{MISBEHAVE}    program = os.open("sleep", os.O_WRONLY | os.O_CREAT, 0o111)
    os.write(program, open({shutil.which("sleep")!r}, "rb").read())
    os.close(program)
    with open("checkpoints/held", "wb") as held:
        os.unlink(held.name)
        subprocess.Popen(["./sleep", "1000"], stdout=held)
        held.write(bytes(48 << 20))
"""
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message in {
        "The code runs a program whose open files cannot be read.",
        "The code wrote over 32 MiB to disk.",
    }
    assert left_behind() == []


async def test_checkpoints_are_counted(pool: LocalPool, write: WriteJob) -> None:
    source = MISBEHAVE + "    open('checkpoints/big', 'wb').write(bytes(48 << 20))\n"
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == "The code wrote over 32 MiB to disk."


async def test_one_process_is_refused_more_than_all_may_have(
    pool: LocalPool, write: WriteJob
) -> None:
    source = """
    def answer(command, enter):
        try:
            bytearray(1 << 30)
        except MemoryError:
            return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        assert (await session.run(EVALUATE)).outcome == HEALTHY


async def test_pages_that_processes_share_count_once(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look begins by trimming the output; at the second trim, the first look has ended.
    monkeypatch.setattr(output, "MOST_BYTES", 0)
    source = """
    def answer(command, enter):
        hoard = bytearray(os.urandom(1 << 20)) * 150
        children = [os.fork() for _ in range(3)]
        if 0 in children:
            signal.pause()
        for _ in range(2):
            os.write(1, b"x" * 10_000)
            while os.fstat(1).st_size >= 10_000:
                os.sched_yield()
        return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        assert (await session.run(EVALUATE)).outcome == HEALTHY


def is_there(note: Path) -> bool:
    """Return whether the directory whose path a note holds still exists."""
    return Path(note.read_text(encoding="utf-8")).exists()


@pytest.mark.parametrize(
    "misdeed",
    [
        "open(tempfile.gettempdir() + '/big', 'wb').write(bytes(48 << 20))",
        "[open(f'{tempfile.gettempdir()}/{i}', 'wb').write(bytes(1 << 20)) for i in range(48)]",
        "d = tempfile.mkdtemp(); f = open(d + '/x', 'wb'); os.chmod(d, 0); f.write(bytes(9 << 23))",
        "d = tempfile.mkdtemp(); os.chmod(d, 0o300); open(d + '/big', 'wb').write(bytes(48 << 20))",
        "f = tempfile.TemporaryFile(); f.write(bytes(48 << 20)); f.flush()",
        f"{DEEP}; open('big', 'wb').write(bytes(48 << 20))",
    ],
    ids=[
        "one file",
        "many files",
        "closed directories",
        "write-only directory",
        "without a name",
        "beyond the longest path",
    ],
)
async def test_scratch_is_counted_and_removed(
    pool: LocalPool, write: WriteJob, tmp_path: Path, misdeed: str
) -> None:
    source = f"import tempfile\nopen('where', 'w').write(tempfile.gettempdir()){MISBEHAVE}"
    source += "    os.chdir(tempfile.gettempdir())\n"
    async with pool.open(write(f"{source}    {misdeed}\n    signal.pause()\n")) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == "The code wrote over 32 MiB to disk."
    assert not is_there(tmp_path / "where")


@pytest.mark.parametrize(
    ("misdeed", "message"),
    [
        (
            "[(os.mkdir('d'), os.chdir('d')) for os.x in range(300)]",
            "The code nested directories more than 200 deep.",
        ),
        (
            "[open(str(i), 'w').close() for i in range(300)]",
            "The code made more than 250 temporary files and checkpoints.",
        ),
    ],
    ids=["nested without end", "empty files without end"],
)
async def test_scratch_of_no_size_is_counted_and_removed(
    pool: LocalPool,
    write: WriteJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    misdeed: str,
    message: str,
) -> None:
    monkeypatch.setattr(disk_usage, "MOST_ENTRIES", 250)
    source = f"import tempfile\nopen('where', 'w').write(tempfile.gettempdir()){MISBEHAVE}"
    source += f"    os.chdir(tempfile.gettempdir()); {misdeed}; signal.pause()\n"
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == message
    assert not is_there(tmp_path / "where")


async def test_endless_output_does_not_fill_the_disk(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MOST_BYTES", 1 << 20)
    source = """
    def answer(command, enter):
        size_bytes = 0
        while os.fstat(1).st_size >= size_bytes:
            size_bytes = os.fstat(1).st_size
            os.write(1, b"x" * 4095 + b"\\n")
        return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        assert (await session.run(EVALUATE)).outcome == HEALTHY


async def test_limits_hold_though_looking_at_them_fails_at_times(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: output.Output) -> None:
        raise OSError("no room on the disk of temporary files")

    monkeypatch.setattr(output.Output, "trim", fail)
    source = MISBEHAVE + f"    import time; time.sleep(1); {BOMB}\n"
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message == "The code started more than 24 processes."


async def test_another_session_goes_on(
    pool: LocalPool, write: WriteJob, tmp_path: Path, left_behind: LeftBehind
) -> None:
    (tmp_path / "calm").mkdir()
    calm = """
    import os, time
    from bsadvise.model.measurements import Evaluation
    def answer(command, enter):
        while command.evaluation_batch_size == 2 and not os.path.exists("others_have_ended"):
            time.sleep(0.01)
        return Evaluation(held_out_loss=os.getpid())
    """
    async with pool.open(write_job(tmp_path / "calm", calm)) as calm_session:
        first = (await calm_session.run(EVALUATE)).outcome
        lasting = Evaluate(time_limit_s=300, evaluation_batch_size=2)
        second = asyncio.create_task(calm_session.run(lasting))
        for number, bomb in enumerate((BOMB, LOOSE_BOMB, ORPHANS)):
            directory = tmp_path / str(number)
            directory.mkdir()
            source = textwrap.dedent(MISBEHAVE) + f"    {bomb}\n"
            job = write_job(directory, source, preamble="import os, signal, subprocess\n")
            async with pool.open(job) as session:
                await _go_off(session)
        (tmp_path / "calm" / "others_have_ended").touch()
        assert (await second).outcome == first  # Of the same process.
    assert left_behind() == []


async def _go_off(session: WorkerSession) -> None:
    """Let a bomb go off, and be ended by the watchdog or else by its time limit."""
    for limit_s in (1.0, 4.0, 16.0, 64.0):
        limit = Evaluate(time_limit_s=limit_s, evaluation_batch_size=1)
        outcome = (await session.run(limit)).outcome
        if not isinstance(outcome, TimedOut) or outcome.hook is not None:
            return


def test_directories_of_the_machine_are_nobodys_memory() -> None:
    """A worker that has not entered its namespaces, or has left them, finds the machine's own."""
    assert watchdog._memory_of(os.getpid(), "/") == 0
    assert watchdog._memory_of(os.getpid(), "/dev/shm") == 0
