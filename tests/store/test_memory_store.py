"""The store that other tests use keeps the contract."""

from __future__ import annotations

import pytest

from advisor.ports.store import Store
from tests.support.fake_clock import FakeClock
from tests.support.memory_store import MemoryStore
from tests.support.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock, dead_owners: set[str]) -> Store:
        return MemoryStore(clock, dead_owners.__contains__)
