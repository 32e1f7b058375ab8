"""Several processes on one database, and one that is killed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest
from bsadvise.model.recommendation import Measured

from advisor.domain.errors import LeaseLost
from advisor.store.owners import this_owner
from tests.support.builders import a_gpu, a_measurement, a_recommendation
from tests.support.store_processes import LEASE_S, open_shared

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def daemon(action: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process on a store; it waits for ``go`` before it acts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.store_processes", action, str(path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> IO[str]:
    """Let a process act, and return what it prints."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout


def wait_until_open(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"


async def test_four_processes_claim_each_recommendation_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    with ExitStack() as stack:
        # All four find no database, and make it at the same time.
        processes = [stack.enter_context(daemon("claim", path)) for _ in range(4)]
        for process in processes:
            wait_until_open(process)
        store = open_shared(path)
        created = [await store.create(a_recommendation(device=a_gpu(i))) for i in range(200)]
        outputs = [go(process) for process in processes]
        claimed = Counter(
            line.strip() for output in outputs for line in iter(output.readline, "done\n")
        )
        for process in processes:
            go(process)
        assert [process.wait() for process in processes] == [0, 0, 0, 0]
    await store.close()

    assert claimed == Counter(r.recommendation_id for r in created)


async def test_four_processes_never_share_a_device(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_shared(path)
    sets = {}
    for number in range(120):
        gpus = [a_gpu((number * step) % 90) for step in (1, 7)] if number else [a_gpu(0)]
        device_ids = list(dict.fromkeys(gpu.device_id for gpu in gpus))
        created = await store.create(a_recommendation(device=gpus[0]), device_ids=device_ids)
        sets[created.recommendation_id] = device_ids
    with ExitStack() as stack:
        processes = [stack.enter_context(daemon("claim", path)) for _ in range(4)]
        for process in processes:
            wait_until_open(process)
        outputs = [go(process) for process in processes]
        claimed = [line.strip() for output in outputs for line in iter(output.readline, "done\n")]
        for process in processes:
            go(process)
        assert [process.wait() for process in processes] == [0, 0, 0, 0]
    await store.close()

    held = Counter(device_id for claim in claimed for device_id in sets[claim])
    assert len(claimed) > 10
    assert set(held.values()) == {1}


@pytest.mark.parametrize("event_count", [1, 7, 20])
async def test_a_killed_process_leaves_a_whole_log_and_its_lease(
    tmp_path: Path, event_count: int
) -> None:
    store = open_shared(tmp_path / "store.db")
    recommendation_id = (await store.create(a_recommendation())).recommendation_id
    with daemon("append", tmp_path / "store.db") as process:
        wait_until_open(process)
        output = go(process)
        acknowledged = [int(output.readline()) for _ in range(event_count)]
        process.kill()
        acknowledged += [int(line) for line in output]

    events = await store.events(recommendation_id, limit=acknowledged[-1] + 10)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    # The process may have died between a commit and its word of it, and no other way.
    assert len(events) - acknowledged[-1] in (0, 1)
    assert await store.log(recommendation_id) == (a_measurement(),) * (len(events) - 2)

    taken = await store.claim(this_owner(), lease_s=LEASE_S)
    assert taken is not None
    assert taken.is_takeover
    happening = Measured(measurement=a_measurement())
    event = await store.append(recommendation_id, this_owner(), happening)
    assert event.sequence == len(events) + 1
    with pytest.raises(LeaseLost):
        await store.append(recommendation_id, "another", happening)
    await store.close()
