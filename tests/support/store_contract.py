"""What every implementation of the Store port must do.

A test class for an implementation inherits ``StoreContract`` and gives the fixture ``store``,
made with the fixtures ``clock`` and ``dead_owners``.
"""

from __future__ import annotations

from advisor.ports.store import Store
from tests.support.store_contract_devices import DeviceSetContract
from tests.support.store_contract_events import EventContract
from tests.support.store_contract_leases import LeaseContract
from tests.support.store_contract_resources import ResourceContract
from tests.support.store_contract_retention import RetentionContract
from tests.support.store_contract_sharing import SharingContract


class StoreContract(
    ResourceContract,
    LeaseContract,
    DeviceSetContract,
    EventContract,
    RetentionContract,
    SharingContract,
):
    async def test_closes_twice(self, store: Store) -> None:
        await store.close()
        await store.close()
