"""A database that an older bsadvise has made is brought up to date, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from bsadvise.model.recommendation import Measured, State, StateChanged
from bsadvise.wire.plain import to_plain, union_to_plain
from sqlalchemy import URL, Connection, create_engine, text

from advisor.domain.access import LOCAL
from advisor.store import schema
from advisor.store.database import make_engine, writing
from advisor.store.opening import open_store
from tests.support.builders import NOW_S, a_device, a_measurement, a_request, an_advice
from tests.support.fake_clock import FakeClock
from tests.support.postgres import MakeDatabase
from tests.support.store_contract_base import LEASE_S

REQUEST = a_request()
DIGEST = REQUEST.source.digest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


REVISIONS = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][
    ::-1
]


def _insert(connection: Connection, table: str, values: dict[str, Any]) -> None:
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - names are ours
    connection.execute(text(statement), values)


def _fill(connection: Connection, revision: str) -> None:
    """Write what a daemon of that time would have: one answered, one interrupted by its death."""
    key, prefix = ("request_id", "") if revision == "0001" else ("request_key", f"{LOCAL} ")
    common = {
        "request": json.dumps(to_plain(REQUEST)),
        "device": json.dumps(to_plain(a_device())),
        "device_id": "cpu",
        "fingerprint": "a-fingerprint",
        "created_at_s": NOW_S,
        "updated_at_s": NOW_S,
        "cancel_requested": False,
    }
    if revision >= "0003":
        common["source_digest"] = DIGEST
    advice = json.dumps(to_plain(an_advice()))
    done = {"recommendation_id": "done", key: f"{prefix}1", "state": "succeeded", "advice": advice}
    held = {"recommendation_id": "held", key: f"{prefix}2", "state": "running"}
    lease = {"lease_owner": "dead", "lease_expires_at_s": NOW_S}
    _insert(connection, "recommendations", common | done | {"last_sequence": 2})
    _insert(connection, "recommendations", common | held | lease | {"last_sequence": 1})
    happenings = {
        ("done", 1, "measured"): Measured(measurement=a_measurement()),
        ("done", 2, "state_changed"): StateChanged(state=State.SUCCEEDED, advice=an_advice()),
        ("held", 1, "measured"): Measured(measurement=a_measurement()),
    }
    for (recommendation_id, sequence, kind), happening in happenings.items():
        values = {
            "recommendation_id": recommendation_id,
            "sequence": sequence,
            "at_s": NOW_S,
            "kind": kind,
            "body": json.dumps(union_to_plain(happening)),
        }
        _insert(connection, "events", values)
    source = {"digest": DIGEST, "bundle": b"bundle", "size_bytes": 6, "created_at_s": NOW_S}
    _insert(connection, "sources", source)
    if revision != "0001":
        upload = {"principal": LOCAL, "digest": DIGEST, "size_bytes": 6, "uploaded_at_s": NOW_S}
        _insert(connection, "uploads", upload)


async def _check(target: str | Path) -> None:
    clock = FakeClock(NOW_S)
    store = open_store(target, clock=clock, is_owner_dead={"dead"}.__contains__)
    done = await store.get("done")
    assert (done.request, done.advice, done.principal) == (REQUEST, an_advice(), LOCAL)
    assert await store.log("held") == (a_measurement(),)
    assert [event.sequence for event in await store.events("done")] == [1, 2]
    assert await store.has_source(DIGEST, principal=LOCAL)
    assert (await store.find_in_use()).digests == {DIGEST}
    claim = await store.claim("one", lease_s=LEASE_S)
    assert claim is not None
    assert claim.recommendation.recommendation_id == "held"
    await store.finish("held", "one", StateChanged(state=State.CANCELLED))
    await store.close()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_on_sqlite(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "store.db"
    engine = make_engine(URL.create("sqlite", database=str(path)))
    with writing(engine).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection, revision)
    engine.dispose()

    await _check(path)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_on_postgres(make_postgres_database: MakeDatabase, revision: str) -> None:
    url = make_postgres_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection, revision)
    engine.dispose()

    await _check(url)
