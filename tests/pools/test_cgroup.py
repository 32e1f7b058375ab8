"""A control group is divided among workers where it is the daemon's own.

The tree is a stand-in of plain files: few machines delegate a group to a test. What the kernel then
does with it is the kernel's.
"""

from __future__ import annotations

import os
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
