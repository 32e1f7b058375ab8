"""Commands and outcomes cross the pipe unchanged; what a message cannot hold is said."""

from __future__ import annotations

import math

import pytest
from bsadvise.model.commands import Command, Train, TrialOrigin, Verify
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    Fault,
    FaultCode,
    GradientNorms,
    Outcome,
    OutOfMemory,
    StepRun,
    TrainRun,
)

from advisor.pipe.unions import command_message, command_of, outcome_message, outcome_of
from advisor.pipe.v1.pipe_pb2 import NumberedCommand, NumberedOutcome

COMMANDS: list[Command] = [
    Train(
        time_limit_s=1.5,
        micro_batch_size=8,
        accumulation_steps=2,
        learning_rate=0.1,
        step_count=3,
        evaluation_batch_size=8,
        start_checkpoint="reference",
        trial=0,
        origin=TrialOrigin.NEIGHBOUR,
    ),
    Verify(time_limit_s=1, micro_batch_size=1, accumulation_steps=1, learning_rate=1, step_count=1),
]
OUTCOMES: list[Outcome] = [
    StepRun(peak_bytes=2**40),
    Evaluation(),
    TrainRun(
        step_count=1,
        sample_count=16,
        train_losses=(0.1,),
        gradient_norms=GradientNorms(
            small_batch_size=8,
            big_batch_size=16,
            small_squared_norms=(1.0,),
            big_squared_norms=(0.5,),
        ),
    ),
    OutOfMemory(message="full", is_host=True),
    Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message="é\n", line=3)),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_cross_unchanged(command: Command) -> None:
    data = command_message(7, command).SerializeToString()
    message = NumberedCommand.FromString(data)
    assert message.command_id == 7
    assert command_of(message) == command


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcomes_cross_unchanged(outcome: Outcome) -> None:
    data = outcome_message(7, outcome).SerializeToString()
    message = NumberedOutcome.FromString(data)
    assert message.command_id == 7
    assert outcome_of(message) == outcome


def test_what_a_message_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation"):
        outcome_message(1, Evaluation(held_out_loss=1.0, evaluation_s=math.nan))


def test_half_a_surrogate_pair_is_written_out() -> None:
    message = outcome_message(1, OutOfMemory(message="at \udc80"))
    assert outcome_of(message) == OutOfMemory(message=r"at \udc80")


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ValueError, match="not exactly one"):
        outcome_of(NumberedOutcome(command_id=1))
    with pytest.raises(ValueError, match="not exactly one"):
        command_of(NumberedCommand(command_id=1))
