"""A control group is divided among workers where it is the daemon's own.

The tree is a stand-in of plain files, as few machines delegate a group to a test; where one
does, the kernel's own is divided too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor.pools.cgroup import WorkerGroup, find_delegation

FILES = ("cgroup.procs", "cgroup.kill", "pids.max", "memory.max", "memory.swap.max",
         "memory.oom.group")  # fmt: skip


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Return a group that holds this process alone."""
    (tmp_path / "own").write_text("1:name=x:/\n0::/service\n", encoding="ascii")
    group = tmp_path / "service"
    (group / "daemon").mkdir(parents=True)
    (group / "daemon" / "cgroup.procs").touch()
    (group / "cgroup.controllers").write_text("cpu memory pids\n", encoding="ascii")
    (group / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")
    (group / "cgroup.subtree_control").touch()
    return group


def test_the_daemon_makes_room_for_its_workers(group: Path) -> None:
    assert find_delegation(group.parent / "own", group.parent) is not None
    assert (group / "daemon" / "cgroup.procs").read_text(encoding="ascii") == str(os.getpid())
    assert (group / "cgroup.subtree_control").read_text(encoding="ascii") == "+memory +pids"


@pytest.mark.parametrize(
    ("name", "content"),
    [("cgroup.procs", f"1\n{os.getpid()}\n"), ("cgroup.controllers", "cpu hugetlb\n")],
    ids=["other programs", "no controllers"],
)
def test_what_is_not_its_own_is_left_alone(group: Path, name: str, content: str) -> None:
    (group / name).write_text(content, encoding="ascii")
    assert find_delegation(group.parent / "own", group.parent) is None
    assert (group / "cgroup.subtree_control").read_text(encoding="ascii") == ""


def test_a_machine_without_groups_has_none(tmp_path: Path) -> None:
    assert find_delegation(tmp_path / "own", tmp_path) is None


def test_a_worker_is_limited_moved_and_ended(group: Path) -> None:
    for name in FILES:
        (group / name).write_text("", encoding="ascii")
    worker = WorkerGroup(group)
    worker.limit(1 << 30)
    worker.add(42)
    worker.remove()
    found = {name: (group / name).read_text(encoding="ascii") for name in FILES}
    assert (found["cgroup.procs"], found["memory.max"]) == ("42", str(1 << 30))
    assert (found["memory.oom.group"], found["memory.swap.max"]) == ("1", "0")
    assert (found["cgroup.kill"], int(found["pids.max"]) > 0) == ("1", True)


def test_a_group_that_cannot_be_limited_is_removed(group: Path) -> None:
    delegation = find_delegation(group.parent / "own", group.parent)
    assert delegation is not None
    with pytest.raises(FileNotFoundError):  # Plain directories have no such files.
        delegation.make(42, None)
    assert list(group.glob("worker-*")) == []


DIVIDES = """
import json, os, subprocess, sys
from pathlib import Path
from advisor.pools.cgroup import find_delegation

root, name = map(Path, sys.argv[1:])
(root / name / "cgroup.procs").write_text(str(os.getpid()))
delegation = find_delegation(root=root)
workers = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
groups = [delegation.make(worker.pid, 64 << 20) for worker in workers]
inside = [int((group.path / "cgroup.procs").read_text()) for group in groups]
groups[0].remove()
ended = workers[0].wait()
last = subprocess.Popen(["sleep", "1000"])
groups.append(delegation.make(last.pid, None))
left = {group.path.name for group in delegation.workers()}
for group, worker in zip(groups[1:], (workers[1], last)):
    group.remove()
    worker.wait()
    group.remove_if_empty()
print(json.dumps([inside == [worker.pid for worker in workers], ended, sorted(left) == sorted(
    group.path.name for group in groups[1:]), delegation.workers() == []]))
"""


@pytest.fixture
def real_group() -> Iterator[Path]:
    """Make a group of the kernel's, in a tree whose controllers this user may hand on."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    trees = [Path(line.split()[1]) for line in mounts if line.split()[2] == "cgroup2"]
    for tree in trees:
        group = tree / f"bsadvise-test-{os.getpid()}"
        offered = (tree / "cgroup.controllers").read_text(encoding="ascii").split()
        divided = [f"+{name}" for name in ("memory", "pids") if name in offered]
        if not divided:
            continue
        try:
            (tree / "cgroup.subtree_control").write_text(" ".join(divided), encoding="ascii")
            group.mkdir()
        except OSError:
            continue
        yield group
        (group / "daemon").rmdir()
        group.rmdir()
        return
    pytest.skip("needs a control group of version 2 that this user may divide")


def test_the_kernel_divides_limits_and_ends(real_group: Path) -> None:
    divided = subprocess.run(
        [sys.executable, "-c", DIVIDES, real_group.parent, real_group.name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(divided.stdout) == [True, -signal.SIGKILL, True, True]
