"""A database that an older bsadvise has made is brought up to date, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.recommendation import LOCAL, Measured, State, StateChanged
from bsadvise.wire.plain import to_plain, union_to_plain
from sqlalchemy import URL, Connection, create_engine, text

from advisor.store import schema
from advisor.store.database import make_engine, writing
from advisor.store.opening import open_store
from advisor.store.upcasts import WRITER_VERSION, upcast
from tests.support.builders import (
    NOW_S,
    a_device,
    a_measurement,
    a_recommendation,
    a_request,
    an_advice,
)
from tests.support.fake_clock import FakeClock
from tests.support.postgres import MakeDatabase
from tests.support.store_contract_base import LEASE_S

REQUEST = a_request()
DIGEST = REQUEST.source.digest
RECORDED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "fixtures" / "rows_0.1.0.json").read_text()
)
"""The rows of one recommendation, by table: what the daemon of 0.1.0 left in its database."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


REVISIONS = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][
    ::-1
]


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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
        "fingerprint": "a-fingerprint",
        "created_at_s": NOW_S,
        "updated_at_s": NOW_S,
        "cancel_requested": False,
    }
    if revision <= "0003":
        common["device_id"] = "cpu"
    if revision >= "0003":
        common["source_digest"] = DIGEST
    advice = json.dumps(to_plain(an_advice()))
    done = {"recommendation_id": "done", key: f"{prefix}1", "state": "succeeded", "advice": advice}
    held = {"recommendation_id": "held", key: f"{prefix}2", "state": "running"}
    lease = {"lease_owner": "dead", "lease_expires_at_s": NOW_S}
    _insert(connection, "recommendations", common | done | {"last_sequence": 2})
    _insert(connection, "recommendations", common | held | lease | {"last_sequence": 1})
    if revision >= "0004":
        for recommendation_id in ("done", "held"):
            device = {"device_id": "cpu", "position": 0, "host": ""}
            whose = {"recommendation_id": recommendation_id}
            is_leased = {"is_leased": recommendation_id == "held"}
            _insert(connection, "recommendation_devices", whose | device | is_leased)
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
    assert claim.device_ids == ("cpu",)
    # Its device is held until it ends.
    waiting = await store.create(a_recommendation())
    assert await store.claim("one", lease_s=LEASE_S) is None
    await store.finish("held", "one", StateChanged(state=State.CANCELLED))
    begun = await store.claim("one", lease_s=LEASE_S)
    assert begun is not None
    assert begun.recommendation.recommendation_id == waiting.recommendation_id
    await store.close()


def _fill_as_recorded(connection: Connection) -> None:
    """Write the rows that 0.1.0 has left of a recommendation."""
    for table, rows in RECORDED.items():
        for row in rows:
            # JSON has no bytes, and SQLite no booleans.
            changes: dict[str, Any] = {"cancel_requested": False} if "state" in row else {}
            if "bundle" in row:
                changes = {"bundle": bytes.fromhex(row["bundle"])}
            _insert(connection, table, row | changes)


async def _check_recorded(target: str | Path) -> None:
    (row,) = RECORDED["recommendations"]
    store = open_store(target, clock=FakeClock(NOW_S), is_owner_dead={"dead"}.__contains__)
    found = await store.get(row["recommendation_id"])
    log = await store.log(row["recommendation_id"])
    events = await store.events(row["recommendation_id"])
    await store.close()

    assert (found.planner_version, found.state) == ("0.1.0", State.SUCCEEDED)
    assert found.advice is not None
    old = json.loads(row["advice"])
    assert [caveat.text for caveat in found.advice.caveats] == old["caveats"]
    assert {caveat.code for caveat in found.advice.caveats} == {CaveatCode.UNSPECIFIED}
    assert found.advice.learning_rate == old["learning_rate"]
    assert len(events) == len(RECORDED["events"])
    assert events[-1].happening == StateChanged(state=State.SUCCEEDED, advice=found.advice)
    happenings = [event.happening for event in events]
    assert tuple(h.measurement for h in happenings if isinstance(h, Measured)) == log
    trains = [entry.command for entry in log if isinstance(entry.command, Train)]
    assert {train.origin for train in trains} == {
        None,
        TrialOrigin.REFERENCE,
        TrialOrigin.SUGGESTED,
    }
    for value in (found, *events):
        assert "unknown(" not in json.dumps(value.to_dict())


async def test_rows_of_0_1_0_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = make_engine(URL.create("sqlite", database=str(path)))
    with writing(engine).begin() as connection:
        _upgrade(connection, "0003")
        _fill_as_recorded(connection)
    engine.dispose()

    await _check_recorded(path)


async def test_rows_of_0_1_0_on_postgres(make_postgres_database: MakeDatabase) -> None:
    url = make_postgres_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        _upgrade(connection, "0003")
        _fill_as_recorded(connection)
    engine.dispose()

    await _check_recorded(url)


def test_what_is_in_the_present_form_is_left_as_it_is() -> None:
    advice = an_advice(caveats=(Caveat(code=CaveatCode.NO_SANDBOX, text="Beware."),))
    row = to_plain(advice) | {WRITER_VERSION: "0.1.0"}
    assert upcast(row) == row
    newer = {WRITER_VERSION: "99.0.0", "caveats": ["a form of its own"]}
    assert upcast(newer) == newer


@pytest.mark.parametrize("revision", REVISIONS)
async def test_on_sqlite(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "store.db"
    engine = make_engine(URL.create("sqlite", database=str(path)))
    with writing(engine).begin() as connection:
        _upgrade(connection, revision)
        _fill(connection, revision)
    engine.dispose()

    await _check(path)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_on_postgres(make_postgres_database: MakeDatabase, revision: str) -> None:
    url = make_postgres_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        _upgrade(connection, revision)
        _fill(connection, revision)
    engine.dispose()

    await _check(url)
