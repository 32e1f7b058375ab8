"""An epoch's end: its steps agree with what is dropped, which is only what does harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.data.epoch import about_drop_last, drop_last, steps_per_epoch
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from tests.support.builders import a_device, a_request, an_inspection


def view_of(size: int | None, *, batch_norm_layers: int = 0) -> LogView:
    inspection = an_inspection(dataset_size=size, batch_norm_layer_count=batch_norm_layers)
    return LogView(a_request(), (a_device(),), (inspection,))


def plain(batch_size: int) -> Split:
    return Split(batch_size, 1, 1)


@pytest.mark.parametrize(
    ("size", "split", "layers", "dropped", "steps"),
    [
        (1000, plain(100), 0, False, 10),
        (1010, plain(100), 0, True, 10),
        (1030, plain(100), 0, False, 11),
        (10_010, plain(100), 0, False, 101),
        (10_001, plain(100), 1, True, 100),
        (10_001, plain(100), 0, False, 101),
        (90, plain(100), 1, False, 1),
        (1, plain(100), 1, False, 1),
        # Accumulated: of the last 10 the loader may leave out all, of the last 70 only 20.
        (1010, Split(50, 4, 1), 0, True, 5),
        (1070, Split(50, 4, 1), 0, False, 6),
        (1051, Split(50, 4, 1), 1, True, 6),
        # Replicas: 1,001 samples are 501 for each of two.
        (1001, Split(50, 1, 2), 1, True, 10),
    ],
)
def test_only_a_small_last_batch_is_dropped(
    size: int, split: Split, layers: int, *, dropped: bool, steps: int
) -> None:
    view = view_of(size, batch_norm_layers=layers)
    assert drop_last(view, split) is dropped
    assert steps_per_epoch(view, split) == steps
    assert len(list(about_drop_last(view, split))) == dropped


def test_the_reason_is_given() -> None:
    (lone,) = about_drop_last(view_of(10_001, batch_norm_layers=3), plain(100))
    assert "1 sample(s), on which batch normalisation cannot train" in lone.text
    (light,) = about_drop_last(view_of(1010), plain(100))
    assert "10 sample(s), which would weigh as much as one of 100" in light.text


def test_a_stream_has_no_end_to_speak_of() -> None:
    view = view_of(None, batch_norm_layers=1)
    assert drop_last(view, plain(100)) is None
    assert steps_per_epoch(view, plain(100)) is None
    assert not list(about_drop_last(view, plain(100)))


@given(
    size=st.integers(1, 5000),
    split=st.builds(Split, st.integers(1, 64), st.integers(1, 4), st.integers(1, 4)),
    layers=st.integers(0, 1),
)
def test_the_steps_are_those_that_such_a_loader_makes(size: int, split: Split, layers: int) -> None:
    view = view_of(size, batch_norm_layers=layers)
    indices = range(math.ceil(size / split.world_size))
    micro = [indices[i : i + split.micro_batch_size] for i in indices[:: split.micro_batch_size]]
    if drop_last(view, split) and len(micro[-1]) < split.micro_batch_size:
        micro.pop()
    steps = steps_per_epoch(view, split)
    assert steps == math.ceil(len(micro) / split.accumulation_steps)
    assert steps >= 1
    if layers and split.micro_batch_size > 1 and len(indices) >= split.micro_batch_size:
        assert drop_last(view, split) or len(micro[-1]) > 1 or steps == 1
