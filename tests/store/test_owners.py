"""Names of owners, and whether they still live."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.store.owners import is_owner_dead, this_owner

REPOSITORY = Path(__file__).parents[2]
SAY_OWNER = "from advisor.store.owners import this_owner; print(this_owner(), flush=True); input()"


def test_this_process_lives() -> None:
    assert this_owner() == this_owner()
    assert not is_owner_dead(this_owner())


def test_another_process_is_dead_once_it_is_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_OWNER],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert owner != this_owner()
        assert not is_owner_dead(owner)

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        is_dead_as_zombie = is_owner_dead(owner)

    assert is_dead_as_zombie
    assert is_owner_dead(owner)


def test_a_pid_that_was_given_again_is_another_process() -> None:
    machine, pid, started_s = this_owner().split(":")

    assert is_owner_dead(f"{machine}:{pid}:{float(started_s) - 1:.2f}")


@pytest.mark.parametrize("owner", ["", "one", "one:two", "elsewhere/x/1:1:1.00", ":::", "a:b:c"])
def test_nothing_is_known_of_owners_elsewhere(owner: str) -> None:
    assert not is_owner_dead(owner)


def test_a_malformed_name_on_this_machine_is_not_called_dead() -> None:
    machine, _, _ = this_owner().partition(":")

    assert not is_owner_dead(f"{machine}:x:1.00")
