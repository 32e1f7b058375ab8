"""Keeps the ends of trainings, so that others can go on from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from advisor.worker.loop.step import TrainingStep


class Checkpoints:
    """Checkpoints of one job, by name. They hold tensors and plain values alone."""

    def __init__(self, directory: Path, device: torch.device) -> None:
        self._directory = directory
        self._device = device

    def save(self, name: str, step: TrainingStep) -> None:
        """Keep a model and its optimizer under a name; all of it or nothing."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        # One writer a name, but a writer that was killed may have left its file behind.
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        torch.save(
            {
                "model": step.model.state_dict(),
                "optimizer": step.optimizer.state_dict(),
                "scaler": step.scaler.state_dict() if step.scaler else {},
            },
            unfinished,
        )
        unfinished.replace(path)

    def load(self, name: str, step: TrainingStep) -> None:
        """Go on from a checkpoint with the settings, such as the rate, that ``step`` has now."""
        saved = self._read(name)
        step.model.load_state_dict(saved["model"])
        settings = step.optimizer.state_dict()["param_groups"]
        step.optimizer.load_state_dict(
            {"state": saved["optimizer"]["state"], "param_groups": settings}
        )
        if step.scaler is not None and saved["scaler"]:
            step.scaler.load_state_dict(saved["scaler"])

    def load_model(self, name: str, step: TrainingStep) -> None:
        """Take the weights of a checkpoint alone."""
        step.model.load_state_dict(self._read(name)["model"])

    def _read(self, name: str) -> dict[str, Any]:
        saved: dict[str, Any] = torch.load(
            self._path(name), map_location=self._device, weights_only=True
        )
        return saved

    def _path(self, name: str) -> Path:
        if not name or Path(name).name != name:
            raise ValueError(f"{name!r} is not the name of a checkpoint")
        return self._directory / f"{name}.pt"
