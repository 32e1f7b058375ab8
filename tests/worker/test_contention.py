"""How long threads have waited for processors, as the kernel tells."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from advisor.worker.loop.contention import processor_time_s, processor_wait_s

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


def _write(root: Path, thread: int, text: str, process: str = "self") -> None:
    task = root / f"proc/{process}/task/{thread}"
    task.mkdir(parents=True)
    (task / "schedstat").write_text(text)


def test_all_threads_count(tmp_path: Path) -> None:
    _write(tmp_path, 7, "900 1500000000 12\n")
    _write(tmp_path, 8, "100 500000000 3\n")
    _write(tmp_path, 12, "100 250000000 3\n", process="12")
    assert processor_wait_s(root=tmp_path) == 2.0
    assert processor_wait_s([12, "self"], tmp_path) == 2.25


def test_a_kernel_that_does_not_say_is_no_trouble(tmp_path: Path) -> None:
    assert processor_wait_s(root=tmp_path) is None
    assert processor_time_s(root=tmp_path) is None
    _write(tmp_path, 7, "")
    (tmp_path / "proc/self/stat").write_text("7 (x) R 1")
    assert processor_wait_s(root=tmp_path) is None
    assert processor_time_s([7], tmp_path) is None
    assert processor_time_s([]) is None


@pytest.mark.skipif(processor_time_s() is None, reason="this kernel keeps no process table")
def test_processor_time_is_that_of_threads_and_children_too() -> None:
    def spend() -> None:
        end_s = time.thread_time() + 0.1
        while time.thread_time() < end_s:
            pass

    before_s = processor_time_s() or 0.0
    thread = threading.Thread(target=spend)
    thread.start()
    thread.join()
    with_thread_s = processor_time_s() or 0.0
    assert with_thread_s > before_s + 0.08
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (processor_time_s([os.getpid()]) or 0.0) > with_thread_s + 0.18


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
