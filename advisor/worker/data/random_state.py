"""The generators that models and data sets commonly draw from: Python's, NumPy's and torch's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import getstate, seed, setstate
from typing import Any

import torch
from torch import get_rng_state, manual_seed, set_rng_state


def seed_everything(number: int) -> None:
    """Seed every generator with a number."""
    manual_seed(number)
    seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number % (1 << 32))


def random_state() -> dict[str, Any]:
    """Return the state of every generator, as tensors and plain values."""
    version, numbers, next_gauss = getstate()
    state: dict[str, Any] = {
        "torch": get_rng_state(),
        "python": [version, _plain_tensor(numbers), next_gauss],
    }
    if _uses_cuda():
        state["cuda"] = torch.cuda.get_rng_state()
    if "numpy" in sys.modules:
        name, keys, *rest = sys.modules["numpy"].random.get_state()
        state["numpy"] = [name, _plain_tensor(keys.tolist()), *map(float, rest)]
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Give every generator the state that ``random_state`` returned."""
    set_rng_state(state["torch"].cpu())
    version, numbers, next_gauss = state["python"]
    setstate((version, tuple(numbers.tolist()), next_gauss))
    if "cuda" in state and _uses_cuda():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    if "numpy" in state and "numpy" in sys.modules:
        name, keys, position, has_gauss, cached = state["numpy"]
        sys.modules["numpy"].random.set_state(
            (name, keys.tolist(), int(position), int(has_gauss), cached)
        )


def _plain_tensor(numbers: Sequence[int]) -> torch.Tensor:
    # Wherever the user's code puts tensors by default.
    return torch.tensor(numbers, dtype=torch.int64, device="cpu")


def _uses_cuda() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave every generator as it was found, whatever the block draws."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)


def captured_random_state() -> Callable[[], None]:
    """Return what gives every generator the state that it has now.

    Quicker than ``random_state``, for use in every step; it cannot be saved.
    """
    torch_state, python_state = get_rng_state(), getstate()
    cuda_state = torch.cuda.get_rng_state() if _uses_cuda() else None
    numpy_random = sys.modules["numpy"].random if "numpy" in sys.modules else None
    numpy_state = None if numpy_random is None else numpy_random.get_state(legacy=False)

    def restore() -> None:
        set_rng_state(torch_state)
        setstate(python_state)
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)

    return restore
