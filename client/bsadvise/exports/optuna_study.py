"""Writes a study into an Optuna storage. Of the client, this alone imports optuna.

All of it is one transaction of the database: whatever interrupts it, nothing of the study is there,
and an earlier study that it was to replace still is. Optuna by itself commits each trial.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bsadvise.exports.study import Study, StudyTrial
from bsadvise.model.errors import ExportFailed, StorageUnusable

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

BATCH_SIZE = "effective_batch_size"
LEARNING_RATE = "learning_rate"

_METRIC = "held_out_loss"
_MARK = "bsadvise_job"
"""Attribute of the studies that were written here; no other is ever replaced."""


def write_optuna_study(study: Study, url: str, name: str, *, overwrite: bool = False) -> None:
    """Write a study into the database of an Optuna storage, all of it or nothing.

    Args:
        study: What to write.
        url: The database, as SQLAlchemy spells it: "sqlite:///study.db". Tables are made if there
            are none.
        name: The study's name there.
        overwrite: Whether to replace a study of that name that was exported before.

    Raises:
        StorageUnusable: The URL is none, or names no database that lasts.
        ExportFailed: Optuna is not installed; the database cannot be reached or written; or the
            name is taken.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ExportFailed("Optuna is not installed here; pip install 'bsadvise[optuna]'")
    import optuna  # noqa: PLC0415 - an extra, and slow to import

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _errors_told(url):
            storage = _open_storage(url)
            try:
                with _one_transaction(storage):
                    _make_room(storage, name, overwrite=overwrite)
                    _add_study(study, storage, name)
            finally:
                storage.remove_session()
                storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(verbosity)


def _open_storage(url: str) -> RDBStorage:
    from optuna.storages import RDBStorage  # noqa: PLC0415
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StorageUnusable(f"{url} is in memory: the study would be gone with this command")
    return RDBStorage(url)


@contextmanager
def _one_transaction(storage: RDBStorage) -> Iterator[None]:
    """Let what is done with a storage be one transaction, undone if it raises."""
    with storage.engine.connect() as connection, connection.begin():
        # SQLAlchemy's way of joining sessions into an outer transaction: theirs to undo, but not
        # to commit.
        storage.scoped_session.remove()
        storage.scoped_session.configure(bind=connection, join_transaction_mode="rollback_only")
        yield


@contextmanager
def _errors_told(url: str) -> Iterator[None]:
    """Say what went wrong with a database in our own errors."""
    from optuna.exceptions import DuplicatedStudyError, StorageInternalError  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except ArgumentError as error:  # not shown: it may hold a password
        raise StorageUnusable(
            "the storage is no database URL, such as sqlite:///study.db or "
            f"postgresql+psycopg://user@host/database ({error})"
        ) from error
    except DuplicatedStudyError as error:
        raise ExportFailed("a study of that name was made meanwhile") from error
    except ImportError as error:
        raise ExportFailed(f"the database's driver is not installed: {error}") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise ExportFailed(f"{_without_password(url)} cannot be written: {_root(error)}") from error
    except KeyError as error:  # Optuna tries again after a failure, and the study is undone by then
        where = _without_password(url)
        raise ExportFailed(f"{where} cannot be written: it failed midway; is it full?") from error
    except RuntimeError as error:  # Optuna's, where the tables are of another version
        raise ExportFailed(f"{_without_password(url)} cannot be written: {error}") from error


def _make_room(storage: RDBStorage, name: str, *, overwrite: bool) -> None:
    """Remove an earlier export of that name, if that is wanted.

    Raises:
        ExportFailed: The name is taken.
    """
    # Not asked for by its name: what is not found undoes the transaction.
    if all(found.study_name != name for found in storage.get_all_studies()):
        return
    study_id = storage.get_study_id_from_name(name)
    if _MARK not in storage.get_study_user_attrs(study_id):
        raise ExportFailed(
            f"the storage has a study {name} that bsadvise did not write; take another --name"
        )
    if not overwrite:
        raise ExportFailed(
            f"the storage has a study {name}; take another --name, or --overwrite to replace it"
        )
    storage.delete_study(study_id)


def _add_study(study: Study, storage: RDBStorage, name: str) -> None:
    import optuna  # noqa: PLC0415

    added = optuna.create_study(storage=storage, study_name=name, direction="minimize")
    for key, value in study.attributes.items():
        added.set_user_attr(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        added.set_metric_names([_METRIC])
    space = _search_space(study)
    added.add_trials(_frozen(trial, space) for trial in study.trials)


def _search_space(study: Study) -> dict[str, BaseDistribution]:
    from optuna.distributions import FloatDistribution, IntDistribution  # noqa: PLC0415

    return {
        BATCH_SIZE: IntDistribution(*study.batch_size_range, log=True),
        LEARNING_RATE: FloatDistribution(*study.learning_rate_range, log=True),
    }


def _frozen(trial: StudyTrial, space: dict[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial  # noqa: PLC0415

    params: dict[str, Any] = {
        BATCH_SIZE: trial.effective_batch_size,
        LEARNING_RATE: trial.learning_rate,
    }
    frozen = create_trial(
        state=TrialState[trial.state.name],
        value=trial.final_loss,
        params=params,
        distributions=space,
        user_attrs=dict(trial.attributes),
        # A violated constraint as Optuna 4 and the dashboard keep it; Optuna 5 reads it too.
        system_attrs={"constraints": [1.0 if trial.ran_out_of_memory else 0.0]},
        intermediate_values=dict(trial.losses),
    )
    # Optuna keeps local times without a zone.
    frozen.datetime_start = datetime.fromtimestamp(trial.started_at_s)
    frozen.datetime_complete = datetime.fromtimestamp(trial.ended_at_s)
    return frozen


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    return make_url(url).render_as_string(hide_password=True)


def _root(error: BaseException) -> BaseException:
    """Return the database's own words: Optuna and SQLAlchemy wrap them."""
    original = getattr(error, "orig", None) or error.__cause__
    return error if original is None else _root(original)
