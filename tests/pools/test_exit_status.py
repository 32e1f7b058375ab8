"""What the end of a process is reported as."""

from __future__ import annotations

import signal

import pytest
from bsadvise.model.measurements import Failed, FaultCode, OutOfMemory

from advisor.pipe.framing import PIPE_LOST_EXIT_CODE
from advisor.pools.exit_status import ending, outcome_of_exit


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "ended by SIGSEGV"),
        (-signal.SIGBUS, "ended by SIGBUS"),
        (-signal.SIGTERM, "ended by SIGTERM"),
        (PIPE_LOST_EXIT_CODE, "lost its pipe"),
    ],
)
def test_a_death_is_a_fault_with_a_cause_a_place_and_a_fix(exit_code: int, words: str) -> None:
    outcome = outcome_of_exit(exit_code, hook="loss_fn", output="last words")
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.PROCESS_DIED
    assert words in outcome.fault.message
    assert outcome.fault.hook == "loss_fn"
    assert outcome.fault.output == "last words"
    assert outcome.fault.fix


def test_full_shared_memory_is_suspected_of_a_bus_error() -> None:
    outcome = outcome_of_exit(-signal.SIGBUS)
    assert isinstance(outcome, Failed)
    assert "/dev/shm" in str(outcome.fault)


def test_a_kill_is_the_machine_out_of_memory() -> None:
    outcome = outcome_of_exit(-signal.SIGKILL, hook="build_dataset")
    assert isinstance(outcome, OutOfMemory)
    assert outcome.is_host
    assert "in build_dataset" in outcome.message


def test_a_signal_without_a_name_has_its_number() -> None:
    assert ending(-(signal.SIGRTMIN + 1)) == f"by signal {signal.SIGRTMIN + 1}"
