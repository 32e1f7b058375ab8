"""Where a worker's caches go."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from advisor.worker.process.scratch import use_scratch

CACHES = ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH")


@pytest.mark.parametrize("is_confined", [False, True])
def test_a_cache_that_the_user_has_is_used_where_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_confined: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "environ", {CACHES[0]: "/elsewhere"})
    use_scratch(tmp_path, is_confined=is_confined)
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path)
    kept = [name for name in CACHES if not Path(os.environ[name]).is_relative_to(tmp_path)]
    assert kept == ([] if is_confined else [CACHES[0]])
