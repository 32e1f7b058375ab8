"""Where the user's code was, from stacks as faulthandler writes them."""

from __future__ import annotations

import faulthandler
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from advisor.pools.stacks import place_in

BUNDLE = Path("/bundle")
LOADER = '  File "/usr/lib/torch/utils/data/dataloader.py", line 1297 in _try_get_data\n'
HELPER = """Thread 0x00007f (most recent call first):
  File "/usr/lib/python3/threading.py", line 324 in wait

"""
MAIN = """Current thread 0x00007e (most recent call first):
  File "/usr/lib/torch/nn/functional.py", line 7 in linear
  File "/bundle/parts/net.py", line 12 in forward
  File "/bundle/model.py", line 40 in loss_fn
  File "/advisor/worker/user/hooks.py", line 70 in guard
"""


def test_the_innermost_frame_of_the_users_is_the_place() -> None:
    place = place_in(HELPER + MAIN, BUNDLE)
    assert place is not None
    assert (place.file, place.line) == ("parts/net.py", 12)
    assert not place.waits_for_loader
    assert place.traceback == (
        '  File "model.py", line 40, in loss_fn\n  File "parts/net.py", line 12, in forward\n'
    )


def test_the_main_thread_counts_before_others() -> None:
    other = 'Thread 0x00007d (most recent call first):\n  File "/bundle/model.py", line 3 in poll\n'
    place = place_in(other + MAIN, BUNDLE)
    assert place is not None
    assert place.line == 12
    assert place_in(other, BUNDLE) is not None


def test_waiting_for_the_loader_shows() -> None:
    stack = MAIN.replace('  File "/usr/lib/torch/nn/functional.py", line 7 in linear\n', LOADER)
    place = place_in(stack, BUNDLE)
    assert place is not None
    assert place.waits_for_loader


def test_frames_elsewhere_are_no_place() -> None:
    head = "Current thread 0x1 (most recent call first):\n"
    for file in ("/bundle/../etc/passwd", "/bundle/site-packages/x.py", "/elsewhere/model.py"):
        assert place_in(f'{head}  File "{file}", line 3 in f\n', BUNDLE) is None


def test_stacks_are_read_as_this_python_writes_them() -> None:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file=file)
        file.seek(0)
        place = place_in(file.read().decode(), Path(__file__).parent)
    assert place is not None
    assert place.file == Path(__file__).name


@given(st.text(), st.lists(st.sampled_from([HELPER, MAIN, LOADER, "Thread 0x0\n", "\x00"])))
def test_whatever_is_written_is_survived(text: str, parts: list[str]) -> None:
    place = place_in(text.join(parts), BUNDLE)
    assert place is None or place.line > 0
