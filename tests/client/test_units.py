"""Sizes and durations as people write and read them."""

from __future__ import annotations

import pytest
from bsadvise.model.units import (
    format_bytes,
    format_energy,
    format_number,
    format_rate,
    format_seconds,
    parse_bytes,
    parse_seconds,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("16GiB", 16 << 30),
        ("512MiB", 512 << 20),
        ("2g", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("1000000", 1_000_000),
        ("80GB", 80 * 10**9),
        ("0", 0),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "duration_s"), [("60s", 60), ("5m", 300), ("1h", 3600), ("90", 90), ("500ms", 0.5)]
)
def test_durations(text: str, duration_s: float) -> None:
    assert parse_seconds(text) == duration_s


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1 XB", "1e3", "nan", "inf", "1GiB2", "16 Gi B"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="16GiB"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "s", "-5s", "1 day", "five"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="60s"):
        parse_seconds(text)


@given(st.integers(0, 1 << 50))
def test_a_size_in_words_reads_back_to_half_a_percent(size_bytes: int) -> None:
    again = parse_bytes(format_bytes(size_bytes).replace(",", ""))

    assert again == pytest.approx(size_bytes, rel=0.005)


@given(st.floats(1e-9, 1.0))
def test_a_rate_in_words_reads_back_to_half_a_percent(rate: float) -> None:
    assert float(format_rate(rate)) == pytest.approx(rate, rel=0.006)


def test_figures_as_people_read_them() -> None:
    assert format_rate(4e-3) == "0.004"
    assert format_rate(2.8284e-4) == "2.83e-4"
    assert format_rate(0.05) == "0.05"
    assert format_number(12_400.4) == "12,400"
    assert format_seconds(0.0519) == "51.9 ms"
    assert format_seconds(41.5) == "41.5 s"
    assert format_seconds(300) == "5 min"
    assert format_bytes(12 << 30) == "12 GiB"


@pytest.mark.parametrize(
    ("energy_j", "text"),
    [
        (0, "0 J"),
        (850, "850 J"),
        (3_600, "1 Wh"),
        (17_110, "4.75 Wh"),
        (9e6, "2.5 kWh"),
        (36e9, "10,000 kWh"),
    ],
)
def test_energies(energy_j: float, text: str) -> None:
    assert format_energy(energy_j) == text
