"""The manual's backup, taken while a daemon writes, can be restored as the manual says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bsadvise.model.recommendation import Measured

from advisor.store.opening import open_store
from tests.support.builders import a_measurement, a_recommendation
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import SUCCEEDED, running

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"


def recipes() -> list[str]:
    """Return the manual's commands: the backup, then what restores it."""
    return re.findall(r"```sh\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)


def run(recipe: str, state_dir: Path, backup: Path) -> None:
    environment = os.environ | {"STATE_DIR": str(state_dir), "BACKUP": str(backup)}
    subprocess.run(["sh", "-ec", recipe], env=environment, check=True)


async def test_a_backup_holds_what_was_there_and_restores_it(tmp_path: Path) -> None:
    state_dir, backup = tmp_path / "state", tmp_path / "backup.db"
    clock = FakeClock()
    store = open_store(state_dir / "bsadvise.db", clock=clock, is_owner_dead=lambda _: False)
    held = await running(store)
    await store.append(held.recommendation_id, "one", Measured(measurement=a_measurement()))
    take, restore = recipes()

    run(take, state_dir, backup)

    await store.finish(held.recommendation_id, "one", SUCCEEDED)
    await store.create(a_recommendation())
    await store.close()
    (state_dir / "bsadvise.db-wal").write_bytes(b"left by a daemon that was killed")
    run(restore, state_dir, backup)
    restored = open_store(state_dir / "bsadvise.db", clock=clock, is_owner_dead=lambda _: False)
    page = await restored.list_page(page_size=10)
    assert page.recommendations == (held,)
    assert await restored.log(held.recommendation_id) == (a_measurement(),)
    await restored.close()
