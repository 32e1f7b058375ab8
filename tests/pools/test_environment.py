"""Which variables reach user code."""

from __future__ import annotations

import pytest

from advisor.pools.environment import worker_environment

NEEDED = """
PATH HOME LANG LC_ALL TMPDIR OMP_NUM_THREADS MKL_NUM_THREADS CUDA_HOME NCCL_P2P_DISABLE
HSA_OVERRIDE_GFX_VERSION ROCR_VISIBLE_DEVICES TORCH_HOME PYTORCH_CUDA_ALLOC_CONF HF_HOME
"""
PRIVATE = """
AWS_SECRET_ACCESS_KEY HF_TOKEN WANDB_API_KEY BSADVISE_TOKEN SSH_AUTH_SOCK DATABASE_URL
TORCH_HUB_TOKEN XPATH PATHX LD_PRELOAD
"""


@pytest.mark.parametrize("name", NEEDED.split())
def test_what_libraries_need_passes(name: str) -> None:
    assert worker_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("name", PRIVATE.split())
def test_everything_else_stays(name: str) -> None:
    assert worker_environment({name: "x"}) == {}
