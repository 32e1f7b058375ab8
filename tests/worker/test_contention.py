"""How long threads have waited for processors, as the kernel tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.worker.loop.contention import processor_wait_s

BUSY = """
import os
os.sched_setaffinity(0, {core})
print("begun", flush=True)
while True: pass
"""

WAITING = """
import os, time
from advisor.worker.loop.contention import processor_wait_s
os.sched_setaffinity(0, {core})
waited_s, worked_s = processor_wait_s(), time.process_time()
while time.process_time() < worked_s + 0.3: pass
print(processor_wait_s() - waited_s)
"""


def _write(root: Path, thread: int, text: str) -> None:
    task = root / f"proc/self/task/{thread}"
    task.mkdir(parents=True)
    (task / "schedstat").write_text(text)


def test_all_threads_count(tmp_path: Path) -> None:
    _write(tmp_path, 7, "900 1500000000 12\n")
    _write(tmp_path, 8, "100 500000000 3\n")
    assert processor_wait_s(tmp_path) == 2.0


def test_a_kernel_that_does_not_say_is_no_trouble(tmp_path: Path) -> None:
    assert processor_wait_s(tmp_path) is None
    _write(tmp_path, 7, "")
    assert processor_wait_s(tmp_path) is None


@pytest.mark.timing
@pytest.mark.skipif(processor_wait_s() is None, reason="this kernel keeps no schedstats")
def test_waiting_for_a_processor_that_another_has_is_seen() -> None:
    core = {min(os.sched_getaffinity(0))}
    busy, waiting = ([sys.executable, "-c", text.format(core=core)] for text in (BUSY, WAITING))
    with subprocess.Popen(busy, stdout=subprocess.PIPE) as competitor:
        assert competitor.stdout is not None
        competitor.stdout.readline()
        try:
            done = subprocess.run(waiting, capture_output=True, text=True, check=True, timeout=60)
        finally:
            competitor.kill()
    assert float(done.stdout) > 0.03, "it has had the processor nearly to itself"
