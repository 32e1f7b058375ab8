"""Airflow's own operator and trigger: a task that waits on its worker, and one that defers."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import Any

import pytest
from bsadvise import Advice, BsadviseError
from bsadvise.v1 import advice_pb2, recommendation_pb2
from bsadvise.wire.messages import from_message

from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import state_changed, wire_advice

pytest.importorskip("airflow.sdk")
ours: Any = pytest.importorskip("bsadvise.integrations.airflow")

pytestmark = pytest.mark.filterwarnings("default")  # What libraries warn of is theirs.

_ADVICE = from_message(wire_advice(loader_workers=0), Advice).to_dict()


def _operator(daemon: FakeDaemon, **settings: Any) -> Any:
    return ours.BsadviseOperator(
        task_id="advise", model_file="train.py", arguments=["--epochs", "3"],
        address=daemon.address, options={"budget_s": 30}, **settings,
    )  # fmt: skip


@pytest.mark.usefixtures("script")
def test_a_task_answers_with_what_xcom_can_keep(daemon: FakeDaemon) -> None:
    answer = _operator(daemon).execute({})
    assert answer == _ADVICE == json.loads(json.dumps(answer))
    (job,) = daemon.jobs.values()
    assert job.recommendation.request.budget_s == 30
    assert list(job.recommendation.request.source.arguments) == ["--epochs", "3"]


def _deferred(operator: Any) -> Any:
    """Return what Airflow is told when a task defers."""
    deferred = importlib.import_module("airflow.sdk.exceptions").TaskDeferred
    with pytest.raises(deferred) as raised:
        operator.execute({})
    return raised.value


def _payload(trigger: Any) -> Any:
    """Return what a trigger's event says, once it was kept and made anew as Airflow does."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    made = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def only_event() -> Any:
        (event,) = [event async for event in made.run()]
        return event.payload

    return asyncio.run(only_event())


@pytest.mark.usefixtures("script")
def test_a_deferred_task_goes_on_with_the_answer(daemon: FakeDaemon) -> None:
    operator = _operator(daemon, deferrable=True)
    deferred = _deferred(operator)
    payload = json.loads(json.dumps(_payload(deferred.trigger)))
    assert getattr(operator, deferred.method_name)({}, payload) == _ADVICE


@pytest.mark.usefixtures("script")
def test_a_deferred_task_fails_with_the_reason(daemon: FakeDaemon) -> None:
    refusal = advice_pb2.Refusal(code=advice_pb2.REFUSAL_CODE_NO_FIT, message="nothing fits")
    daemon.script = a_script(end=state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal))
    operator = _operator(daemon, deferrable=True)
    payload = _payload(_deferred(operator).trigger)
    with pytest.raises(BsadviseError, match="nothing fits"):
        operator.execute_complete({}, payload)


def test_a_deferrable_task_needs_a_daemon_that_stays() -> None:
    with pytest.raises(ValueError, match="address of a daemon"):
        ours.BsadviseOperator(task_id="advise", model_file="train.py", deferrable=True)


@pytest.mark.usefixtures("script")
def test_a_task_that_is_killed_stops_the_measuring(daemon: FakeDaemon) -> None:
    operator = _operator(daemon)
    operator.on_kill()  # Before anything was asked.
    operator.execute({})
    operator.on_kill()
    assert next(iter(daemon.jobs.values())).recommendation.cancel_requested
