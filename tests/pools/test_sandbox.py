"""In a sandbox user code reaches its own files and the data paths, and nothing else."""

from __future__ import annotations

import ast
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise.model.commands import Evaluate, InspectTask, ObserveScript, RunScript, TimeLoader
from bsadvise.model.measurements import Failed, LoaderTimes
from bsadvise.model.observation import (
    Observation,
    ObservationEnd,
    Place,
    PlacedValue,
    PlaceKind,
    Quantity,
    ScriptRun,
)
from bsadvise.model.request import EntryKind

from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, Reach, private_reach, shared_reach
from advisor.pools.sandbox import SandboxMissing, choose_sandbox
from advisor.ports.worker_pool import WorkerJob
from tests.support import scripted_worker
from tests.support.worker_jobs import write_job

pytestmark = pytest.mark.rights

COMMANDS = Path(__file__).parents[1] / "scripts" / "commands"
EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)

# Tries each in turn and says how it went.
PROBE = """
import os, socket, subprocess, sys, tempfile
from bsadvise.model.measurements import Failed, Fault, FaultCode
QUIET = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
def tried(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    except subprocess.CalledProcessError:
        return "exit code"
    return "ok"
def send_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"secret", ("127.0.0.1", 9))
def answer(command, enter):
    actions = {{
        "state": lambda: open("{state}/bsadvise.db").read(),
        "key": lambda: open("{home}/.ssh/id").read(),
        "notes": lambda: open("{home}/notes").read(),
        "data": lambda: open("{data}/set").read(),
        "change data": lambda: open("{data}/set", "w"),
        "bundle": lambda: open("model.py").read(),
        "change bundle": lambda: open("model.py", "a"),
        "checkpoint": lambda: open("{checkpoints}/one", "w").close(),
        "scratch": lambda: tempfile.NamedTemporaryFile().close(),
        "shared memory": lambda: tempfile.NamedTemporaryFile(dir="/dev/shm").close(),
        "tcp": lambda: socket.create_connection(("127.0.0.1", {port}), timeout=5).close(),
        "udp": send_datagram,
        "local sockets": lambda: socket.socketpair()[0].close(),
        "signal": lambda: os.kill({pid}, 0),
        "environment": lambda: open("/proc/{pid}/environ").read(),
        "by a child": lambda: subprocess.run(["cat", "{home}/notes"], **QUIET).check_returncode(),
    }}
    message = repr({{name: tried(action) for name, action in actions.items()}})
    return Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message=message))
"""

WITHIN = ("data", "bundle", "checkpoint", "scratch", "shared memory", "local sockets")
PROCESSES = ("signal", "environment")
OUTSIDE = ("state", "key", "change data", "change bundle", "tcp", "udp")

KINDS = ("landlock", "bwrap", "namespaces")


def needs(kind: str) -> str:
    try:
        return choose_sandbox(kind)
    except SandboxMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in (".ssh/id", "notes", "data/set"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret", encoding="utf-8")
    return home


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    state_dir = tmp_path / "state"
    (state_dir / "sources" / "digest").mkdir(parents=True)
    (state_dir / "bsadvise.db").write_text("secret", encoding="utf-8")
    return state_dir


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def probe_job(state_dir: Path, home: Path, port: int) -> WorkerJob:
    checkpoint_dir = state_dir / "checkpoints" / "one"
    checkpoint_dir.mkdir(parents=True)
    source = PROBE.format(
        state=state_dir, home=home, data=home / "data", checkpoints=checkpoint_dir,
        port=port, pid=os.getpid(),
    )  # fmt: skip
    job = write_job(state_dir / "sources" / "digest", source)
    return replace(job, checkpoint_dir=checkpoint_dir)


async def probe(kind: str, reach: Reach, job: WorkerJob) -> dict[str, str]:
    pool = LocalPool(scripted_worker.COMMAND, Isolation(sandbox=kind, reach=reach))
    try:
        async with pool.open(job) as session:
            outcome = (await session.run(EVALUATE)).outcome
    finally:
        await pool.close()
    assert isinstance(outcome, Failed)
    assert outcome.fault.message.startswith("{"), outcome.fault
    found: dict[str, str] = ast.literal_eval(outcome.fault.message)
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stranger_reaches_the_data_paths_alone(
    kind: str, state_dir: Path, home: Path, port: int
) -> None:
    reach = shared_reach(state_dir, home, data_paths=(home / "data",), allow_network=False)
    found = await probe(needs(kind), reach, probe_job(state_dir, home, port))
    assert {found[name] for name in WITHIN} == {"ok"}
    assert "ok" not in {found[name] for name in (*OUTSIDE, "notes", "by a child", *PROCESSES)}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_user_reaches_all_but_what_opens_doors(
    kind: str, state_dir: Path, home: Path, port: int
) -> None:
    reach = private_reach(state_dir, home, allow_network=False)
    found = await probe(needs(kind), reach, probe_job(state_dir, home, port))
    assert {found[name] for name in (*WITHIN, "notes")} == {"ok"}
    assert "ok" not in {found[name] for name in OUTSIDE}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_network_can_be_opened(kind: str, state_dir: Path, home: Path, port: int) -> None:
    reach = private_reach(state_dir, home, allow_network=True)
    found = await probe(needs(kind), reach, probe_job(state_dir, home, port))
    assert (found["tcp"], found["udp"], found["state"] == "ok") == ("ok", "ok", False)


async def test_without_a_sandbox_all_is_open(state_dir: Path, home: Path, port: int) -> None:
    found = await probe("off", Reach(), probe_job(state_dir, home, port))
    assert set(found.values()) == {"ok"}


LOADING = """
import torch
NUM_WORKERS = 2
def build_model():
    return torch.nn.Linear(4, 1)
def build_dataset():
    return torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
"""


TRAINING = """
import socket, torch
from torch.utils.data import DataLoader, TensorDataset
open("losses.txt", "w").close()
try:
    socket.create_connection(("127.0.0.1", 9), timeout=5)
except OSError:
    pass
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (x,) in DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=8, num_workers=1):
    model(x).mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_torch_and_the_processes_of_a_loader_work(
    kind: str, state_dir: Path, home: Path
) -> None:
    reach = shared_reach(state_dir, home, data_paths=(), allow_network=False)
    job = write_job(state_dir / "sources" / "digest", LOADING)
    job = replace(job, checkpoint_dir=state_dir)
    pool = LocalPool(isolation=Isolation(sandbox=needs(kind), reach=reach))
    try:
        async with pool.open(job) as session:
            profile = (await session.run(InspectTask(time_limit_s=60))).outcome
            assert not isinstance(profile, Failed)
            times = TimeLoader(time_limit_s=60, batch_size=8, measure_s=0.1)
            for command in (times, replace(times, num_workers=2)):
                outcome = (await session.run(command)).outcome
                assert isinstance(outcome, LoaderTimes)
                assert outcome.processor_time_per_batch_s is not None
        # A script in a copy of its files, in processes of its own.
        (job.source_dir / job.entry_path).write_text(TRAINING, encoding="utf-8")
        async with pool.open(replace(job, entry_kind=EntryKind.SCRIPT)) as session:
            observing = ObserveScript(time_limit_s=60, step_count=5)
            observation = (await session.run(observing)).outcome
            running = RunScript(time_limit_s=60, values=(), step_count=6, measure_s=60)
            run = (await session.run(running)).outcome
        assert isinstance(run, ScriptRun), run
        assert (run.step_count, len(run.step_times_s)) == (6, 3)
        assert run.peak_bytes
        assert isinstance(observation, Observation), observation
        assert observation.step_count == 5
        assert observation.reference is not None
        assert all(place.is_confirmed for place in observation.reference.where)
        assert [path.name for path in job.source_dir.iterdir() if path.is_file()] == ["model.py"]
    finally:
        await pool.close()


async def test_what_a_command_starts_is_observed_in_it(state_dir: Path, home: Path) -> None:
    reach = shared_reach(state_dir, home, data_paths=(), allow_network=False)
    job = write_job(state_dir / "sources" / "digest", "")
    shutil.copytree(COMMANDS, job.source_dir, dirs_exist_ok=True)
    job = replace(
        job,
        checkpoint_dir=state_dir,
        entry_kind=EntryKind.COMMAND,
        entry_path="launch.py",
        arguments=("loader", "--bs", "{batch}"),
    )
    place = Place(quantity=Quantity.MICRO_BATCH_SIZE, kind=PlaceKind.PLACEHOLDER, name="{batch}")
    command = RunScript(
        time_limit_s=300,
        values=(PlacedValue(place=place, after=32),),
        step_count=6,
        measure_s=300,
    )
    pool = LocalPool(isolation=Isolation(sandbox=choose_sandbox("auto"), reach=reach))
    try:
        async with pool.open(job) as session:
            run = (await session.run(command)).outcome
    finally:
        await pool.close()
    assert isinstance(run, ScriptRun), run
    assert run.end is ObservationEnd.ENOUGH_STEPS
    assert (run.step_count, len(run.step_times_s)) == (6, 3)
    assert run.setting is not None
    assert run.setting.micro_batch_size == 32
    assert run.peak_bytes


def test_the_strongest_that_works_is_chosen() -> None:
    assert choose_sandbox("off") == "off"
    assert choose_sandbox("auto") in {"off", "landlock", "bwrap", "namespaces"}
