"""Killed at any point, a search is finished by whoever comes next, with the same advice.

Seed by seed another victim is killed after another event and another delay. What a worker's
death means is a measurement, and so its own matter; the fork server's is nobody's fault.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bsadvise.v1 import advice_pb2, recommendation_pb2

from tests.support.chaos import Chaos, Daemon, ending_of
from tests.support.invariants import find_violations

_LONGEST_DELAY_S = 0.015
"""Past the length of a command, so that a kill may fall into any part of one and after it."""

Undisturbed = tuple[advice_pb2.Advice, int]
"""The advice of a run, and how many events it has."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Return the advice of a run that nothing disturbs, and how many events it has."""
    chaos = Chaos(tmp_path_factory.mktemp("calm"))
    with chaos.daemon() as daemon:
        events = list(daemon.watch(daemon.create("calm")))
        yield ending_of(events), len(events)


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    chaos = Chaos(tmp_path)
    yield chaos
    assert chaos.wait_for_no_process() == []
    assert find_violations(chaos.state_dir) == []


def _watch_until(daemon: Daemon, recommendation_id: str, sequence: int) -> list[int]:
    """Watch until an event, and return the sequence numbers that were told."""
    seen = []
    for event in daemon.watch(recommendation_id):
        seen.append(event.sequence)
        if event.sequence >= sequence:
            break
    return seen


def _finish(
    daemon: Daemon, recommendation_id: str, seen: list[int]
) -> list[recommendation_pb2.Event]:
    """Watch on to the end, and check that no event was told twice or not at all."""
    events = list(daemon.watch(recommendation_id, after_sequence=seen[-1]))
    told = seen + [event.sequence for event in events]
    assert told == list(range(1, len(told) + 1))
    return events or list(daemon.watch(recommendation_id))


def test_a_killed_process_changes_nothing(
    chaos: Chaos, undisturbed: Undisturbed, kill_seed: int
) -> None:
    expected, event_count = undisturbed
    chance = random.Random(kill_seed)
    sequence = chance.randint(2, event_count - 1)
    delay_s = chance.uniform(0, _LONGEST_DELAY_S)
    is_daemon = chance.random() < 0.75
    with chaos.daemon() as daemon:
        recommendation_id = daemon.create("one")
        seen = _watch_until(daemon, recommendation_id, sequence)
        time.sleep(delay_s)
        if is_daemon:
            daemon.process.kill()
            daemon.process.wait()
        else:
            for fork_server in daemon.children()[:1]:
                fork_server.send_signal(signal.SIGKILL)
            assert ending_of(_finish(daemon, recommendation_id, seen)) == expected
            daemon.stop()
            return
    with chaos.daemon() as successor:
        assert ending_of(_finish(successor, recommendation_id, seen)) == expected
        successor.stop()


@pytest.mark.parametrize("is_killed", [False, True])
def test_cleaning_that_fails_costs_no_answer_and_is_made_good(
    chaos: Chaos, undisturbed: Undisturbed, *, is_killed: bool
) -> None:
    expected, event_count = undisturbed
    left_over = chaos.state_dir / "removed" / "left"
    (left_over / "closed").mkdir(parents=True, mode=0o000)
    with chaos.daemon(failpoints=3) as daemon:
        recommendation_id = daemon.create("one")
        seen = _watch_until(daemon, recommendation_id, event_count // 2)
        for fork_server in daemon.children()[:1]:
            fork_server.send_signal(signal.SIGKILL)
        if is_killed:
            daemon.process.kill()
            daemon.process.wait()
        else:
            assert ending_of(_finish(daemon, recommendation_id, seen)) == expected
            chaos.wait_for_nothing_left()
            daemon.stop()
    if is_killed:
        with chaos.daemon(failpoints=2) as successor:
            assert ending_of(_finish(successor, recommendation_id, seen)) == expected
            chaos.wait_for_nothing_left()
            successor.stop()


def test_one_of_two_daemons_is_killed_and_the_other_goes_on(
    chaos: Chaos, undisturbed: Undisturbed
) -> None:
    expected, event_count = undisturbed
    with chaos.daemon("one") as one, chaos.daemon("two") as two:
        recommendation_id = one.create("one")
        seen = _watch_until(two, recommendation_id, event_count // 2)
        worker_daemon, other = (one, two) if one.children() else (two, one)
        worker_daemon.process.kill()
        assert ending_of(_finish(other, recommendation_id, seen)) == expected
        for daemon in (one, two):
            daemon.stop()


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_costs_nothing(
    chaos: Chaos, undisturbed: Undisturbed, jump_s: float
) -> None:
    expected, event_count = undisturbed
    with chaos.daemon() as daemon:
        recommendation_id = daemon.create("one")
        seen = _watch_until(daemon, recommendation_id, event_count // 3)
        chaos.jump(jump_s)
        assert ending_of(_finish(daemon, recommendation_id, seen)) == expected
        daemon.stop()


def test_a_killed_worker_is_a_measurement(chaos: Chaos) -> None:
    # In a sandbox it does not see when to hold, nor is it the fork server's youngest child.
    with chaos.daemon("daemon", "--sandbox", "off") as daemon:
        with chaos.holding("TimeSteps"):
            recommendation_id = daemon.create("one")
            chaos.wait_for_held_worker()
            *_, worker = daemon.children()
            worker.kill()
            events = []
            for event in daemon.watch(recommendation_id):
                events.append(event)
                if event.happening.measured.measurement.command.HasField("time_steps"):
                    break
        assert events[-1].happening.measured.measurement.outcome.HasField("out_of_memory")
        events = _finish(daemon, recommendation_id, [event.sequence for event in events])
        assert events[-1].happening.state_changed.state in {
            recommendation_pb2.STATE_SUCCEEDED,
            recommendation_pb2.STATE_FAILED,
        }
        daemon.stop()
