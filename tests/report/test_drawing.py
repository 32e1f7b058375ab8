"""What is drawn: shapes and text alone, in colours and shapes that anyone can tell apart."""

from __future__ import annotations

import itertools
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from bsadvise.model.errors import ExportFailed
from bsadvise.report.drawing import cut_down, draw
from bsadvise.report.figures.marks import _MARKS
from bsadvise.report.figures.parts import (
    PALETTE,
    batch_axis,
    layer,
    layered,
    linear_axis,
    log_axis,
    rule_across,
)
from hypothesis import given
from hypothesis import strategies as st

positive = st.floats(1e-12, 1e12)


@given(values=st.lists(positive, min_size=1, max_size=5))
def test_a_logarithmic_axis_holds_its_values_and_few_ticks_within(values: list[float]) -> None:
    axis = log_axis("x", "x", values)
    low, high = axis["scale"]["domain"]
    assert 0 < low < min(values) <= max(values) < high
    ticks = axis["axis"]["values"]
    assert all(low <= tick <= high for tick in ticks)
    assert len(ticks) <= 20


@given(sizes=st.lists(st.integers(1, 1 << 31), min_size=1, max_size=5))
def test_an_axis_of_batches_has_powers_of_two(sizes: list[int]) -> None:
    axis = batch_axis("x", "x", sizes)
    ticks = axis["axis"]["values"]
    assert all(tick == 2 ** round(np.log2(tick)) for tick in ticks)
    assert 1 <= len(ticks) <= 14


def test_what_is_no_shape_is_left_out() -> None:
    made = cut_down(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()" viewBox="0 0 9 9">'
        "<script>x()</script><foreignObject><p/></foreignObject><style>p{}</style>"
        '<a href="javascript:x()"><text>no</text></a><image href="http://x"/>'
        '<g style="fill:red" onclick="x()"><path d="M0,0L1.23456,2" fill="url(http://x)"/>'
        '<text fill="#123456" class="a">yes</text></g></svg>'
    )
    assert ET.tostring(made, encoding="unicode") == (
        '<svg viewBox="0 0 9 9" font-family="sans-serif" font-size="12" fill="none">'
        '<g><path d="M0,0L1.2,2" /><text fill="#123456">yes</text></g></svg>'
    )


def test_a_figure_of_any_text_is_drawn() -> None:
    # The renderer ends the whole process on a character that XML cannot hold.
    text = 'a<b>&"\x00\x1b[31m\u202e\ud800\n'
    spec = layered(
        layer(
            [{"x": 1, "y": 2, "what": text}],
            {"type": "point"},
            x=linear_axis("x", text),
            y=linear_axis("y", "y"),
        ),
        *rule_across(1.0, text),
    )
    drawn = draw(spec)
    shown = "".join(drawn.itertext())
    assert r'a<b>&"\x00\x1b[31m\u202e\ud800' in shown


def test_what_is_missing_to_draw_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ExportFailed, match=r"pip install 'bsadvise\[report\]'"):
        draw(layered())


def test_each_standing_of_a_trial_has_a_shape_of_its_own() -> None:
    shapes = [shape for _, shape, _ in _MARKS.values()]
    assert len(set(shapes)) == len(shapes)


_SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
"""How linear RGB is seen: Machado, Oliveira & Fernandes, IEEE TVCG 15, 2009."""


@pytest.mark.parametrize("sight", _SIGHT)
def test_colours_beside_each_other_are_told_apart(sight: str) -> None:
    seen = [_lab(colour, np.array(_SIGHT[sight])) for colour in PALETTE]
    # Of a stack, parts that touch; a difference of 2 is just visible.
    for one, next_one in itertools.pairwise(seen):
        assert np.linalg.norm(one - next_one) > 15


def _lab(colour: str, sight: np.ndarray) -> np.ndarray:
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(sight @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(to_xyz @ seen / [0.9505, 1.0, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
