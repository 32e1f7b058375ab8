"""In namespaces of its own a worker finds nobody to harm, and leaves nothing."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from bsadvise.model.commands import Evaluate
from bsadvise.model.measurements import Evaluation, Failed, Outcome, OutOfMemory

from advisor.pools.local import LocalPool
from advisor.pools.processes import children_of, descendants_of
from advisor.pools.resource_limits import Isolation, Limits, shared_reach
from advisor.pools.sandbox import SandboxMissing, choose_sandbox
from tests.support import scripted_worker
from tests.support.worker_jobs import write_job

EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)
HEALTHY = Evaluation(held_out_loss=1.0)
LIMITS = Limits(memory_bytes=400 << 20, process_count=24, scratch_bytes=32 << 20)

PROBE = """
import ctypes, errno, os, resource, signal, socket, subprocess, tempfile
from bsadvise.model.measurements import *
def tried(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]
def say(**actions):
    found = {name: tried(action) for name, action in actions.items()}
    return Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message=repr(found)))
def answer(command, enter):
"""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    try:
        choose_sandbox("namespaces")
    except SandboxMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / "sources" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def ready(state_dir: Path) -> Path:
    """Return a pipe with a name, that the worker of job "two" opens when it has done its worst."""
    ready = state_dir / "checkpoints" / "two" / "ready"
    os.mkfifo(ready)
    ready.chmod(0o666)
    return ready


@pytest.fixture
async def pool(state_dir: Path) -> AsyncIterator[LocalPool]:
    reach = shared_reach(state_dir, state_dir, data_paths=(), allow_network=False)
    isolation = Isolation(limits=LIMITS, sandbox="namespaces", reach=reach)
    pool = LocalPool(scripted_worker.COMMAND, isolation)
    yield pool
    await pool.close()


async def run(pool: LocalPool, state_dir: Path, body: str, *, name: str = "one") -> Outcome:
    job = write_job(state_dir / "sources" / name, PROBE + body)
    checkpoint_dir = state_dir / "checkpoints" / name
    async with pool.open(replace(job, checkpoint_dir=checkpoint_dir)) as session:
        return (await session.run(EVALUATE)).outcome


async def probe(pool: LocalPool, state_dir: Path, body: str) -> dict[str, object]:
    outcome = await run(pool, state_dir, body)
    assert isinstance(outcome, Failed)
    assert outcome.fault.message.startswith("{"), outcome.fault
    found: dict[str, object] = ast.literal_eval(outcome.fault.message)
    return found


def is_proc_covered() -> bool:
    """Return whether something is mounted over a part of /proc, as in many containers."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(mount.split()[4].startswith("/proc/") for mount in mounts)


async def test_no_process_but_its_own_is_there(pool: LocalPool, state_dir: Path) -> None:
    daemon = os.getpid()
    found = await probe(
        pool,
        state_dir,
        f"""
    return say(
        limits=lambda: resource.prlimit({daemon}, resource.RLIMIT_CPU, (1, 1)),
        processors=lambda: os.sched_setaffinity({daemon}, {{0}}),
        priority=lambda: os.setpriority(os.PRIO_PROCESS, {daemon}, 19),
        signal=lambda: os.kill({daemon}, 0),
        parent=os.getppid,
        processes=lambda: sorted(name for name in os.listdir("/proc") if name.isdecimal()),
    )
""",
    )
    assert {found[name] for name in ("limits", "processors", "priority", "signal")} == {"ESRCH"}
    assert found["parent"] == 0
    if not is_proc_covered():  # Else the kernel allows no other.
        assert found["processes"] == ["1", "2"]


async def test_no_directory_of_others_can_be_named(pool: LocalPool, state_dir: Path) -> None:
    found = await probe(
        pool,
        state_dir,
        f"""
    return say(
        others=lambda: os.listdir("{state_dir}/sources"),
        mode=lambda: os.chmod("{state_dir}", 0),
        source=lambda: os.chmod("model.py", 0o777),
        system=lambda: os.utime("/usr"),
        home=lambda: os.listdir("/home"),
        own=lambda: os.chmod(tempfile.mkdtemp(), 0o755),
        first=lambda: os.listdir("/proc/1/root"),
    )
""",
    )
    assert (found["own"], found["home"]) == (None, "ENOENT")
    assert found["others"] in (["one"], "EACCES")  # The latter where there is Landlock too.
    assert {found[name] for name in ("mode", "source", "system")} <= {"EROFS", "EPERM"}
    assert found["first"] in {"EACCES", "EPERM"}
    assert os.access(state_dir, os.R_OK | os.W_OK | os.X_OK)


async def test_a_worker_of_roots_is_a_user_of_its_own(pool: LocalPool, state_dir: Path) -> None:
    found = await probe(
        pool,
        state_dir,
        """
    saved = open("/proc/self/status").read()
    checkpoints = os.path.join(os.path.dirname(os.path.dirname(os.getcwd())), "checkpoints/one")
    return say(
        user=os.geteuid,
        capabilities=lambda: int(saved.partition("CapEff:")[2].split()[0], 16),
        groups=os.getgroups,
        save=lambda: open(checkpoints + "/one", "w").close(),
    )
""",
    )
    assert found["save"] is None
    if os.geteuid() != 0:
        assert (found["user"], found["capabilities"]) == (os.geteuid(), 0)
    else:
        assert isinstance(found["user"], int)
        assert found["user"] > 0x70000000
        assert found["capabilities"] == 1 << 2  # CAP_DAC_READ_SEARCH


async def test_shared_memory_is_bounded_and_removed(pool: LocalPool, state_dir: Path) -> None:
    name = f"bsadvise-test-{os.getpid()}"
    found = await probe(
        pool,
        state_dir,
        f"""
    libc = ctypes.CDLL(None, use_errno=True)
    def fill(path, size_mib):
        with open(path, "wb") as file:
            for _ in range(size_mib):
                file.write(bytes(1 << 20))
    return say(
        scratch=lambda: fill(tempfile.gettempdir() + "/x", 64),
        shared=lambda: fill("/dev/shm/{name}", 1),
        memfd=lambda: os.memfd_create("x"),
        system_v=lambda: libc.shmget(0, 4096, 0o1600),
    )
""",
    )
    assert (found["scratch"], found["shared"]) == ("ENOSPC", None)
    assert (found["memfd"], found["system_v"]) == ("ENOSYS", -1)
    assert not (Path("/dev/shm") / name).exists()


LOOSE = """
    subprocess.Popen(["setsid", "-f", "sleep", "1000"])
"""
READY = """
    checkpoints = os.path.join(os.path.dirname(os.path.dirname(os.getcwd())), "checkpoints")
    open(checkpoints + "/two/ready", "w").close()
    signal.pause()
"""
STAYING = LOOSE + READY


async def test_what_a_worker_leaves_ends_with_it_and_nothing_else(
    pool: LocalPool, state_dir: Path, ready: Path
) -> None:
    staying = asyncio.create_task(run(pool, state_dir, STAYING, name="two"))
    await asyncio.to_thread(ready.read_bytes)
    ending = f"{LOOSE}    return Evaluation(held_out_loss=1.0)\n"
    assert await run(pool, state_dir, ending) == HEALTHY
    assert _names(os.getpid()).count("sleep") == 1
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    assert "sleep" not in _names(os.getpid())


async def test_a_killed_worker_is_a_measurement_and_the_next_one_is_well(
    pool: LocalPool, state_dir: Path, ready: Path
) -> None:
    running = asyncio.create_task(run(pool, state_dir, READY, name="two"))
    await asyncio.to_thread(ready.read_bytes)
    source_dir = state_dir / "sources" / "two"
    (worker,) = (pid for pid in descendants_of([os.getpid()]) if _is_in(pid, source_dir))
    os.kill(worker, signal.SIGKILL)
    outcome = await running
    assert isinstance(outcome, OutOfMemory)
    assert "killed by SIGKILL" in outcome.message
    assert await run(pool, state_dir, "    return Evaluation(held_out_loss=1.0)\n") == HEALTHY


@pytest.mark.parametrize("whom", ["wrapper", "server"])
async def test_a_fork_server_that_is_killed_leaves_nothing(
    pool: LocalPool, state_dir: Path, ready: Path, whom: str
) -> None:
    others = set(children_of(os.getpid()))  # Such as multiprocessing's tracker, of other tests.
    running = asyncio.create_task(run(pool, state_dir, STAYING, name="two"))
    await asyncio.to_thread(ready.read_bytes)
    (wrapper,) = set(children_of(os.getpid())) - others
    (server,) = children_of(wrapper)
    processes = [psutil.Process(pid) for pid in descendants_of([server])]
    os.kill(wrapper if whom == "wrapper" else server, signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=20)
    assert alive == []
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def _is_in(pid: int, directory: Path) -> bool:
    """Return whether a process works in a directory, by the name that it has for it."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == directory
    except OSError:
        return False


def _names(pid: int) -> list[str]:
    names = []
    for each in descendants_of([pid]):
        try:
            names.append(Path(f"/proc/{each}/comm").read_text(encoding="ascii").strip())
        except OSError:
            continue
    return names
