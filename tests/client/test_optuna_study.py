"""A study in an Optuna storage: what Optuna reads of it, and what happens when it cannot be."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from bsadvise.exports.optuna_study import write_optuna_study
from bsadvise.exports.study import Study, StudyTrial, TrialState
from bsadvise.model.errors import ExportFailed, StorageUnusable
from optuna.storages import RDBStorage

from tests.support.builders import NOW_S

ATTRIBUTES = {"bsadvise_job": "job-1", "answer": {"learning_rate": 0.1}}


def a_trial(number: int, state: TrialState = TrialState.COMPLETE) -> StudyTrial:
    return StudyTrial(
        number=number,
        state=state,
        effective_batch_size=32 << number,
        learning_rate=0.1,
        losses={5: 1.0, 10: 0.5 + number},
        started_at_s=NOW_S,
        ended_at_s=NOW_S + 7,
        ran_out_of_memory=state is TrialState.FAIL,
        attributes={"trial": number, "seed_repeat_losses": [0.5]},
    )


STUDY = Study(
    trials=(
        a_trial(0, TrialState.PRUNED), a_trial(1), a_trial(2, TrialState.FAIL), a_trial(3),
    ),
    attributes=ATTRIBUTES,
)  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def names_in(url: str) -> list[str]:
    storage = RDBStorage(url)
    names = [study.study_name for study in storage.get_all_studies()]
    storage.engine.dispose()
    return names


def test_optuna_reads_what_was_written(url: str) -> None:
    write_optuna_study(STUDY, url, "one")

    storage = RDBStorage(url)
    study = optuna.load_study(study_name="one", storage=storage)
    trials = study.get_trials()
    assert [trial.state.name for trial in trials] == ["PRUNED", "COMPLETE", "FAIL", "COMPLETE"]
    assert [trial.value for trial in trials] == [0.5, 1.5, None, 3.5]
    assert trials[1].params == {"effective_batch_size": 64, "learning_rate": 0.1}
    batch_sizes = trials[1].distributions["effective_batch_size"]
    assert batch_sizes == optuna.distributions.IntDistribution(32, 256, log=True)
    assert trials[2].intermediate_values == {5: 1.0, 10: 2.5}
    assert trials[1].user_attrs == {"trial": 1, "seed_repeat_losses": [0.5]}
    assert [trial.system_attrs["constraints"] for trial in trials] == [[0], [0], [1], [0]]
    assert {trial.duration.total_seconds() for trial in trials if trial.duration} == {7.0}
    assert study.user_attrs == ATTRIBUTES
    assert study.direction.name == "MINIMIZE"
    assert study.metric_names == ["held_out_loss"]
    assert study.best_trial.number == 1
    storage.engine.dispose()


def test_a_name_is_taken_once(url: str) -> None:
    write_optuna_study(STUDY, url, "one")
    write_optuna_study(STUDY, url, "two")

    with pytest.raises(ExportFailed, match="has a study one; take another --name"):
        write_optuna_study(STUDY, url, "one")
    assert sorted(names_in(url)) == ["one", "two"]


def test_an_export_is_replaced_when_that_is_asked_for(url: str) -> None:
    write_optuna_study(STUDY, url, "one")
    shorter = Study(trials=STUDY.trials[:2], attributes=ATTRIBUTES)

    write_optuna_study(shorter, url, "one", overwrite=True)

    storage = RDBStorage(url)
    (study,) = storage.get_all_studies()
    assert len(storage.get_all_trials(study._study_id)) == 2
    storage.engine.dispose()


def test_a_study_of_somebody_elses_is_never_replaced(url: str) -> None:
    storage = RDBStorage(url)
    optuna.create_study(storage=storage, study_name="one")
    storage.engine.dispose()

    with pytest.raises(ExportFailed, match="did not write"):
        write_optuna_study(STUDY, url, "one", overwrite=True)
    assert names_in(url) == ["one"]


KILLED = """
import os, signal, sys
from tests.client.test_optuna_study import ATTRIBUTES, STUDY
from bsadvise.exports.optuna_study import write_optuna_study
from bsadvise.exports.study import Study

class Trials(tuple):
    passes = 0
    def __iter__(self):
        self.passes += 1
        if self.passes < 3:  # once for each range of the search space, before any is written
            return super().__iter__()
        return self.until_killed()
    def until_killed(self):
        yield from STUDY.trials[:2]
        os.kill(os.getpid(), signal.SIGKILL)

study = Study(trials=Trials(STUDY.trials), attributes=ATTRIBUTES)
write_optuna_study(study, sys.argv[1], "one", overwrite=True)
"""


@pytest.mark.parametrize("is_replacing", [False, True])
def test_a_killed_export_leaves_what_was_there(url: str, *, is_replacing: bool) -> None:
    if is_replacing:
        write_optuna_study(STUDY, url, "one")

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, url], cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip

    assert killed.returncode == -signal.SIGKILL
    assert names_in(url) == ["one"] * is_replacing
    write_optuna_study(STUDY, url, "one", overwrite=is_replacing)
    storage = RDBStorage(url)
    (study,) = storage.get_all_studies()
    assert len(storage.get_all_trials(study._study_id)) == len(STUDY.trials)
    storage.engine.dispose()


def test_what_optuna_refuses_leaves_nothing(url: str) -> None:
    unsound = Study(trials=(*STUDY.trials, STUDY.trials[0]), attributes={"no": object()})

    with pytest.raises(TypeError):
        write_optuna_study(unsound, url, "one")
    assert names_in(url) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("study.db", "no database URL"),
        ("nosuch://user:secret@host/x", "no database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_what_is_no_storage(bad: str, words: str) -> None:
    with pytest.raises(StorageUnusable, match=words) as caught:
        write_optuna_study(STUDY, bad, "one")
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="unable to open database file"):
        write_optuna_study(STUDY, f"sqlite:///{tmp_path}/absent/study.db", "one")
    with pytest.raises(ExportFailed, match="refused") as caught:
        write_optuna_study(STUDY, "postgresql+psycopg://user:secret@127.0.0.1:1/x", "one")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at as one " * 10)

    with pytest.raises(ExportFailed, match="not a database"):
        write_optuna_study(STUDY, f"sqlite:///{path}", "one")
