"""Which task a job is for."""

from __future__ import annotations

import pytest
from bsadvise.model.observation import TrainingLoop
from bsadvise.model.request import EntryKind
from bsadvise.v1 import recommendation_pb2

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.loops import LOOPS
from advisor.worker.entries.registry import ENTRIES, make_task


def test_each_kind_has_an_entry() -> None:
    assert set(ENTRIES) == set(EntryKind)


def test_each_loop_of_a_script_has_its_task() -> None:
    assert set(LOOPS) == set(TrainingLoop)


def test_each_kind_makes_its_task() -> None:
    for kind, make in ENTRIES.items():
        number = recommendation_pb2.EntryKind.Value(f"ENTRY_KIND_{kind.name}")
        task = make_task(pipe_pb2.Job(entry_kind=number, seed=7), lambda _: None)
        assert isinstance(task, make)  # type: ignore[arg-type] # a class, as of now
        assert task.seed == 7


@pytest.mark.parametrize(("number", "message"), [(0, "unspecified"), (999, "999")])
def test_a_kind_that_is_not_known_is_refused(number: int, message: str) -> None:
    job = pipe_pb2.Job()
    job.entry_kind = number  # type: ignore[assignment] # from a later daemon
    with pytest.raises(ValueError, match=message):
        make_task(job, lambda _: None)
