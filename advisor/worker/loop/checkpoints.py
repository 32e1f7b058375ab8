"""Keeps the states of trainings in files, so that others can go on from them."""

from __future__ import annotations

import dataclasses
from os import getpid
from pathlib import Path

from torch import load, save

from advisor.worker.loop.protocol import TrainingState


class Checkpoints:
    """Checkpoints of one job, by name. They hold tensors and plain values alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, name: str, state: TrainingState) -> None:
        """Keep a state under a name; all of it or nothing."""
        path = self._path(name)
        self._directory.mkdir(parents=True, exist_ok=True)
        # One writer a name, but a writer that was killed may have left its file behind.
        unfinished = path.with_suffix(f".{getpid()}.tmp")
        unfinished.unlink(missing_ok=True)  # It may be another user's.
        fields = [field.name for field in dataclasses.fields(state)]
        save({name: getattr(state, name) for name in fields}, unfinished)
        unfinished.replace(path)

    def load(self, name: str) -> TrainingState:
        """Return the state under a name, on the host: a training copies it to its device."""
        return TrainingState(**load(self._path(name), map_location="cpu", weights_only=True))

    def _path(self, name: str) -> Path:
        if not name or Path(name).name != name:
            raise ValueError(f"{name!r} is not the name of a checkpoint")
        return self._directory / f"{name}.pt"
