"""Carries out searches to be recorded: a real daemon, real workers, a model file, this CPU."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from bsadvise import Client
from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.recommendation import Event, Measured, Recommendation, State
from bsadvise.model.request import AdviceOptions
from bsadvise.wire.plain import to_plain

from advisor.serialization import from_dict
from advisor.store.opening import open_store
from advisor.store.owners import is_owner_dead
from advisor.wiring import SystemClock
from tests.replay.recordings import Answer, AnsweredBy, Recording
from tests.support.daemon_process import start_daemon, wait_until_ready

T = TypeVar("T")


class Interruption(StrEnum):
    """What happens to a search after some measurements."""

    NONE = "none"
    KILL = "kill"
    """Its daemon is killed, and another one on the same state goes on."""
    CANCEL = "cancel"
    """Its client cancels it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search to be carried out for real.

    Attributes:
        description: What is searched for.
        model: The model file.
        options: What is asked for, beside the file.
        interruption: What happens on the way.
        after_measurements: After how many measurements it happens.
        daemon_settings: Lines of the daemon's bsadvise.toml.
    """

    description: str
    model: Path
    options: AdviceOptions
    interruption: Interruption = Interruption.NONE
    after_measurements: int = 0
    daemon_settings: tuple[str, ...] = ()


def carry_out(search: Search, package_version: str) -> tuple[Recording, Answer]:
    """Search, and return what was measured, and the answer that the daemon gave.

    The recording holds no answer yet. What the runner adds to advice is taken away from the
    daemon's answer.
    """
    with tempfile.TemporaryDirectory() as directory:
        recommendation_id = _run(search, Path(directory))
        recommendation, log = asyncio.run(_read(Path(directory), recommendation_id))
    log = tuple(_without_paths(entry, Measurement) for entry in log)
    is_cancelled = recommendation.state is State.CANCELLED
    recording = Recording(
        description=f"{search.description}. {_how(search)}",
        package_version=package_version,
        request=recommendation.request,
        device=recommendation.device,
        log=log,
        answered_by=AnsweredBy.BEST_SO_FAR if is_cancelled else AnsweredBy.PLAN,
    )
    refusal = recommendation.refusal
    if refusal is not None:
        return recording, _without_paths(refusal, Refusal)
    return recording, _unsigned(recommendation.advice)


def _run(search: Search, directory: Path) -> str:
    settings = directory / "bsadvise.toml"
    settings.write_text("\n".join(search.daemon_settings), encoding="utf-8")
    flags = ("--log-level", "error", "--config", str(settings))
    with start_daemon(directory, *flags) as daemon, Client(wait_until_ready(daemon)) as client:
        options: AdviceOptions = {"device": "cpu", "use_cache": False, **search.options}
        created = client.create_recommendation(search.model, **options)
        recommendation_id = created.recommendation_id
        events = client.watch(recommendation_id)
        if search.interruption is not Interruption.NONE:
            _wait_for(events, search.after_measurements)
        if search.interruption is Interruption.CANCEL:
            client.cancel(recommendation_id)
        if search.interruption is not Interruption.KILL:
            _exhaust(events)
            return recommendation_id
        daemon.kill()
    with start_daemon(directory, *flags) as daemon, Client(wait_until_ready(daemon)) as client:
        _exhaust(client.watch(recommendation_id))
    return recommendation_id


def _wait_for(events: Iterator[Event], measurement_count: int) -> None:
    for event in events:
        measurement_count -= isinstance(event.happening, Measured)
        if measurement_count <= 0:
            return
    raise ValueError("the search ended before it was to be interrupted")


def _exhaust(events: Iterator[Event]) -> None:
    for _ in events:
        pass


async def _read(directory: Path, recommendation_id: str) -> tuple[Recommendation, Log]:
    path = directory / "state" / "bsadvise.db"
    store = open_store(path, clock=SystemClock(), is_owner_dead=is_owner_dead)
    try:
        return await store.get(recommendation_id), await store.log(recommendation_id)
    finally:
        await store.close()


def _without_paths(value: T, cls: type[T]) -> T:
    """Return a value whose texts name no path of this machine's Python."""
    text = json.dumps(to_plain(value)).replace(sys.executable, "python")
    return from_dict(json.loads(text.replace(sys.prefix, "VENV")), cls)


def _unsigned(advice: Advice | None) -> Advice | None:
    return advice and replace(advice, fingerprint="", sandbox="")


def _how(search: Search) -> str:
    how = f"Measured by a daemon and its workers, of {search.model.name}"
    match search.interruption:
        case Interruption.KILL:
            return f"{how}; killed after {search.after_measurements} measurements, and resumed."
        case Interruption.CANCEL:
            return f"{how}; cancelled after {search.after_measurements} measurements."
        case _:
            return f"{how}."
