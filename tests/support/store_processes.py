"""What processes of their own do to a store, for tests of several daemons on one database.

Run as ``python -m tests.support.store_processes claim|append PATH_OR_URL``; says what it did on
stdout, a line each time, after the store has said that it is durable.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from bsadvise.model.recommendation import Measured

from advisor.ports.clock import Clock
from advisor.ports.store import Store
from advisor.store.opening import open_store
from advisor.store.owners import is_owner_dead, this_owner
from tests.support.builders import a_measurement

LEASE_S = 600.0


class _RealClock(Clock):
    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


def open_shared(path: Path | str) -> Store:
    """Open a store as a daemon does: the machine's clock, and real owners of leases."""
    return open_store(path, clock=_RealClock(), is_owner_dead=is_owner_dead)


async def _claim_all(store: Store) -> None:
    while claim := await store.claim(this_owner(), lease_s=LEASE_S):
        print(claim.recommendation.recommendation_id, flush=True)  # noqa: T201 - the result
    print("done", flush=True)  # noqa: T201 - the parent waits for this
    sys.stdin.readline()  # and this stays alive, or the others would take its work over


async def _append_for_ever(store: Store) -> None:
    claim = await store.claim(this_owner(), lease_s=LEASE_S)
    assert claim is not None
    recommendation_id = claim.recommendation.recommendation_id
    while True:
        happening = Measured(measurement=a_measurement())
        event = await store.append(recommendation_id, this_owner(), happening)
        print(event.sequence, flush=True)  # noqa: T201 - the result


async def _main(action: str, target: str) -> None:
    store = open_shared(target)
    print("open", flush=True)  # noqa: T201 - the parent waits for this
    sys.stdin.readline()  # and this waits for all the others
    await {"claim": _claim_all, "append": _append_for_ever}[action](store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
