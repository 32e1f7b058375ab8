"""A model file runs under the interpreter that has its packages."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bsadvise.model.commands import InspectTask
from bsadvise.model.measurements import Failed, FaultCode

from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, shared_reach
from advisor.pools.sandbox import SandboxMissing, choose_sandbox
from tests.support import scripted_worker
from tests.support.worker_jobs import write_job

INSPECT = InspectTask(time_limit_s=60)

MODEL = """
import sys
import only_here
def build_model():
    raise RuntimeError(sys.prefix, only_here.__name__, "grpc" in sys.modules)
def make_batch(batch_size):
    return {}
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return the interpreter of a virtual environment that has no package yet."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")]
    subprocess.run(command, check=True)
    return tmp_path / "venv" / "bin" / "python"


def give_packages(python: Path) -> None:
    """Let an environment have torch and what goes with it, but nothing of ours."""
    (site_packages,) = python.parent.parent.glob("lib/python*/site-packages")
    lent = Path(torch.__file__).parent.parent
    (site_packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
    (site_packages / "only_here.py").write_text("", encoding="utf-8")


@pytest.mark.parametrize("kind", ["off", "landlock", "bwrap", "namespaces"])
async def test_it_finds_its_packages_and_no_daemon(tmp_path: Path, python: Path, kind: str) -> None:
    try:
        sandbox = choose_sandbox(kind)
    except SandboxMissing as missing:
        pytest.skip(str(missing))
    give_packages(python)
    (tmp_path / "sources").mkdir()
    job = write_job(tmp_path / "sources", MODEL)
    roots = (Path(torch.__file__).parent.parent, python.parent.parent)
    reach = shared_reach(tmp_path, tmp_path, data_paths=roots, allow_network=False)
    pool = LocalPool(scripted_worker.COMMAND, Isolation(sandbox=sandbox, reach=reach))
    async with pool.open(replace(job, python=python, checkpoint_dir=tmp_path)) as session:
        outcome = (await session.run(INSPECT)).outcome
    await pool.close()
    assert isinstance(outcome, Failed)
    expected = f"RuntimeError: ('{tmp_path / 'venv'}', 'only_here', False)"
    assert outcome.fault.message == expected


async def test_what_it_lacks_is_named_with_the_line_that_installs_it(
    tmp_path: Path, python: Path
) -> None:
    pool = LocalPool()
    async with pool.open(replace(write_job(tmp_path, MODEL), python=python)) as session:
        outcome = (await session.run(INSPECT)).outcome
    await pool.close()
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.MODEL_FILE
    assert f"{python} -m pip install 'protobuf" in outcome.fault.message
