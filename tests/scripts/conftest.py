"""A process as a worker has it: what the fork server has imported, and one thread."""

from __future__ import annotations

import gc

import pytest
import torch
import torch._dynamo  # An optimizer imports it otherwise, in each child anew.


@pytest.fixture(autouse=True, scope="session")
def _as_after_the_fork_server() -> None:
    torch.set_num_threads(1)
    # What was imported is no garbage: to look at it again copies its pages in each child.
    gc.collect()
    gc.freeze()
