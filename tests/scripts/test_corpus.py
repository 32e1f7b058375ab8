"""What is found of each script of the corpus is what its source says, and nothing is changed."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from bsadvise.model.advice import Refusal
from bsadvise.model.commands import ObserveScript
from bsadvise.model.measurements import Measurement, Outcome
from bsadvise.model.observation import Observation, PlacedValue, Quantity
from bsadvise.model.request import EntryKind

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.observation import next_observation
from advisor.worker.scripts.child import call_in_child
from advisor.worker.scripts.counting import with_values
from advisor.worker.scripts.observation import observe, observe_here
from advisor.worker.scripts.surroundings import Script
from tests.scripts.truth import ANSWERED, REFUSED
from tests.support.builders import a_device, a_request, a_source
from tests.support.scripts import output_of_bare_run

CORPUS = Path(__file__).parent / "corpus"
STEP_COUNT = 20
LIMIT_S = 60.0


def corpus_script(directory: Path, name: str, *arguments: str) -> Script:
    """Return a copy of a script of the corpus with what is beside it."""
    source_dir = directory / "source"
    for folder in (CORPUS, CORPUS / "refused"):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, source_dir)
            return Script(source_dir=source_dir, entry_path="train.py", arguments=arguments)
        if (folder / f"{name}.py").is_file():
            source_dir.mkdir()
            shutil.copy(folder / f"{name}.py", source_dir)
            return Script(source_dir=source_dir, entry_path=f"{name}.py", arguments=arguments)
    raise LookupError(name)


def _contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_each_script_has_its_truth() -> None:
    names = {p.stem if p.is_file() else p.name for p in CORPUS.iterdir()} - {"refused"}
    assert names == ANSWERED.keys()
    refused = {p.stem if p.is_file() else p.name for p in (CORPUS / "refused").iterdir()}
    assert refused == REFUSED.keys()


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_true_is_found(name: str, tmp_path: Path) -> None:
    truth = ANSWERED[name]
    script = corpus_script(tmp_path, name, *truth.arguments)
    before = _contents(script.source_dir)

    outcome = observe(script, step_count=STEP_COUNT, limit_s=LIMIT_S)

    assert isinstance(outcome, Observation), outcome
    found = outcome.reference
    assert found is not None
    batch = found.place_of(Quantity.MICRO_BATCH_SIZE) or found.place_of(Quantity.BATCH_SIZE)
    rate = found.place_of(Quantity.LEARNING_RATE)
    assert (found.micro_batch_size, str(batch)) == truth.batch
    assert (found.learning_rate, rate and str(rate)) == truth.rate
    assert all(place.is_confirmed for place in (batch, rate) if place is not None)
    # What is told of a place is enough to say another value there.
    values = {
        Quantity.MICRO_BATCH_SIZE: found.micro_batch_size,
        Quantity.BATCH_SIZE: found.batch_size,
        Quantity.LEARNING_RATE: found.learning_rate,
    }
    for place in filter(None, (batch, rate)):
        value = values[place.quantity]
        assert value is not None
        changed = with_values(script, [PlacedValue(place=place, before=value, after=2 * value)])
        assert (changed.arguments, changed.changes) != (script.arguments, script.changes)
    assert (found.optimizer_name, found.dataset_size) == (truth.optimizer, truth.size)
    assert {field: getattr(found, field) for field, _ in truth.others} == dict(truth.others)
    assert outcome.step_count == truth.steps
    assert _objection(outcome) is None
    assert _contents(script.source_dir) == before


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_batch_to_choose_is_refused(name: str, tmp_path: Path) -> None:
    limit_s = 8.0 if name == "hangs" else LIMIT_S
    script = corpus_script(tmp_path, name)
    outcome = observe(script, step_count=STEP_COUNT, limit_s=limit_s)
    refusal = _objection(outcome, limit_s)
    assert refusal is not None
    assert REFUSED[name] in refusal.message


def test_data_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    outcome = observe(corpus_script(tmp_path, "download"), step_count=STEP_COUNT, limit_s=LIMIT_S)
    refusal = _objection(outcome)
    assert refusal is not None
    assert "It needs data from data.example.invalid" in refusal.message
    assert "--allow-network" in refusal.message


def _objection(outcome: Outcome, limit_s: float = LIMIT_S) -> Refusal | None:
    command = ObserveScript(time_limit_s=limit_s, step_count=STEP_COUNT)
    log = (Measurement(command=command, outcome=outcome, wall_s=1.0),)
    request = a_request(source=a_source(entry_kind=EntryKind.SCRIPT))
    step = next_observation(LogView(request, (a_device(),), log))
    assert not isinstance(step, ObserveScript)
    return step


def _bare(script: Script) -> bytes:
    """Return what a script prints that nothing is done to, run by the standard library."""
    os.chdir(script.source_dir)
    sys.argv[:] = [script.entry_path, *script.arguments]
    sys.path.insert(0, str(script.source_dir))
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        runpy.run_path(str(script.source_dir / script.entry_path), run_name="__main__")
    return printed.getvalue().encode()


def _observed(script: Script) -> bytes:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        observe_here(script, step_count=1_000_000)
    return printed.getvalue().encode()


@pytest.mark.parametrize("name", ANSWERED)
def test_observing_changes_no_digit(name: str, tmp_path: Path) -> None:
    script = corpus_script(tmp_path, name, *ANSWERED[name].arguments)
    observed = call_in_child(lambda: _observed(script), LIMIT_S)
    assert observed == call_in_child(lambda: _bare(script), LIMIT_S)
    assert observed.count(b".") >= 2  # Losses were printed.


def test_observing_changes_no_digit_beside_a_run_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = corpus_script(tmp_path, "flags", *ANSWERED["flags"].arguments)
    observe_here(script, step_count=1_000_000)
    assert capsys.readouterr().out == output_of_bare_run(script)
