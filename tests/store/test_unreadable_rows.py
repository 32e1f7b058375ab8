"""A row that this release cannot read costs its own recommendation, and nobody else's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import Measured, State, StateChanged
from bsadvise.model.values import Unknown
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from advisor.domain.errors import RecordUnreadable
from advisor.store.opening import open_store
from advisor.store.rows import to_event, to_listed, to_measurement
from advisor.store.sql import SqlStore
from tests.support.builders import a_gpu, a_measurement, a_recommendation
from tests.support.fake_clock import FakeClock
from tests.support.postgres import MakeDatabase
from tests.support.store_contract_base import LEASE_S, SUCCEEDED, running

Execute = Callable[..., None]

NOT_THIS = ('{"surprise": 1}', "no JSON", "[]", "null", '{"source": 7}', "[" * 200_000)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    make_database: MakeDatabase = request.getfixturevalue("make_postgres_database")
    return make_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    store = open_store(url, clock=FakeClock(), is_owner_dead=lambda owner: owner == "dead")
    yield store
    await store.close()


@pytest.fixture
def execute(url: str) -> Execute:
    def execute(statement: str, **values: str) -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(statement), values)
        engine.dispose()

    return execute


@pytest.mark.parametrize("content", NOT_THIS)
async def test_the_queue_and_the_lists_go_on(
    store: SqlStore, execute: Execute, content: str
) -> None:
    bad = await store.create(a_recommendation())
    good = await store.create(a_recommendation())
    execute(
        "UPDATE recommendations SET request = :content WHERE recommendation_id = :id",
        content=content,
        id=bad.recommendation_id,
    )
    assert (await store.get(bad.recommendation_id)).state is State.QUEUED

    claim = await store.claim("one", lease_s=LEASE_S)

    assert claim is not None
    assert claim.recommendation.recommendation_id == good.recommendation_id
    page = await store.list_page(page_size=10)
    assert [r.recommendation_id for r in page.recommendations] == [
        good.recommendation_id,
        bad.recommendation_id,
    ]
    listed = page.recommendations[-1]
    assert listed.state is State.FAILED
    assert listed.refusal is not None
    assert listed.refusal.code is RefusalCode.INTERNAL
    assert "cannot be read by release" in listed.refusal.message
    assert listed == await store.get(bad.recommendation_id)
    ending = (await store.events(bad.recommendation_id))[-1].happening
    assert isinstance(ending, StateChanged)
    assert ending.state is State.FAILED
    await store.finish(good.recommendation_id, "one", SUCCEEDED)
    assert await store.claim("one", lease_s=LEASE_S) is None
    await store.delete(bad.recommendation_id)


async def test_what_a_dead_daemon_ran_is_set_aside_and_its_device_is_free(
    store: SqlStore, execute: Execute
) -> None:
    bad = await running(store, "dead")
    execute("UPDATE recommendations SET device = '{}'")
    good = await store.create(a_recommendation())
    claim = await store.claim("one", lease_s=LEASE_S)
    assert claim is not None
    assert claim.recommendation.recommendation_id == good.recommendation_id
    assert (await store.get(bad.recommendation_id)).state is State.FAILED


async def test_a_device_that_nothing_runs_on_is_free(store: SqlStore, execute: Execute) -> None:
    await running(store)
    execute("UPDATE recommendations SET state = 'cancelled', lease_owner = NULL")
    waiting = await store.create(a_recommendation())
    claim = await store.claim("one", lease_s=LEASE_S)
    assert claim is not None
    assert claim.recommendation.recommendation_id == waiting.recommendation_id


async def test_one_that_waits_can_be_cancelled_and_deleted(
    store: SqlStore, execute: Execute
) -> None:
    bad = await store.create(a_recommendation())
    execute("UPDATE recommendations SET request = 'no JSON'")
    assert (await store.request_cancel(bad.recommendation_id)).state is State.CANCELLED
    await store.delete(bad.recommendation_id)


async def test_an_answer_that_cannot_be_read_is_no_answer(
    store: SqlStore, execute: Execute
) -> None:
    answered = await running(store)
    await store.finish(answered.recommendation_id, "one", SUCCEEDED)
    execute("UPDATE recommendations SET advice = '{}'")
    found = await store.get(answered.recommendation_id)
    assert (found.state, found.advice) == (State.FAILED, None)
    assert found.refusal is not None
    assert await store.find_answer(answered.fingerprint) is None


async def test_a_log_says_that_it_cannot_be_read_and_its_events_are_told(
    store: SqlStore, execute: Execute
) -> None:
    recommendation_id = (await running(store, device=a_gpu())).recommendation_id
    await store.append(recommendation_id, "one", Measured(measurement=a_measurement()))
    execute("""UPDATE events SET body = '{"measured": 7}' WHERE kind = 'measured'""")
    with pytest.raises(RecordUnreadable, match="cannot be read by release"):
        await store.log(recommendation_id)
    *_, last = await store.events(recommendation_id)
    assert isinstance(last.happening, Unknown)
    assert last.sequence == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(("source", "digest", "measured", "measurement", "writer_version"))
            | st.text(),
            inner,
        )
    ),
)


@given(JSON | st.text(), JSON)
def test_whatever_a_row_holds_it_can_be_listed(content: object, other: object) -> None:

    request = content if isinstance(content, str) else json.dumps(content)
    row = cast(
        Any,
        SimpleNamespace(
            recommendation_id="a",
            request_key="local one",
            request=request,
            device=json.dumps(other),
            fingerprint="f",
            state="queued",
            created_at_s=0.0,
            updated_at_s=0.0,
            cancel_requested=False,
            advice=None,
            refusal=None,
            principal="local",
            source_digest="d",
            budget_s=60.0,
            sequence=1,
            at_s=0.0,
            kind="measured",
            body=request,
        ),
    )
    assert to_listed(row).refusal is not None
    assert to_event(row).sequence == 1
    with contextlib.suppress(RecordUnreadable):
        to_measurement(request)
