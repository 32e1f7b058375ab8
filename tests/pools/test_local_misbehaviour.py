"""Whatever user code does to its process, the command has an outcome and the next one works."""

from __future__ import annotations

import pytest
import structlog
from bsadvise.model.commands import Evaluate, RunStep, TimeSteps
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    Fault,
    FaultCode,
    Outcome,
    OutOfMemory,
    StepRun,
    TimedOut,
)

from advisor.pools import worker_process
from advisor.pools.local import LocalPool
from advisor.pools.outcome_validation import MOST_CHARACTERS
from advisor.pools.output import TAIL_BYTES
from advisor.ports.worker_pool import WorkerSession
from tests.support.worker_jobs import WriteJob

EVALUATE = Evaluate(time_limit_s=60, evaluation_batch_size=1)
EVALUATE_TWO = Evaluate(time_limit_s=60, evaluation_batch_size=2)
HEALTHY = Evaluation(held_out_loss=1.0)

# The first command misbehaves; the directory remembers that for the next process.
ONCE = """
def answer(command, enter):
    enter("build_model")
    if not os.path.exists("again"):
        open("again", "w").close()
        misbehave()
    return Evaluation(held_out_loss=1.0)
def misbehave():
"""


async def outcomes(pool: LocalPool, write: WriteJob, misdeed: str) -> tuple[Outcome, Outcome]:
    """Return what comes of a misdeed, and of the next command."""
    async with pool.open(write(ONCE + f"    {misdeed}\n")) as session:
        return (await session.run(EVALUATE)).outcome, (await session.run(EVALUATE)).outcome


async def fault_of(pool: LocalPool, write: WriteJob, misdeed: str) -> Fault:
    """Return the fault that a misdeed is reported as, once the next command has worked."""
    first, second = await outcomes(pool, write, misdeed)
    assert second == HEALTHY
    assert isinstance(first, Failed)
    return first.fault


@pytest.mark.parametrize("misdeed", ["os._exit(3)", "sys.exit(3)"])
async def test_an_exit_is_named(pool: LocalPool, write: WriteJob, misdeed: str) -> None:
    fault = await fault_of(pool, write, f"print('words'); {misdeed}")
    assert fault.code is FaultCode.PROCESS_DIED
    assert fault.hook == "build_model"
    assert "exit code 3" in fault.message
    assert fault.fix is not None
    assert "sys.exit" in fault.fix
    assert fault.output == "words"


async def test_a_crash_is_named_and_shows_where_python_was(
    pool: LocalPool, write: WriteJob
) -> None:
    fault = await fault_of(pool, write, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert fault.code is FaultCode.PROCESS_DIED
    assert "SIGSEGV" in fault.message
    assert fault.output is not None
    assert "in misbehave" in fault.output


async def test_a_kill_that_is_not_ours_is_the_machine_out_of_memory(
    pool: LocalPool, write: WriteJob
) -> None:
    first, second = await outcomes(pool, write, "os.kill(0, signal.SIGKILL)")
    assert isinstance(first, OutOfMemory)
    assert first.is_host
    assert second == HEALTHY


async def stopped_in_a_hook(session: WorkerSession) -> TimedOut:
    """Return the outcome of a command that hangs in a hook, which a slow machine comes to late."""
    for limit_s in (1.0, 4.0, 16.0, 64.0):
        command = Evaluate(time_limit_s=limit_s, evaluation_batch_size=1)
        outcome = (await session.run(command)).outcome
        assert isinstance(outcome, TimedOut), outcome
        assert outcome.limit_s == limit_s
        if outcome.hook is not None:
            return outcome
    raise AssertionError("no hook was named")


async def test_silence_names_the_hook(pool: LocalPool, write: WriteJob) -> None:
    source = """
    def answer(command, enter):
        enter("build_model")
        if command.evaluation_batch_size == 1:
            signal.pause()
        return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        assert (await stopped_in_a_hook(session)).hook == "build_model"
        assert (await session.run(EVALUATE_TWO)).outcome == HEALTHY


async def test_only_the_end_of_much_output_is_kept(pool: LocalPool, write: WriteJob) -> None:
    misdeed = r"[print('\x1b[31mline', i) for i in range(200_000)]; os.write(1, b'\xff\0end'); 1/0"
    fault = await fault_of(pool, write, misdeed)
    assert fault.code is FaultCode.WORKER  # The scripted worker leaves it to its loop.
    assert "division by zero" in fault.message
    assert fault.output is not None
    assert fault.output.endswith("line 199999\n\ufffd\ufffdend")
    assert len(fault.output) <= TAIL_BYTES


async def test_a_defect_of_ours_is_called_that_and_logged(pool: LocalPool, write: WriteJob) -> None:
    with structlog.testing.capture_logs() as logs:
        fault = await fault_of(pool, write, "1/0")
    assert fault.message.startswith("bsadvise itself failed (please report it): ZeroDivisionError")
    (entry,) = [entry for entry in logs if entry["event"] == "a worker failed"]
    assert (entry["log_level"], entry["reason"]) == ("error", fault.message)
    assert "in misbehave" in entry["traceback"]


@pytest.mark.parametrize("figure", ["float('nan')", "float('inf')", "1 << 70"])
async def test_a_figure_that_is_no_number_is_a_fault_of_the_measurement(
    pool: LocalPool, write: WriteJob, figure: str
) -> None:
    source = f"""
    def answer(command, enter):
        return Evaluation(held_out_loss=1.0, evaluation_s={figure})
    """
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.MEASUREMENT
    assert outcome.fault.message.startswith("What was measured cannot be: ")
    assert "functions of PyTorch" in str(outcome.fault)


async def test_a_text_that_utf_8_cannot_carry_is_passed_on(
    pool: LocalPool, write: WriteJob
) -> None:
    source = r"""
    def answer(command, enter):
        return Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message="half \ud800"))
    """
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.code is FaultCode.USER_EXCEPTION
    assert outcome.fault.message == r"half \ud800"


async def test_output_belongs_to_its_command(pool: LocalPool, write: WriteJob) -> None:
    source = """
    def answer(command, enter):
        print("command", command.evaluation_batch_size)
        return Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message="boom"))
    """
    async with pool.open(write(source)) as session:
        for number in (1, 2):
            outcome = (
                await session.run(Evaluate(time_limit_s=60, evaluation_batch_size=number))
            ).outcome
            assert isinstance(outcome, Failed)
            assert outcome.fault.output == f"command {number}"


async def test_a_worker_without_its_pipe_is_ended(pool: LocalPool, write: WriteJob) -> None:
    fault = await fault_of(pool, write, "os.closerange(0, 256)")
    assert fault.code is FaultCode.PROCESS_DIED
    assert fault.message == "The process lost its pipe to the advisor."


async def test_a_worker_that_lives_on_without_its_pipe_is_ended(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "EXIT_WAIT_S", 0.1)
    fault = await fault_of(pool, write, "os.execlp('sleep', 'sleep', '1000')")
    assert fault.message == "The process lost its pipe to the advisor."


LIES = {
    "a frame above the cap": r"os.write(3, b'\xff\xff\xff\xff')",
    "bytes that do not parse": r"os.write(3, b'\0\0\0\3\xff\xff\xff')",
    "an empty message": r"os.write(3, b'\0\0\0\0')",
    "an answer to another command": "send(2, Evaluation(held_out_loss=1.0))",
    "figures of another command": "send(1, StepRun(peak_bytes=1))",
    "the daemon's own verdict": "send(1, TimedOut(limit_s=1.0))",
    "figures that cannot be": "send(1, Evaluation(held_out_loss=1.0), peak_bytes=-1)",
    "more memory than there is": "send(1, Evaluation(held_out_loss=1.0), peak_bytes=2**62)",
    "no number": "send(1, Evaluation(held_out_loss=1.0), loss=float('nan'))",
}
SEND = """
    from advisor.pipe.framing import frame
    from advisor.pipe.unions import outcome_message
    from advisor.pipe.v1.pipe_pb2 import FromWorker
    def send(command_id, outcome, peak_bytes=None, loss=None):
        message = FromWorker(outcome=outcome_message(command_id, outcome))
        if peak_bytes is not None:
            message.outcome.outcome.step_run.peak_bytes = peak_bytes
        if loss is not None:
            message.outcome.outcome.evaluation.held_out_loss = loss
        os.write(3, frame(message))
"""


@pytest.mark.parametrize("lie", LIES)
async def test_a_worker_that_lies_is_not_believed(
    pool: LocalPool, write: WriteJob, lie: str
) -> None:
    fault = await fault_of(pool, write, SEND.strip() + f"\n    {LIES[lie]}")
    assert fault.code in {FaultCode.MEASUREMENT, FaultCode.WORKER}
    assert "broke its protocol" in fault.message or "cannot be" in fault.message


async def test_a_child_that_returns_into_our_loop_does_not_answer(
    pool: LocalPool, write: WriteJob
) -> None:
    source = """
    def answer(command, enter):
        os.fork()
        return StepRun(peak_bytes=os.getpid())
    """
    command = RunStep(time_limit_s=60, micro_batch_size=1)
    async with pool.open(write(source)) as session:
        for _ in range(3):
            assert isinstance((await session.run(command)).outcome, StepRun)


async def test_a_fork_server_killed_by_user_code_is_replaced_once(
    pool: LocalPool, write: WriteJob
) -> None:
    kill_parent = "os.kill(os.getppid(), signal.SIGKILL); signal.pause()"
    async with pool.open(write(ONCE + f"    {kill_parent}\n")) as session:
        assert (await session.run(EVALUATE)).outcome == HEALTHY  # At the second attempt.


async def test_a_fork_server_that_was_stopped_is_replaced(
    pool: LocalPool, write: WriteJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "CLOSE_LIMIT_S", 0.2)
    source = """
    def answer(command, enter):
        if command.evaluation_batch_size == 1:
            os.kill(os.getppid(), signal.SIGSTOP)
            enter("build_model")
            signal.pause()
        return Evaluation(held_out_loss=os.getppid())
    """
    async with pool.open(write(source)) as session:
        first = (await session.run(EVALUATE_TWO)).outcome
        assert (await stopped_in_a_hook(session)).hook == "build_model"
        second = (await session.run(EVALUATE_TWO)).outcome
    assert isinstance(first, Evaluation)
    assert isinstance(second, Evaluation)
    assert first.held_out_loss != second.held_out_loss


async def test_user_code_that_always_kills_the_fork_server_is_at_fault(
    pool: LocalPool, write: WriteJob
) -> None:
    source = """
    def answer(command, enter):
        enter("build_model")
        if command.time_limit_s == 60:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        return Evaluation(held_out_loss=1.0)
    """
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
        assert isinstance(outcome, Failed)
        assert outcome.fault.code is FaultCode.PROCESS_DIED
        assert outcome.fault.hook == "build_model"
        healthy = Evaluate(time_limit_s=59, evaluation_batch_size=1)
        assert (await session.run(healthy)).outcome == HEALTHY


TIMED = TimeSteps(time_limit_s=50, micro_batch_size=1, measure_s=1)


@pytest.mark.parametrize(
    "lie",
    [
        "StepTimes(step_times_s=(30.0, 30.0), optimizer_times_s=(0.0, 0.0))",
        "StepTimes(step_times_s=(1.0,), optimizer_times_s=())",
    ],
)
async def test_more_time_than_there_was_is_not_believed(
    pool: LocalPool, write: WriteJob, lie: str
) -> None:
    async with pool.open(write(f"def answer(command, enter):\n    return {lie}\n")) as session:
        outcome = (await session.run(TIMED)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.code in {FaultCode.MEASUREMENT, FaultCode.WORKER}
    assert "cannot be" in outcome.fault.message or "of one length" in outcome.fault.message


async def test_texts_are_plain_and_short(pool: LocalPool, write: WriteJob) -> None:
    source = """
    def answer(command, enter):
        message = "\\x1b[2Jred\\x07" + "x" * 100_000
        return Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message=message))
    """
    async with pool.open(write(source)) as session:
        outcome = (await session.run(EVALUATE)).outcome
    assert isinstance(outcome, Failed)
    assert outcome.fault.message.startswith("red\ufffdxxx")
    assert MOST_CHARACTERS - 100 < len(outcome.fault.message) <= MOST_CHARACTERS
