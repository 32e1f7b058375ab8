"""One pool for all files, as a daemon has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from advisor.pools.local import LocalPool
from tests.support.zoo import open_zoo


@pytest.fixture(scope="session")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(state_dir: Path) -> AsyncIterator[LocalPool]:
    pool = open_zoo(state_dir)
    yield pool
    await pool.close()
